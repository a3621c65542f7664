/* Heatmaps: the place under the pointer, framed on the pictures and read out. */

import { clamp } from "../dom.js";
import { signed } from "./heat_colors.js";

const MARK_PX = 10; // a single pixel is framed as if it were so large
const MOVES = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1], Escape: null };

/** @typedef {{x: number, y: number}} Place shares of the picture's sides */

/** The place under the pointer. @param {PointerEvent} event @returns {Place} */
export function placeOf(event) {
  const box = event.currentTarget.getBoundingClientRect();
  return { x: clamp((event.clientX - box.left) / box.width, 0, 0.9999), y: clamp((event.clientY - box.top) / box.height, 0, 0.9999) };
}

/** The place that a key moves to, a cell of this map at a time; undefined for other keys, null to let go.
 *
 * @param {string} key @param {Place | null} place @param {number[]} shape
 */
export function movedBy(key, place, [h, w]) {
  if (!(key in MOVES)) return undefined;
  const move = MOVES[key], { x, y } = place ?? { x: 0.5, y: 0.5 };
  const along = (at, by, count) => (clamp(Math.floor(at * count) + by, 0, count - 1) + 0.5) / count;
  return move && { x: along(x, move[0], w), y: along(y, move[1], h) };
}

function cellOf({ data, shape: [h, w] }, place) {
  const row = Math.floor(place.y * h), column = Math.floor(place.x * w);
  return { row, column, value: data[row * w + column] };
}

/** What is read out: the place and its values, or how to get there. */
export function words(props, place) {
  if (!place) {
    const ask = props.asks ? " Click or Enter asks about that place." : "";
    return `Point, or use the arrow keys, to read values.${ask}`;
  }
  const { maps } = props.steps, last = maps.at(-1), { row, column } = cellOf(last.values, place), [h, w] = last.values.shape;
  const values = maps.map((map) => `${map.name} ${signed(cellOf(map.values, place).value)}`);
  const seen = last.seen_by && (last.seen_by.size >= 2 ? "the whole picture" : `${last.seen_by.pixels}×${last.seen_by.pixels} pixels`);
  const unit = props.unit && ` ${props.unit}`;
  return `Row ${row}, column ${column} of ${h}×${w}: ${values.join(", ")}${unit}.${added(props, place)}${seen ? ` It can depend on ${seen} (dashed).` : ""}`;
}

/** Two maps and their sum as numbers, where some of the maps are that. */
function added({ adds, steps: { maps } }, place) {
  if (!adds.length || maps.length < adds.length) return "";
  const [a, b, sum] = adds.map((k) => signed(cellOf(maps.at(k).values, place).value));
  return ` ${a.replace(/^\+/, "")} + ${b.startsWith("−") ? `(${b})` : b.slice(1)} = ${sum.replace(/^\+/, "")}.`;
}

/** Frame what was asked about, where that is a part of the picture. */
export function drawMark(context, mark, { width, height }) {
  if (!mark) return;
  const [x0, y0, x1, y1] = mark.map((share, i) => share * (i % 2 ? height : width));
  const [wider, taller] = [Math.max(0, MARK_PX - (x1 - x0)) / 2, Math.max(0, MARK_PX - (y1 - y0)) / 2];
  frame(context, [x0 - wider, y0 - taller, x1 + wider, y1 + taller], [2, 3]);
}

/** Frame the cell at a place and, dashed, what of the picture its value can depend on. */
export function drawCell(context, { values, seen_by: seen }, place, { width, height }) {
  if (!place) return;
  const { row, column } = cellOf(values, place), [h, w] = values.shape;
  frame(context, [(column * width) / w, (row * height) / h, ((column + 1) * width) / w, ((row + 1) * height) / h], []);
  if (!seen) return;
  const { start, jump, size } = seen, x = start + column * jump, y = start + row * jump;
  frame(context, [(x - size / 2) * width, (y - size / 2) * height, (x + size / 2) * width, (y + size / 2) * height], [6, 4]);
}

function frame(context, [x0, y0, x1, y1], dash) {
  const { width, height } = context.canvas;
  const [a, b] = [clamp(x0, 0, width), clamp(y0, 0, height)];
  const size = [clamp(x1, 0, width) - a, clamp(y1, 0, height) - b];
  for (const [style, line, pattern] of [["#fff", 3, []], ["#1b1d21", 1.5, dash]]) {
    Object.assign(context, { strokeStyle: style, lineWidth: line });
    context.setLineDash(pattern);
    context.strokeRect(a, b, ...size);
  }
  context.setLineDash([]);
}
