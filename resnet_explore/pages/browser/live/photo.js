/* Where a photo is chosen, and what the networks see of it. Photos dropped or pasted anywhere come here, too. */

import { control, make } from "../../../widgets/browser/dom.js";
import { showSeen } from "./seen.js";

/** `props`: {input}.
 *
 * @type {import("../../../widgets/browser/page.js").Component}
 */
export function photo(page, props) {
  const seen = make("canvas", "rx-photo-canvas", { width: 400, height: 400 }), words = make("span", "rx-facts");
  const input = control("input", "", { type: "file", accept: "image/*", multiple: true });
  const pick = make("label", "rx-pick", { htmlFor: input.id }, "Choose a photo", input);
  const hint = make("span", "rx-facts", { textContent: "or drop or paste one anywhere" });
  const node = make("div", "rx-given", {}, seen, make("div", "rx-given-side", {}, words, pick, hint));
  seen.setAttribute("role", "img");
  input.addEventListener("change", () => {
    const files = [...input.files];
    input.value = ""; // choosing the same file again is a change again
    if (files.length) page.act("photos", files);
  });

  showSeen(seen, words, props.input);
  return {
    node,
    update(next) {
      const before = props;
      props = next;
      if (before.input !== next.input) showSeen(seen, words, props.input);
    },
  };
}
