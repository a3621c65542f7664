/* Parts in a line, or folded behind words. */

import { control, make } from "../dom.js";

/** @type {import("../page.js").Component} */
export function group(page, props) {
  const line = make("div", "rx-group");
  const words = control("summary");
  words.addEventListener("keydown", (event) => { if (event.key === "Enter" || event.key === " ") event.stopPropagation(); });
  const node = props.folded ? make("details", "rx-folded", {}, words, line) : line;
  const fill = () => {
    words.textContent = props.folded;
    page.place(line, props.parts.filter(Boolean));
  };
  fill();
  return {
    node,
    update(next) {
      props = next;
      fill();
    },
    leave: () => page.place(line, []),
  };
}
