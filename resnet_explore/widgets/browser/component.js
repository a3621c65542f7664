/* The life of a control: it is filled when what it is told changes, and pressed for the state that the page is in. */

import { same } from "./dom.js";

/** What the page holds of a part.
 *
 * `props` is the part's own copy, which handlers look into; it takes over what comes. `fill` makes anew what depends on
 * it, `press` shows the state of the page and runs at every update.
 *
 * @param {HTMLElement} node @param {any} props
 * @param {{fill?: () => void, press?: () => void, leave?: () => void}} life
 * @returns {import("./page.js").Shown}
 */
export function component(node, props, { fill = () => {}, press = () => {}, leave }) {
  // What `same` compares is JSON, so it does for parts whose props hold no buffers.
  let last = null; // a part that depends on nothing comes again as the very same object
  fill();
  press();
  return {
    node,
    leave,
    update(next) {
      if (next !== last && !same(props, next)) {
        Object.assign(props, next);
        fill();
      }
      last = next;
      press();
    },
  };
}
