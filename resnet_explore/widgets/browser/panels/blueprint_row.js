/* Blueprint: a network as a row of boxes, or as rows. */

import { clamp, svg } from "../dom.js";

const GAP = 3, WIDEST = 54, NARROWEST = 9, STACKED = 42, ARC = 15, LOWEST = 12, PER_OCTAVE = 8, LABELS = 18;
export const EDGE = 2;
const ROOMY = 12, BACK_AND_FORTH = 8; // how often maps grow again before a row each is worth it
export const SKIP_WORDS = {
  identity: "the input itself is added",
  projection: "a projection of the input is added",
  padding: "the input, padded with zero channels, is added",
  gated: "the input is added, weighed by a gate",
  concatenation: "the input is put beside the output",
};

/** 25,557,032 -> "25.6 M" */
export function short(value) {
  for (const [size, unit] of [[1e9, "G"], [1e6, "M"], [1e3, "k"]]) {
    if (value >= size) return `${(value / size).toPrecision(3)} ${unit}`;
  }
  return String(value);
}

const times = (box) => (box.count > 1 ? `${box.count} × ` : "");
export const size = (shape) => shape.join("×") || "1";
const side = (box) => (box.shape.length > 2 ? box.shape.at(-1) : 1);

export function sentence(box) {
  const parts = [`${times(box)}${box.kind} ${box.name}: output ${size(box.shape)}`];
  if (box.parameters) parts.push(`${short(box.parameters)} parameters`);
  if (box.macs) parts.push(`${short(box.macs)} multiply-adds`);
  if (box.skip) parts.push(SKIP_WORDS[box.skip]);
  return parts.join(", ");
}

/** Where boxes stand: `x`, `middle` and `widths` of each, the picture's `extent`, `above` and `high`, `labels`.
 *
 * One after the other in one row; or, where maps grow and shrink all the time as in a network that keeps several
 * resolutions side by side, a row for each size of maps, and what doesn't wait for each other in one column.
 */
function place(boxes, width) {
  const widths = boxes.map((box) => (box.count > 1 ? Math.max(STACKED, width) : width));
  const heights = boxes.map((box) => LOWEST + PER_OCTAVE * Math.log2(side(box) + 1));
  const { column, row } = grid(boxes);
  const far = Math.max(1, ...boxes.map((box, i) => i - Math.min(i, ...box.from.filter((s) => s >= 0))));
  const rows = Math.max(...row) + 1;
  const above = rows > 1 ? ARC + 20 : ARC + 6 + (far > 1 ? Math.min(70, 6 * far) : 0);
  const gap = rows > 1 ? ROOMY : GAP;
  const broad = [];
  boxes.forEach((_, i) => { broad[column[i]] = Math.max(broad[column[i]] ?? 0, widths[i]); });
  const starts = [];
  let extent = EDGE;
  for (const each of broad) {
    starts.push(extent);
    extent += each + gap;
  }
  const x = column.map((c) => starts[c]), centers = [], labels = [];
  let high = 0;
  for (let r = 0; r < rows; r++) {
    const members = boxes.map((_, i) => i).filter((i) => row[i] === r);
    const tallest = Math.max(...members.map((i) => heights[i]));
    centers.push(high + above + tallest / 2);
    high += above + tallest + LABELS;
    const named = rows > 1 ? members.slice(0, 1) : members; // a row of its own is named where it begins
    labels.push(...sizes(named, boxes, x, widths, high - LABELS + 13));
  }
  extent = Math.max(extent, ...labels.map((label) => label.end)) + EDGE;
  return { x, widths, heights, row, column, above, high, extent, labels, middle: row.map((r) => centers[r]) };
}

/** The column and row of each box. */
export function grid(boxes) {
  const grown = boxes.filter((box, i) => i && side(box) > side(boxes[i - 1])).length;
  if (grown < BACK_AND_FORTH || !boxes.every((box) => [1, 3].includes(box.shape.length))) {
    return { column: boxes.map((_, i) => i), row: boxes.map(() => 0) };
  }
  const levels = [...new Set(boxes.map(side))].sort((a, b) => b - a);
  const row = boxes.map((box) => levels.indexOf(side(box))), column = [], taken = new Set();
  boxes.forEach((box, i) => {
    let at = 1 + Math.max(-1, ...box.from.map((s) => column[s] ?? -1));
    while (taken.has(`${at},${row[i]}`)) at++;
    taken.add(`${at},${row[i]}`);
    column.push(at);
  });
  return { column, row };
}

/** One network's picture; it scrolls if its boxes need more than the room.
 *
 * Calls `say` with a box's sentence when it is looked at, without one when the pointer leaves, `open` when it is
 * chosen and `follow` when keys lead to it.
 */
export function drawNetwork(network, room, say, open, follow) {
  const boxes = network.boxes, placed = place(boxes, room);
  const { x, widths, heights, row, above, high, extent, labels, middle } = placed;
  const picture = svg("svg", {
    width: extent, height: high, viewBox: `0 0 ${extent} ${high}`, class: "rx-blueprint",
    role: "group", "aria-label": `${network.title}, ${boxes.length} boxes: ${network.facts}`,
  });
  const rows = Math.max(...row) + 1;
  const lines = rows > 1 ? boxes.flatMap((box, i) => box.from.map((s) => between(placed, s, i))) : [];
  const nodes = boxes.map((box, i) => {
    const top = middle[i] - heights[i] / 2;
    const weighted = box.layers > 0;
    const node = svg("g", { class: "rx-box", role: "button", tabindex: i ? -1 : 0, "aria-label": sentence(box) });
    node.dataset.lmSuppressShortcuts = "true";
    const width = widths[i];
    const reach = rows > 1 ? [top - ARC, heights[i] + ARC] : [0, middle[i] + Math.max(...heights) / 2];
    node.append(svg("rect", { x: x[i], y: reach[0], width: width + GAP, height: reach[1], fill: "transparent" }));
    node.append(svg("rect", {
      x: x[i], y: top, width, height: heights[i], rx: Math.min(3, width / 3),
      class: weighted ? `rx-${network.color}` : "rx-bare", "fill-opacity": box.kind.startsWith("Conv") ? 0.6 : 1,
    }));
    if (box.count > 1) {
      node.append(svg("text", { x: x[i] + width / 2, y: middle[i] + 4, class: "rx-times" }));
      node.lastChild.textContent = `×${box.count}`;
    }
    if (box.skip) node.append(arc(x[i] - GAP / 2, x[i] + width + GAP / 2, top + 7, `rx-arc rx-${box.skip}`));
    for (const source of rows > 1 ? [] : box.from.filter((s) => s >= 0 && i - s > 1)) {
      const from = x[source] + widths[source] / 2, to = x[i] + width / 2;
      const crest = above - Math.min(70, 6 * (i - source)) - 4;
      node.append(svg("path", {
        d: `M ${from} ${middle[source] - heights[source] / 2} C ${from} ${crest}, ${to} ${crest}, ${to} ${top}`,
        class: "rx-arc rx-far",
      }));
    }
    const look = () => say(sentence(box));
    node.addEventListener("mouseenter", look);
    node.addEventListener("mouseleave", () => say());
    node.addEventListener("focus", () => {
      look();
      if (node.matches(":focus-visible")) follow(i);
    });
    node.addEventListener("click", () => open(i));
    node.addEventListener("keydown", (event) => {
      const step = { ArrowRight: 1, ArrowLeft: -1, Home: -boxes.length, End: boxes.length }[event.key];
      if (event.key === "Enter" || event.key === " ") open(i);
      else if (step) nodes[clamp(i + step, 0, boxes.length - 1)].focus();
      else return;
      event.preventDefault();
      event.stopPropagation();
    });
    return node;
  });
  picture.append(...lines.filter(Boolean), ...nodes, ...labels.map((label) => label.node));
  return { picture, nodes, ends: x.map((left, i) => left + widths[i]) };
}

export const arc = (from, to, y, className) => svg("path", {
  d: `M ${from} ${y} C ${from} ${y - ARC - 7}, ${to} ${y - ARC - 7}, ${to} ${y}`, class: className,
});

/** A line from one box to another where boxes stand in rows: straight between neighbours, else past those between. */
function between({ x, widths, heights, row, column, middle }, source, i) {
  if (source < 0) return null;
  const from = x[source] + widths[source], to = x[i], above = middle[i] - heights[i] / 2 - 12;
  const past = row[source] === row[i] && column[i] - column[source] > 1
    && column.some((c, k) => row[k] === row[i] && c > column[source] && c < column[i]);
  const d = past
    ? `M ${from - 2} ${middle[source] - heights[source] / 2} C ${from} ${above}, ${to} ${above}, ${to + 2} ${above + 12}`
    : `M ${from} ${middle[source]} C ${from + ROOMY} ${middle[source]}, ${to - ROOMY} ${middle[i]}, ${to} ${middle[i]}`;
  return svg("path", { d, class: "rx-arc rx-link" });
}

/** Labels below a row: the size of the maps, once for each stretch of boxes that share it and has room. */
function sizes(members, boxes, x, widths, y) {
  const labels = [];
  for (let start = 0, end; start < members.length; start = end) {
    const first = boxes[members[start]];
    end = start + 1;
    while (end < members.length && side(boxes[members[end]]) === side(first)) end++;
    if (side(first) === 1) continue;
    const text = first.shape.slice(-2).join("×"), half = text.length * 3.1;
    const center = Math.max((x[members[start]] + x[members[end - 1]] + widths[members[end - 1]]) / 2, half + EDGE);
    const before = labels.length ? labels.at(-1).end + 6 : 0;
    if (center - half < before) continue;
    const node = svg("text", { x: center, y, class: "rx-size" });
    node.textContent = text;
    labels.push({ node, end: center + half });
  }
  return labels;
}

/** How wide boxes are where the longest network fills the room; all share it, so that lengths compare. */
export function shareOut(networks, room) {
  const fitting = networks.map(({ boxes }) => {
    const { column, row } = grid(boxes), gap = Math.max(...row) ? ROOMY : GAP;
    const stacked = new Set(column.filter((_, i) => boxes[i].count > 1)).size, columns = new Set(column).size;
    return (room - 2 * EDGE - stacked * STACKED) / Math.max(1, columns - stacked) - gap;
  });
  return clamp(Math.min(...fitting), NARROWEST, WIDEST);
}
