/* Words that not everybody knows, with their explanation one hover, focus or tap away. */

import { control } from "./dom.js";

const START = "(?<![\\p{L}\\p{N}_])", END = "(?![\\p{L}\\p{N}_])"; // \b knows no letters but a to z
const split = new Map(); // the pattern of a glossary, made once

function pattern(gloss) {
  const words = Object.keys(gloss).sort((a, b) => b.length - a.length);
  const key = words.join("|");
  if (!split.has(key)) {
    const plain = words.map((word) => word.replace(/[.*+?^${}()|[\]\\]/g, "\\$&")).join("|");
    split.set(key, words.length ? new RegExp(`${START}(${plain})${END}`, "giu") : null);
  }
  return split.get(key);
}

/** Put a text into a node; the first word of the glossary that it uses explains itself, or the first `most`, each once.
 *
 * @param {HTMLElement} node @param {string} text @param {{[word: string]: string}} gloss @param {number} most
 */
export function glossed(node, text, gloss = {}, most = 1) {
  const known = `${text}\u0000${Object.keys(gloss ?? {}).join()}`;
  if (node.dataset.text === known) return;
  node.dataset.text = known;
  const parts = [], said = new Set(), found = gloss ? pattern(gloss) : null;
  let end = 0;
  for (const { 0: use, index } of found ? text.matchAll(found) : []) {
    const word = Object.keys(gloss).find((each) => each.toLowerCase() === use.toLowerCase());
    if (said.has(gloss[word])) continue; // "gradients" is explained as "gradient" is
    if (said.add(gloss[word]).size > most) break;
    parts.push(text.slice(end, index), term(use, gloss[word]));
    end = index + use.length;
  }
  node.replaceChildren(...parts, text.slice(end));
}

/** @param {string} word as it stands in a text @param {string} tip */
function term(word, tip) {
  const node = control("span", "rx-term", { textContent: word, tabIndex: 0 });
  node.dataset.tip = tip;
  node.setAttribute("aria-label", `${word}: ${tip}`);
  node.setAttribute("role", "button"); // what it does is to show its tip
  node.addEventListener("keydown", (event) => { if (event.key === "Escape") node.blur(); });
  for (const shown of ["pointerenter", "focus"]) node.addEventListener(shown, () => keepInside(node));
  return node;
}

/** A tip begins under its word, or as far to the left as it needs to end inside the page. @param {HTMLElement} node */
function keepInside(node) {
  const wide = parseFloat(getComputedStyle(node, "::after").width) || 0;
  const { right } = (node.closest(".rx-page") ?? document.documentElement).getBoundingClientRect();
  node.style.setProperty("--rx-tip-left", `${Math.min(0, right - wide - 8 - node.getBoundingClientRect().left)}px`);
}
