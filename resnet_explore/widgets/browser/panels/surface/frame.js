/* What stands around a surface: the floor with its two directions, the walls behind it, and the axis of the loss. */

import { clamp, freshId, svg, write } from "../../dom.js";
import { numeral, ticksOf } from "../axis.js";
import { forCells, part, sideOf } from "./grid.js";
import { ACROSS, UP } from "./words.js";

const TICK_PX = 10, TITLE_PX = 27, BELOW_PX = 4; // from an edge to its numbers and its name; from a text's middle to its foot
const SIDEWAYS = 0.5; // a text that stands so much to the side begins or ends there
const LETTER_PX = 6.4; // about, of a text
const LEVELS = 6; // numbers on the axis of the loss, about

const path = (points) => points.map(([x, y], k) => `${k ? "L" : "M"}${x.toFixed(1)} ${y.toFixed(1)}`).join("");

/** Where a text stands so that it lies within the picture. @param {number} width of the picture, pixels */
function within({ text, at: [x], anchor }, width) {
  const wide = text.length * LETTER_PX, before = anchor === "end" ? wide : anchor === "start" ? 0 : wide / 2;
  return clamp(x, before, Math.max(before, width - wide + before));
}

/** Text elements, of which only as many are made as are needed, and the rest is emptied. */
function texts(group, labels, width) {
  while (group.childNodes.length < labels.length) group.append(svg("text"));
  [...group.childNodes].forEach((node, k) => {
    const label = labels[k];
    write(node, label?.text ?? "");
    if (!label) return;
    node.setAttribute("x", within(label, width).toFixed(1));
    node.setAttribute("y", (label.at[1] + BELOW_PX).toFixed(1));
    node.setAttribute("text-anchor", label.anchor ?? "middle");
  });
}

export class Box {
  constructor() {
    const id = freshId();
    const stripe = svg("path", { class: "rx-surface-stripe", d: "M0 6L6 0M-1 1L1 -1M5 7L7 5" });
    const hatch = svg("pattern", { id, width: 6, height: 6, patternUnits: "userSpaceOnUse" }, stripe);
    this.floor = svg("path", { class: "rx-surface-floor" });
    this.cut = svg("path", { class: "rx-surface-cut", fill: `url(#${id})` });
    this.lines = svg("path", { class: "rx-plot-grid" });
    this.edges = svg("path", { class: "rx-plot-axis" });
    this.numbers = svg("g", { class: "rx-plot-ticks" });
    this.names = svg("g", { class: "rx-plot-ticks rx-surface-names" });
    this.node = svg("svg", { class: "rx-plot rx-surface-back", "aria-hidden": "true" }, svg("defs", {}, hatch), this.floor, this.cut, this.lines, this.edges, this.numbers, this.names);
  }

  /** @param {import("./camera.js").Camera} camera @param {any} surface @param {any} props @param {any} scale */
  lay(camera, surface, levels, props, scale) {
    const { x, y } = surface, at = (...place) => camera.place(...place), upright = camera.high > 0;
    const front = camera.cos >= 0 ? -1 : 1, side = camera.sin >= 0 ? -1 : 1; // the edges of the floor nearest to the eye
    const ticks = upright ? ticksOf({ low: props.low, high: props.high }, scale, LEVELS).map(({ value, label }) => ({ label, level: scale.place(value) })) : [];
    this.floor.setAttribute("d", `${path([at(-1, -1), at(1, -1), at(1, 1), at(-1, 1)])}Z`);
    // A map covers all but what is cut.
    this.cut.setAttribute("d", upright ? this.cells(levels, x.data.length, at) : this.floor.getAttribute("d"));
    this.lines.setAttribute("d", [
      ...[-0.5, 0, 0.5].flatMap((line) => [path([at(line, -1), at(line, 1)]), path([at(-1, line), at(1, line)])]),
      ...ticks.map(({ level }) => path([at(side, -front, level), at(-side, -front, level), at(-side, front, level)])),
    ].join(""));
    const corner = at(side, -front)[0] <= at(-side, front)[0] ? [side, -front] : [-side, front]; // the leftmost
    this.edges.setAttribute("d", `${path([at(-1, front), at(1, front)])}${path([at(side, -1), at(side, 1)])}${upright ? path([at(...corner, 0), at(...corner, 1)]) : ""}`);
    const around = [[0, front], [side, 0]]; // the ways out of the floor, over each of the two edges
    const ends = [x, y].map(({ data }) => [data[0], 0, data.at(-1)]);
    const along = (axis, share) => (axis ? [side, share] : [share, front]);
    const beside = (text, axis, share, away) => this.beside(text, at, along(axis, share), around[axis], away);
    const free = (axis, share) => !upright || along(axis, share).some((each, k) => each !== corner[k]); // of the axis of the loss
    texts(this.numbers, [
      ...[x, y].flatMap((values, axis) => ends[axis].filter((value) => free(axis, sideOf(values, value))).map((value) => beside(numeral(Number(value.toPrecision(2))), axis, sideOf(values, value), TICK_PX))),
      ...ticks.map(({ label, level }) => ({ text: label, at: [at(...corner, level)[0] - 6, at(...corner, level)[1]], anchor: "end" })),
    ], 2 * camera.left);
    const top = at(...corner, 1);
    texts(this.names, [
      beside(ACROSS, 0, 0.5, TITLE_PX),
      beside(UP, 1, 0.5, TITLE_PX),
      ...(upright ? [{ text: "loss", at: [top[0], top[1] - 14] }] : []),
    ], 2 * camera.left);
  }

  /** A text so many pixels outside of the floor, over an edge: where it stands and where it begins. */
  beside(text, at, place, out, away) {
    const from = at(...place), to = at(place[0] + out[0], place[1] + out[1]), way = [to[0] - from[0], to[1] - from[1]];
    const length = Math.hypot(...way) || 1, right = way[0] / length;
    return {
      text,
      at: [from[0] + right * away, from[1] + (way[1] / length) * away],
      anchor: right < -SIDEWAYS ? "end" : right > SIDEWAYS ? "start" : "middle",
    };
  }

  /** The floor under what lies beyond the scale. */
  cells(levels, columns, at) {
    const rows = levels.length / columns, found = [];
    forCells(levels, columns, (k) => {
      const area = part(levels, columns, k, true);
      if (area.length) found.push(`${path(area.map(([column, row]) => at((2 * column) / (columns - 1) - 1, (2 * row) / (rows - 1) - 1)))}Z`);
    });
    return found.join("");
  }
}
