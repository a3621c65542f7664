/* Paragraphs, and lines of code that can be copied. */

import { component } from "../component.js";
import { control, copied, make } from "../dom.js";

/** @type {import("../page.js").Component} */
export function prose(_page, props) {
  const node = make("div", "rx-prose");
  const fill = () => node.replaceChildren(...props.paragraphs.map((text) => make("p", "", { textContent: text })));
  return component(node, props, { fill });
}

/** @type {import("../page.js").Component} */
export function code(page, props) {
  const lines = control("pre", "rx-code", { tabIndex: 0 });
  const copy = control("button", "rx-button", { type: "button", textContent: "Copy" });
  const node = make("div", "rx-lines", {}, lines, copy);
  copy.addEventListener("click", async () => {
    if (await copied(lines.textContent)) page.say("Copied.");
  });
  const fill = () => { lines.textContent = props.lines.join("\n"); };
  return component(node, props, { fill });
}
