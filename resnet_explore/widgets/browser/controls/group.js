/* Parts in a line, or folded behind words. */

import { component } from "../component.js";
import { make, summary } from "../dom.js";

/** @type {import("../page.js").Component} */
export function group(page, props) {
  const line = make("div", "rx-group"), words = summary("");
  const node = props.folded ? make("details", "rx-folded", {}, words, line) : line;
  return component(node, props, {
    fill: () => { words.textContent = props.folded; },
    press: () => page.place(line, props.parts.filter(Boolean)),
    leave: () => page.place(line, []),
  });
}
