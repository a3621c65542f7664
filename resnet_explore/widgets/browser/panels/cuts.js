/* Two networks as rows of blocks that can be edited: a click takes a block out or cuts its skip, a drag moves it. */

import { clamp, make, same, svg } from "../dom.js";
import { SKIP_WORDS } from "./blueprint_row.js";
import { block as drawBlock, measured } from "./cuts_block.js";

const DRAG = 6; // pixels from where a press is a drag
const HINT = "Click a block to take it out, again to put it back; an arc to cut that skip.", DRAGGED = " Drag a block to swap it with one of its size.";
const KEYS = "Shift-click takes out all blocks in between. Keys: arrows walk, Enter takes out, X cuts the skip", MOVED = ", Shift and an arrow move";
const PALE = "Pale blocks change the size of the maps and can't go without a skip.";
const LINES = { padding: "Dash-dotted arcs carry a smaller x, with empty channels added.", projection: "Dashed arcs carry a projection of x." };

/** A list with a number in it, or out of it if it was there. @param {number[]} list @param {number} number */
export const toggled = (list, number) => (list.includes(number) ? list.filter((k) => k !== number) : [...list, number].sort((a, b) => a - b));

/** An order with one block taken to another place, the blocks between moved up; only blocks that may stand there move.
 *
 * @param {number[]} order @param {number} from place @param {number} to place @param {number[]} partners
 */
export function moved(order, from, to, partners) {
  const places = order.map((_, place) => place).filter((place) => partners.includes(order[place]));
  const nearest = places.reduce((best, place) => (Math.abs(place - to) < Math.abs(best - to) ? place : best), from);
  const numbers = places.map((place) => order[place]);
  numbers.splice(places.indexOf(nearest), 0, ...numbers.splice(places.indexOf(from), 1));
  const next = [...order];
  places.forEach((place, k) => { next[place] = numbers[k]; });
  return next;
}

/** `props`: {rows: [{title, color, blocks: [{number, name, shape, skip, stays, partners, error}]}], still: whether no block can be moved}.
 *
 * @type {import("../page.js").Component}
 */
export function cuts(page, props) {
  const rows = make("div", "rx-cuts-rows"), read = make("p", "rx-read"), keys = make("p", "rx-facts");
  const node = make("div", "rx-cuts", {}, rows, read, keys);
  let drawn = [], room = 0, last = 0, shown = [];

  const usual = (row) => row.blocks.map((block) => block.number);
  const order = (row) => {
    const own = usual(row), asked = props.still ? own : page.state.order;
    return asked.length === own.length ? asked : own;
  };
  const say = (text) => { read.textContent = text ?? HINT + (props.still ? "" : DRAGGED); };

  /** Change the networks, and say what became of the block; who can't see it hears it. */
  function change(fields, number) {
    page.set(fields);
    const each = props.rows.at(-1).blocks.find((one) => one.number === number);
    if (!each) return;
    say(sentence(each));
    page.say(read.textContent);
  }

  function takeOut(number, several) {
    const { deleted } = page.state;
    if (!several || !last || last === number) change({ deleted: toggled(deleted, number) }, number);
    else {
      const [low, high] = [Math.min(last, number), Math.max(last, number)];
      const between = Array.from({ length: high - low + 1 }, (_, k) => low + k);
      change({ deleted: [...new Set([...deleted, ...between])].sort((a, b) => a - b) }, number);
    }
    last = number;
  }

  function move(row, number, to) {
    if (props.still) return;
    const now = order(row), from = now.indexOf(number), { partners } = row.blocks.find((each) => each.number === number);
    const next = moved(now, from, clamp(to, 0, now.length - 1), partners);
    if (!same(next, now)) change({ order: same(next, usual(row)) ? [] : next }, number);
    else if (partners.length < 2) say(`Block ${number} can't move: no other block of its stage takes and gives the same shapes.`);
  }

  function cutSkip(each) {
    if (each.skip) change({ cut: toggled(page.state.cut, each.number) }, each.number);
    else say(`Block ${each.number} has no skip.`);
  }

  /** What a block hears of pointer and keys. */
  function listen(element, row, each, at, nodes) {
    let start = null, dragging = false;
    const { width } = at;
    element.addEventListener("pointerdown", (event) => {
      if (event.button !== 0 || event.target.classList.contains("rx-cut-hit")) return;
      [start, dragging] = [event.clientX, false];
      element.setPointerCapture(event.pointerId);
    });
    element.addEventListener("pointermove", (event) => {
      if (start === null) return;
      const by = event.clientX - start;
      dragging ||= Math.abs(by) > DRAG;
      if (dragging && each.partners.length > 1 && !props.still) element.setAttribute("transform", `translate(${by} 0)`);
    });
    element.addEventListener("mousedown", (event) => { if (event.shiftKey) event.preventDefault(); }); // else it selects text
    element.addEventListener("pointercancel", () => { start = null; element.removeAttribute("transform"); });
    element.addEventListener("pointerup", (event) => {
      if (start === null) return;
      const by = event.clientX - start;
      start = null;
      element.removeAttribute("transform");
      if (dragging && !props.still) move(row, each.number, order(row).indexOf(each.number) + Math.round(by / (width + at.gap)));
      else takeOut(each.number, event.shiftKey);
    });
    element.querySelector(".rx-cut-hit")?.addEventListener("click", () => cutSkip(each));
    for (const name of ["pointerenter", "focus"]) element.addEventListener(name, () => say(sentence(each)));
    element.addEventListener("focus", () => { // the way back to the row by Tab leads to where one was
      for (const other of nodes.values()) other.setAttribute("tabindex", other === element ? "0" : "-1");
    });
    element.addEventListener("pointerleave", () => say());
    element.addEventListener("keydown", (event) => {
      const step = { ArrowRight: 1, ArrowLeft: -1, Home: -nodes.size, End: nodes.size }[event.key], now = order(row);
      if (step && event.shiftKey) move(row, each.number, now.indexOf(each.number) + step);
      else if (step) nodes.get(now[clamp(now.indexOf(each.number) + step, 0, now.length - 1)]).focus();
      else if (["Enter", " ", "Delete", "Backspace"].includes(event.key)) takeOut(each.number, event.shiftKey);
      else if (event.key.toLowerCase() === "x") cutSkip(each);
      else return;
      event.preventDefault();
      event.stopPropagation();
    });
  }

  function sentence(each) {
    const { deleted, cut } = page.state, out = deleted.includes(each.number);
    const done = [out && !each.stays ? "taken out" : "", cut.includes(each.number) && each.skip ? "skip cut" : ""].filter(Boolean).join(", ");
    const carries = cut.includes(each.number) ? "" : SKIP_WORDS[each.skip] ?? "";
    const more = [each.stays, carries].filter(Boolean).map((words) => `; ${words}`).join("");
    const without = each.error === null ? "" : ` Without it alone, the error is ${each.error.toFixed(1)} %.`;
    return `Block ${each.number} (${each.name})${done ? `: ${done}` : ""}; gives ${each.shape.join("×")}${each.shape.length === 3 ? " (channels × height × width)" : ""}${more}.${without}`;
  }

  function drawRow(row) {
    const { deleted, cut } = page.state, at = measured(props.rows, room || 908, row), nodes = new Map(), now = order(row);
    const high = at.above + at.tallest + at.below, extent = at.edge * 2 + now.length * (at.width + at.gap);
    const picture = svg("svg", { width: extent, height: high, viewBox: `0 0 ${extent} ${high}`, class: "rx-cut-row", role: "group", "aria-label": row.title });
    now.forEach((number, place) => {
      const each = row.blocks.find((one) => one.number === number);
      const look = { out: deleted.includes(number) && !each.stays, cut: cut.includes(number), asked: deleted.includes(number), away: number !== place + 1, looked: props.looked && number === page.state[props.looked] };
      const element = drawBlock(each, row.color, place, at, look);
      element.setAttribute("aria-label", sentence(each));
      element.setAttribute("aria-pressed", String(look.asked));
      element.setAttribute("tabindex", place ? "-1" : "0");
      nodes.set(number, element);
    });
    for (const [number, element] of nodes) listen(element, row, row.blocks.find((one) => one.number === number), at, nodes);
    picture.style.touchAction = extent > (room || extent) ? "pan-x pan-y" : "pan-y"; // a row that is too long is scrolled
    picture.append(...nodes.values());
    return { nodes, parts: [make("p", `rx-subtitle rx-ink-${row.color}`, { textContent: row.title }), make("div", "rx-across", {}, picture)] };
  }

  function draw() {
    const { deleted, cut, order: asked } = page.state, looked = props.looked ? page.state[props.looked] : 0;
    const now = [props.rows, deleted, cut, asked, room, looked];
    if (same(now, shown)) return;
    shown = now;
    const focused = drawn.map(({ nodes }) => [...nodes].find(([, element]) => element === document.activeElement)?.[0]);
    const scrolled = [...rows.querySelectorAll(".rx-across")].map((each) => each.scrollLeft);
    drawn = props.rows.map(drawRow);
    rows.replaceChildren(...drawn.flatMap(({ parts }) => parts));
    [...rows.querySelectorAll(".rx-across")].forEach((each, k) => { each.scrollLeft = scrolled[k] ?? 0; });
    focused.forEach((number, k) => { if (number !== undefined) drawn[k]?.nodes.get(number)?.focus(); });
    const blocks = props.rows.flatMap((row) => row.blocks), lines = Object.keys(LINES).filter((kind) => blocks.some((each) => each.skip === kind));
    keys.textContent = [`${KEYS}${props.still ? "" : MOVED}.`, ...(blocks.some((each) => each.stays) ? [PALE] : []), ...lines.map((kind) => LINES[kind])].join(" ");
    if (focused.every((number) => number === undefined)) say();
  }

  const resized = new ResizeObserver(([entry]) => {
    const wide = Math.floor(entry.contentRect.width);
    if (!wide || wide === room) return;
    room = wide;
    draw();
  });
  resized.observe(rows);
  draw();
  return {
    node,
    update(next) {
      props = next;
      draw();
    },
    leave: () => resized.disconnect(),
  };
}
