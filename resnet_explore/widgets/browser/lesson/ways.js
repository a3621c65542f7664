/* All ways through a few blocks: one without skips, many with them; those through a block that is gone are closed. */

import { make, same, svg } from "../dom.js";

const LANE = 20, HEAD = 22, SIDE = 14, EDGE = 44; // pixels
const WIDE = 340;

/** Each way with skips, as whether it leads through each block, most blocks first. @param {number} count */
export function waysThrough(count) {
  const every = Array.from({ length: 2 ** count }, (_, way) => Array.from({ length: count }, (__, k) => Boolean((way >> k) & 1)));
  const blocks = (way) => way.filter(Boolean).length, order = (way) => way.reduce((sum, inside) => 2 * sum + Number(!inside), 0);
  return every.sort((a, b) => blocks(b) - blocks(a) || order(a) - order(b));
}

/** `props`: {blocks, gone: {plain, residual: numbers}}.
 *
 * @type {import("../page.js").Component}
 */
export function ways(_page, props) {
  const node = make("div", "rx-ways");

  const words = (count, left) => `${count} way${count === 1 ? "" : "s"}${left === count ? "" : `, ${left} left`}`;

  function side(kind, title, lanes) {
    const { blocks } = props, gone = props.gone[kind], high = HEAD + lanes.length * LANE + 4;
    const open = (lane) => !lane.some((inside, k) => inside && gone.includes(blocks[k])), left = lanes.filter(open).length;
    const at = (k) => EDGE + ((k + 0.5) * (WIDE - 2 * EDGE)) / blocks.length;
    const picture = svg("svg", { viewBox: `0 0 ${WIDE} ${high}`, class: "rx-ways-picture", role: "img", "aria-label": `${title}: ${words(lanes.length, left)}.` });
    blocks.forEach((number, k) => picture.append(label(at(k), 13, String(number), gone.includes(number) ? "rx-ways-head rx-off" : "rx-ways-head")));
    lanes.forEach((lane, row) => {
      const y = HEAD + (row + 0.5) * LANE, group = svg("g", { class: `rx-way rx-${kind}${open(lane) ? "" : " rx-off"}` });
      group.append(svg("path", { d: path(lane, at, y), class: "rx-way-line" }));
      lane.forEach((inside, k) => { if (inside) group.append(svg("rect", { x: at(k) - SIDE / 2, y: y - SIDE / 2, width: SIDE, height: SIDE, rx: 3, class: "rx-way-box" })); });
      group.append(label(WIDE - 4, y + 4, String(lane.filter(Boolean).length), "rx-way-count"));
      picture.append(group);
    });
    return make("section", "", {}, make("p", `rx-subtitle rx-ink-${kind}`, { textContent: `${title}, blocks ${blocks[0]}–${blocks.at(-1)}: ${words(lanes.length, left)}` }), picture);
  }

  /** A line through the blocks, with an arc past each that it avoids. */
  function path(lane, at, y) {
    const past = SIDE * 0.9;
    return `M8 ${y}${lane.map((inside, k) => (inside ? `H${at(k)}` : `H${at(k) - past}q${past} ${-SIDE} ${2 * past} 0`)).join("")}H${WIDE - 22}`;
  }

  function label(x, y, text, className) {
    const element = svg("text", { x, y, class: className, "text-anchor": "middle" });
    element.textContent = text;
    return element;
  }

  function draw() {
    const count = props.blocks.length;
    node.replaceChildren(side("plain", "Plain", [Array(count).fill(true)]), side("residual", "Residual", waysThrough(count)));
  }

  draw();
  return {
    node,
    update(next) {
      if (same(next, props)) return;
      props = next;
      draw();
    },
  };
}
