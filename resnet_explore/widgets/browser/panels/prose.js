/* Paragraphs. */

import { make, same } from "../dom.js";

/** @type {import("../page.js").Component} */
export function prose(_page, props) {
  const node = make("div", "rx-prose");
  const fill = () => node.replaceChildren(...props.paragraphs.map((text) => make("p", "", { textContent: text })));
  fill();
  return {
    node,
    update(next) {
      const before = props;
      props = next;
      if (!same(before, next)) fill();
    },
  };
}
