/* Two networks as rows of blocks that can be edited: a click takes a block out or cuts its skip, a drag moves it. */

import { make, onWidth, same, svg } from "../dom.js";
import { bar, block as drawBlock, measured, stages } from "./cuts_block.js";
import { edits, orderOf } from "./cuts_edits.js";
import { keys, pointing } from "./cuts_hand.js";
import { POINT, hint, legend, sentence } from "./cuts_words.js";

const USUAL_ROOM = 908; // pixels, before it is known how wide the page is

/** `props`: {rows: [{title, color, blocks: [{number, name, stage, shape, skip, stays, partners, error}]}], looked, still, uncut: whether no block can be moved, and no skip cut}.
 *
 * @type {import("../page.js").Component}
 */
export function cuts(page, props) {
  const rows = make("div", "rx-cuts-rows"), read = make("p", "rx-read"), more = make("p", "rx-facts");
  const node = make("div", props.uncut ? "rx-cuts rx-uncut" : "rx-cuts", {}, make("p", "rx-cuts-hint", { textContent: hint(props) }), rows, read, more);
  let drawn = [], room = 0, shown = [], pressed = false;

  const say = (text = POINT) => { read.textContent = text; };

  /** Say what became of a block; who can't see it hears it. */
  function tell(number) {
    const each = props.rows.at(-1).blocks.find((one) => one.number === number);
    if (!each) return;
    say(sentence(each, page.state));
    page.say(read.textContent);
  }

  const acts = edits(page, tell, say), order = () => (props.still ? [] : page.state.order);
  if (props.still) delete acts.move;
  if (props.uncut) acts.cutSkip = () => {};

  function drawRow(row) {
    const { deleted, cut = [] } = page.state, at = measured(props.rows, room || USUAL_ROOM, row), now = orderOf(row, order());
    const high = at.above + at.tallest + at.below, extent = at.edge * 2 + now.length * at.pitch, nodes = new Map();
    const picture = svg("svg", { width: extent, height: high, viewBox: `0 0 ${extent} ${high}`, class: "rx-cut-row", role: "group", "aria-label": row.title });
    now.forEach((number, place) => {
      const each = row.blocks.find((one) => one.number === number), asked = deleted.includes(number);
      const element = drawBlock(each, row.color, place, at, { out: asked && !each.stays, cut: cut.includes(number), asked, away: number !== place + 1 });
      const words = sentence(each, page.state);
      for (const [name, value] of Object.entries({ "aria-label": words, "aria-pressed": asked, tabindex: place ? -1 : 0 })) element.setAttribute(name, String(value));
      pointing(element, row, each, at.pitch, acts, press);
      keys(element, row, each, nodes, acts);
      for (const name of ["pointerenter", "focus"]) element.addEventListener(name, () => say(words));
      element.addEventListener("pointerleave", () => say());
      nodes.set(number, element);
    });
    picture.style.touchAction = extent > (room || extent) ? "pan-x pan-y" : "pan-y"; // a row that is too long is scrolled
    const bars = now.flatMap((number, place) => bar(row.blocks.find((one) => one.number === number), row.color, place, at));
    picture.append(...stages(row.blocks, at), ...bars, ...nodes.values());
    return { nodes, parts: [make("p", `rx-subtitle rx-ink-${row.color}`, { textContent: row.title }), make("div", "rx-across", {}, picture)] };
  }

  /** Blocks stay where they are while one is pressed: with its element the click would be lost. */
  function press(down) {
    pressed = down;
    draw();
  }

  function draw() {
    if (pressed) return;
    const { deleted, cut = [] } = page.state, now = [props.rows, deleted, cut, order(), room];
    if (!now.every((value, k) => same(value, shown[k]))) drawAnew();
    shown = now;
    mark(props.looked ? page.state[props.looked] : 0);
  }

  function drawAnew() {
    const focused = drawn.map(({ nodes }) => [...nodes].find(([, element]) => element === document.activeElement)?.[0]);
    const scrolled = [...rows.querySelectorAll(".rx-across")].map((each) => each.scrollLeft);
    drawn = props.rows.map(drawRow);
    rows.replaceChildren(...drawn.flatMap(({ parts }) => parts));
    [...rows.querySelectorAll(".rx-across")].forEach((each, k) => { each.scrollLeft = scrolled[k] ?? 0; });
    focused.forEach((number, k) => { if (number !== undefined) drawn[k]?.nodes.get(number)?.focus(); });
    more.textContent = legend(props.rows.flatMap((row) => row.blocks), props);
    if (focused.every((number) => number === undefined)) say();
  }

  /** Mark the block that is looked into: a slider runs through them. */
  function mark(looked) {
    for (const { nodes } of drawn) for (const [number, element] of nodes) element.classList.toggle("rx-looked", number === looked);
  }

  const leaveWidth = onWidth(rows, (width) => {
    room = width;
    draw();
  });
  draw();
  return {
    node,
    update(next) {
      props = next;
      draw();
    },
    leave: leaveWidth,
  };
}
