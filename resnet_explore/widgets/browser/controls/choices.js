/* Answers to choose one of, each with a bar for each network: the bars' lengths are what the eye compares. */

import { component } from "../component.js";
import { control, make, same } from "../dom.js";
import { edges } from "./edges.js";

/** @type {import("../page.js").Component} */
export function choices(page, props) {
  const heading = make("p", "rx-subtitle"), keys = make("p", "rx-keys"), list = make("div", "rx-options"), note = make("p", "rx-note");
  const row = make("div", "rx-options-row", {}, list), node = make("div", "rx-choices", {}, heading, keys, row, note);
  const ends = edges(row, list, "answers");
  list.setAttribute("role", "group");
  let buttons = [];

  function makeBar({ share, text, color }) {
    const bar = make("span", color ? `rx-fill rx-fill-${color}` : "rx-fill");
    bar.style.width = `${100 * share}%`;
    return make("span", "rx-share", {}, make("span", "rx-groove", {}, bar), make("span", "rx-percent", { textContent: text }));
  }

  function fill() {
    const focused = buttons.indexOf(document.activeElement);
    heading.textContent = props.label;
    list.setAttribute("aria-label", props.label);
    note.textContent = props.note;
    keys.replaceChildren(...props.names.map(({ name, color }) => make("span", "", {}, make("span", `rx-dot rx-fill-${color}`, { ariaHidden: "true" }), name)));
    keys.hidden = props.names.length < 2;
    buttons = props.answers.map((answer) => {
      const button = control("button", "rx-option", { type: "button", title: props.missing || answer.label },
        make("span", "rx-word", { textContent: answer.label }), make("span", "rx-bars", {}, ...answer.bars.map(makeBar)));
      button.setAttribute("aria-disabled", String(Boolean(props.missing)));
      button.addEventListener("click", () => { if (!props.missing) page.choose(props.key, answer.value); });
      return button;
    });
    list.replaceChildren(...buttons);
    ends.mark();
    if (focused >= 0) buttons[Math.min(focused, buttons.length - 1)]?.focus();
  }

  const press = () => buttons.forEach((button, k) => button.setAttribute("aria-pressed", String(same(props.answers[k].value, page.state[props.key]))));
  return component(node, props, { fill, press, leave: ends.leave });
}
