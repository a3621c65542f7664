/* Controls that are rarely changed, folded behind a word. They open over what lies below, which keeps its place. */

import { make } from "../dom.js";

/** @type {import("../page.js").Component} */
export function more(page, props) {
  const summary = make("summary"), body = make("div", "rx-folded");
  const node = make("details", "rx-control rx-more-controls", {}, summary, body);
  summary.dataset.lmSuppressShortcuts = "true";
  summary.addEventListener("keydown", (event) => { if (event.key === "Enter" || event.key === " ") event.stopPropagation(); });
  node.addEventListener("keydown", (event) => {
    if (event.key !== "Escape" || !node.open) return;
    event.stopPropagation();
    node.open = false;
    summary.focus();
  });
  const outside = (event) => { if (!node.contains(event.target)) node.open = false; };
  document.addEventListener("pointerdown", outside);

  function fill() {
    summary.textContent = props.label;
    page.place(body, props.controls.filter(Boolean));
  }

  fill();
  return {
    node,
    update(next) {
      props = next;
      fill();
    },
    leave() {
      document.removeEventListener("pointerdown", outside);
      page.place(body, []);
    },
  };
}
