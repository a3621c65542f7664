/* Controls that are rarely changed, folded behind a word. They open over what lies below, which keeps its place. */

import { component } from "../component.js";
import { foldsByEscape, make, summary } from "../dom.js";

/** @type {import("../page.js").Component} */
export function more(page, props) {
  const words = summary(""), body = make("div", "rx-folded");
  const node = make("details", "rx-control rx-more-controls", {}, words, body);
  foldsByEscape(node);
  const outside = (event) => { if (!node.contains(event.target)) node.open = false; };
  document.addEventListener("pointerdown", outside);

  return component(node, props, {
    fill: () => { words.textContent = props.label; },
    press: () => page.place(body, props.controls.filter(Boolean)),
    leave() {
      document.removeEventListener("pointerdown", outside);
      page.place(body, []);
    },
  });
}
