/* Words that not everybody knows, with their explanation one hover, focus or tap away. */

import { control } from "./dom.js";

const START = "(?<![\\p{L}\\p{N}_])", END = "(?![\\p{L}\\p{N}_])"; // \b knows no letters but a to z
const split = new Map(); // the pattern of a glossary, made once

function pattern(gloss) {
  const words = Object.keys(gloss).sort((a, b) => b.length - a.length);
  const key = words.join("|");
  if (!split.has(key)) {
    const plain = words.map((word) => word.replace(/[.*+?^${}()|[\]\\]/g, "\\$&")).join("|");
    split.set(key, words.length ? new RegExp(`${START}(${plain})${END}`, "iu") : null);
  }
  return split.get(key);
}

/** Put a text into a node; the first time that it uses a word of the glossary, the word explains itself.
 *
 * @param {HTMLElement} node @param {string} text @param {{[word: string]: string}} gloss
 */
export function glossed(node, text, gloss = {}) {
  const known = `${text}\u0000${Object.keys(gloss ?? {}).join()}`;
  if (node.dataset.text === known) return;
  node.dataset.text = known;
  const found = gloss ? pattern(gloss)?.exec(text) : null;
  if (!found) {
    node.textContent = text;
    return;
  }
  const word = Object.keys(gloss).find((each) => each.toLowerCase() === found[0].toLowerCase());
  const term = control("span", "rx-term", { textContent: found[0], tabIndex: 0 });
  term.dataset.tip = gloss[word];
  term.setAttribute("aria-label", `${found[0]}: ${gloss[word]}`);
  term.setAttribute("role", "button"); // what it does is to show its tip
  term.addEventListener("keydown", (event) => { if (event.key === "Escape") term.blur(); });
  node.replaceChildren(text.slice(0, found.index), term, text.slice(found.index + found[0].length));
}
