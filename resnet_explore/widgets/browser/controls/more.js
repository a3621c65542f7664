/* Controls that are rarely used, behind a word. */

import { make } from "../dom.js";

/** `props`: {label, controls}; whether it is open is the page's affair alone.
 *
 * @type {import("../page.js").Component}
 */
export function more(page, props) {
  const inside = make("div", "rx-fold-inside"), summary = page.summary(props.label);
  const node = make("details", "rx-fold", {}, summary, inside);
  const fill = () => {
    if (summary.textContent !== props.label) summary.textContent = props.label;
    page.place(inside, props.controls);
  };
  fill();
  return {
    node,
    update(next) {
      props = next;
      fill();
    },
    leave: () => page.place(inside, []),
  };
}
