/* One of a few values, all in sight: radio buttons below each other. */

import { component } from "../component.js";
import { control, freshId, make, same } from "../dom.js";

/** @type {import("../page.js").Component} */
export function options(page, props) {
  const legend = make("legend", "rx-label"), list = make("div", "rx-options-list");
  const node = make("fieldset", "rx-options", {}, legend, list);
  const name = freshId();
  let inputs = [];

  function fill() {
    legend.textContent = props.label;
    inputs = props.choices.map((choice) => {
      const input = control("input", "", { type: "radio", name, disabled: Boolean(choice.missing) });
      input.addEventListener("change", () => page.choose(props.key, choice.value));
      input.addEventListener("keydown", (event) => event.stopPropagation()); // arrows go on to the next one
      return input;
    });
    list.replaceChildren(...props.choices.map((choice, k) => make("label", "", { title: choice.missing || choice.tip }, inputs[k], ` ${choice.label}`)));
  }

  const press = () => inputs.forEach((input, k) => { input.checked = same(props.choices[k].value, page.state[props.key]); });
  return component(node, props, { fill, press });
}
