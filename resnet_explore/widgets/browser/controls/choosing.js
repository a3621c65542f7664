/* Tabs, menus, sliders, checks, numbers, texts and buttons: each shows a field of the state and sets it. */

import { component } from "../component.js";
import { clamp, control, make, same, stepped, write } from "../dom.js";

/** @typedef {import("../page.js").Component} Component */

/** @type {Component} */
export function tabs(page, props) {
  const node = make("div", "rx-tabs");
  let buttons = [];

  const open = (k) => { if (!props.choices[k].missing) page.choose(props.key, props.choices[k].value); };

  function press() {
    buttons.forEach((tab, k) => {
      const chosen = same(props.choices[k].value, page.state[props.key]);
      tab.setAttribute("aria-selected", chosen);
      tab.tabIndex = chosen ? 0 : -1;
    });
  }

  function fill() {
    node.setAttribute("aria-label", props.label);
    buttons = props.choices.map((choice, k) => {
      const tab = control("button", "", { type: "button", textContent: choice.label, title: choice.missing || choice.tip });
      tab.setAttribute("role", "tab");
      tab.setAttribute("aria-disabled", String(Boolean(choice.missing))); // it can have the focus, and says why
      tab.addEventListener("click", () => open(k));
      tab.addEventListener("keydown", (event) => {
        const next = stepped(event, k, buttons.length);
        if (next === undefined) return;
        buttons[next].focus();
        open(next);
      });
      return tab;
    });
    node.replaceChildren(...buttons);
  }

  node.setAttribute("role", "tablist");
  return component(node, props, { fill, press });
}

/** @type {Component} */
export function menu(page, props) {
  const select = control("select");
  const label = make("label", "rx-label", { htmlFor: select.id });
  const node = make("span", "rx-control rx-menu", {}, label, select);
  select.addEventListener("change", () => page.choose(props.key, props.choices[select.selectedIndex].value));
  select.addEventListener("keydown", (event) => event.stopPropagation());

  function fill() {
    label.textContent = props.label;
    select.title = props.tip;
    const groups = new Map();
    const options = props.choices.map((choice) => {
      const option = make("option", "", { textContent: choice.label, title: choice.missing || choice.tip, disabled: Boolean(choice.missing) });
      if (!choice.group) return option;
      const group = groups.get(choice.group);
      if (group) {
        group.append(option);
        return null;
      }
      const made = make("optgroup", "", { label: choice.group }, option);
      groups.set(choice.group, made);
      return made;
    });
    select.replaceChildren(...options.filter(Boolean));
  }

  const press = () => { select.selectedIndex = props.choices.findIndex((choice) => same(choice.value, page.state[props.key])); };
  return component(node, props, { fill, press });
}

const PLAY_MS = 700;
const LETTER_PX = 6.5; // of a label below the track

/** What a stop of a slider is called. */
const spoken = (choice) => (choice ? [choice.label, choice.tip].filter(Boolean).join(", ") : "");

/** @type {Component} */
export function slider(page, props) {
  const input = control("input", "rx-step", { type: "range", min: "0", step: "1" });
  const label = make("label", "rx-label", { htmlFor: input.id });
  const ticks = make("div", "rx-ticks", { ariaHidden: "true" });
  const value = make("output", "rx-value", { ariaHidden: "true" }); // aria-valuetext says it
  const play = control("button", "rx-play", { type: "button" });
  const node = make("div", "rx-control rx-slider", {}, play, label, make("div", "rx-track", {}, input, ticks), value);
  let timer = 0, room = 0; // the width that labels below the track have

  const index = () => Math.max(0, props.choices.findIndex((choice) => same(choice.value, page.state[props.key])));

  function go(k) {
    if (!props.choices[k]) return;
    const chosen = props.choices[k].value, fields = { [props.key]: chosen };
    for (const [other, lists] of Object.entries(props.carries)) {
      const there = lists[page.state[props.key]] ?? [], next = lists[chosen] ?? [];
      const share = there.findIndex((one) => same(one, page.state[other])) / Math.max(1, there.length - 1);
      if (next.length) fields[other] = next[Math.round(Math.max(0, share) * (next.length - 1))];
    }
    page.set(fields, true);
  }

  input.addEventListener("input", () => {
    stop();
    go(Number(input.value));
  });
  input.addEventListener("keydown", (event) => event.stopPropagation());

  function stop() {
    clearInterval(timer);
    timer = 0;
    play.classList.remove("rx-playing");
    play.title = `Run through ${props.label.toLowerCase()}`;
    play.setAttribute("aria-label", play.title);
  }

  play.addEventListener("click", () => {
    if (timer) return stop();
    const last = props.choices.length - 1;
    if (index() === last) go(0);
    timer = setInterval(() => {
      if (index() < last) go(index() + 1);
      if (index() >= last) stop();
    }, PLAY_MS);
    play.classList.add("rx-playing");
    play.title = "Stop";
    play.setAttribute("aria-label", play.title);
    return undefined;
  });

  function fill() {
    label.textContent = props.label;
    label.title = props.tip;
    input.max = String(Math.max(0, props.choices.length - 1));
    input.disabled = props.choices.length < 2; // it keeps its place
    play.hidden = !props.play;
    const count = props.choices.length;
    ticks.replaceChildren(...props.choices.map((choice, k) => {
      const tick = make("span", "", { textContent: choice.label });
      tick.style.setProperty("--at", String(k / Math.max(1, count - 1)));
      return tick;
    }));
    thin();
    // As wide as the longest of them, so that the track keeps its length.
    value.style.minWidth = `${clamp(Math.max(...props.choices.map((choice) => spoken(choice).length)), 2, 24)}ch`;
    stop();
  }

  /** Print every other label, or every third, where all of them would run into each other. */
  function thin() {
    const longest = Math.max(...props.choices.map((choice) => choice.label.length));
    const most = clamp(Math.floor(room / (longest * LETTER_PX + 12)), 2, 13), every = Math.ceil(props.choices.length / most);
    [...ticks.children].forEach((tick, k) => tick.classList.toggle("rx-out", k % every !== 0));
  }

  function press() {
    const k = index(), said = spoken(props.choices[k]);
    input.value = String(k);
    input.setAttribute("aria-valuetext", said);
    write(value, said);
    [...ticks.children].forEach((tick, at) => tick.classList.toggle("rx-now", at === k));
  }

  const resized = new ResizeObserver(() => {
    room = ticks.clientWidth; // asked for now that all is laid out
    thin();
  });
  resized.observe(ticks);
  const leave = () => {
    resized.disconnect();
    stop();
  };
  return component(node, props, { fill, press, leave });
}

/** @type {Component} */
export function check(page, props) {
  const input = control("input", "", { type: "checkbox" });
  const label = make("label", "", { htmlFor: input.id });
  const node = make("span", "rx-control rx-check", {}, input, label);
  input.addEventListener("change", () => page.choose(props.key, input.checked));
  const fill = () => {
    label.textContent = props.label;
    node.title = props.missing || props.tip;
    input.disabled = Boolean(props.missing);
  };
  const press = () => { input.checked = page.state[props.key]; };
  return component(node, props, { fill, press });
}

/** @type {Component} */
export function number(page, props) {
  const input = control("input", "", { type: "number" });
  const label = make("label", "rx-label", { htmlFor: input.id });
  const node = make("span", "rx-control rx-number", {}, label, input);
  input.addEventListener("change", () => {
    const value = input.valueAsNumber;
    if (Number.isFinite(value)) page.choose(props.key, clamp(value, props.low, props.high));
    press(); // what was typed may not be allowed
  });
  input.addEventListener("keydown", (event) => event.stopPropagation());
  const fill = () => {
    label.textContent = props.label;
    Object.assign(input, { min: props.low, max: props.high, step: props.step, title: props.missing || props.tip, disabled: Boolean(props.missing) });
  };
  const press = () => {
    if (document.activeElement !== input || input.valueAsNumber !== page.state[props.key]) input.value = page.state[props.key];
  };
  return component(node, props, { fill, press });
}

/** @type {Component} */
export function text(page, props) {
  const input = control("input", "", { type: "text", spellcheck: false, autocomplete: "off" });
  const label = make("label", "rx-label", { htmlFor: input.id });
  const node = make("span", "rx-control rx-text", {}, label, input);
  input.addEventListener("change", () => page.choose(props.key, input.value));
  input.addEventListener("keydown", (event) => event.stopPropagation());
  let shown;
  const fill = () => {
    label.textContent = props.label;
    Object.assign(input, { placeholder: props.hint, title: props.missing || props.tip, disabled: Boolean(props.missing) });
  };
  const press = () => {
    if (shown !== page.state[props.key]) input.value = page.state[props.key]; // what is being typed stays
    shown = page.state[props.key];
  };
  return component(node, props, { fill, press });
}

/** @type {Component} */
export function button(page, props) {
  const node = control("button", "rx-button", { type: "button" });
  node.addEventListener("click", () => {
    if (node.getAttribute("aria-disabled") === "true") return;
    if (Object.keys(props.puts ?? {}).length) page.set(props.puts);
    else page.act(props.key);
  });
  const fill = () => {
    node.textContent = props.label;
    if (props.widest) node.dataset.widest = props.widest;
    node.title = props.missing || props.tip;
    node.setAttribute("aria-disabled", String(Boolean(props.missing))); // it keeps its focus, and says why
  };
  return component(node, props, { fill });
}
