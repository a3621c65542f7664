/* A strip of small pictures of which one is chosen: one row that scrolls, however many there are. */

import { control, make, same, stepped } from "../dom.js";
import { edges } from "./edges.js";

/** @type {import("../page.js").Component} */
export function thumbs(page, props) {
  const strip = make("div", "rx-strip");
  const node = make("div", "rx-control rx-thumbs", {}, strip);
  strip.setAttribute("role", "radiogroup");
  const standing = new Map(); // buttons by the value that they choose
  const ends = edges(node, strip, "photos");

  function makeThumb(choice) {
    const url = URL.createObjectURL(new Blob([choice.picture]));
    const button = control("button", "rx-thumb", { type: "button", title: choice.label }, make("img", "", { src: url, alt: choice.label }));
    button.setAttribute("role", "radio");
    button.addEventListener("click", () => page.choose(props.key, choice.value));
    button.addEventListener("keydown", (event) => {
      const next = stepped(event, props.choices.findIndex((one) => same(one.value, choice.value)), props.choices.length);
      if (next === undefined) return;
      standing.get(JSON.stringify(props.choices[next].value)).button.focus();
      page.choose(props.key, props.choices[next].value);
    });
    return { button, url };
  }

  function fill() {
    strip.setAttribute("aria-label", props.label);
    const wanted = new Map(props.choices.map((choice) => [JSON.stringify(choice.value), choice]));
    for (const [name, { button, url }] of standing) {
      if (wanted.has(name)) continue;
      URL.revokeObjectURL(url);
      button.remove();
      standing.delete(name);
    }
    for (const [name, choice] of wanted) {
      if (!standing.has(name)) standing.set(name, makeThumb(choice));
      const { button } = standing.get(name);
      if (strip.children[[...wanted.keys()].indexOf(name)] !== button) strip.append(button);
    }
  }

  /** Bring the chosen photo into sight, also when the strip has become narrower. */
  function see(button) {
    if (!strip.clientWidth) return;
    strip.scrollLeft = button.offsetLeft - (strip.clientWidth - button.offsetWidth) / 2;
    ends.mark();
  }

  let shown;
  const resized = new ResizeObserver(() => { if (shown) see(shown); });
  resized.observe(strip);

  function press() {
    const pressed = props.choices.findIndex((choice) => same(choice.value, page.state[props.key]));
    props.choices.forEach((choice, k) => {
      const { button } = standing.get(JSON.stringify(choice.value));
      button.setAttribute("aria-checked", String(k === pressed));
      button.tabIndex = k === Math.max(0, pressed) ? 0 : -1;
      if (k === pressed && shown !== button) {
        shown = button;
        see(button);
      }
    });
  }

  fill();
  press();
  return {
    node,
    update(next) {
      const before = props;
      props = next;
      if (before !== next) {
        fill();
        ends.mark();
      }
      press();
    },
    leave() {
      resized.disconnect();
      ends.leave();
      for (const { url } of standing.values()) URL.revokeObjectURL(url);
    },
  };
}
