/* How far something is, as a bar and a sentence. */

import { component } from "../component.js";
import { make } from "../dom.js";

/** @type {import("../page.js").Component} */
export function progress(page, props) {
  const bar = make("progress", "", { max: 1 });
  const sentence = make("p");
  const node = make("div", "rx-progress", {}, bar, sentence);
  const fill = () => {
    bar.hidden = props.share === null;
    bar.value = props.share ?? 0;
    bar.setAttribute("aria-label", props.sentence);
    sentence.classList.toggle("rx-failed", props.failed);
    if (sentence.textContent === props.sentence) return;
    sentence.textContent = props.sentence;
    if (props.share === null || props.share === 1) page.say(props.sentence); // on the way it would talk all the time
  };
  return component(node, props, { press: fill });
}
