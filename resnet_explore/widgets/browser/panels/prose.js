/* Paragraphs, and lines of code that can be copied. */

import { control, make, same } from "../dom.js";

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

/** @type {import("../page.js").Component} */
export function code(page, props) {
  const lines = control("pre", "rx-code", { tabIndex: 0 });
  const copy = control("button", "rx-button", { type: "button", textContent: "Copy" });
  const node = make("div", "rx-lines", {}, lines, copy);
  copy.addEventListener("click", async () => {
    await navigator.clipboard?.writeText(lines.textContent);
    page.say("Copied.");
  });
  const fill = () => { lines.textContent = props.lines.join("\n"); };
  fill();
  return {
    node,
    update(next) {
      props = next;
      fill();
    },
  };
}
