/* The values of a surface as levels from 0 to 1 of the scale, and what lies between them. No pixels, no elements. */

import { scaleOf } from "../axis.js";

/** @typedef {{data: Float32Array, shape: number[]}} Rows
 * @typedef {{low: number, high: number}} Range
 */

/** The scale, a logarithmic one, that takes a loss to a level. @param {Range} range */
export const scaleFor = ({ low, high }) => scaleOf({ scale: "log", low, high }, 0, 1);

/** Levels of all values: below 0 for what is less than the scale, above 1 for what is more, NaN for what is no number.
 *
 * @param {Rows} rows @param {ReturnType<typeof scaleFor>} scale @returns {Float64Array}
 */
export function levelsOf({ data }, scale) {
  return Float64Array.from(data, (value) => (Number.isFinite(value) ? (value <= 0 ? 0 : scale.place(value)) : NaN));
}

/** The height at which a level is drawn: what lies beyond the scale is cut. */
export const drawn = (level) => (level <= 1 ? Math.max(level, 0) : 1);

const FAR_UP = 2; // the level at which what is no number is thought to lie, to draw the edge beside it

/** The corners of a cell, round it: places in steps from its first corner. */
const CORNERS = [[0, 0], [1, 0], [1, 1], [0, 1]];

/** That part of a cell which lies within the scale, or beyond it, as corners of an area: [column, row, level].
 *
 * @param {Float64Array} levels @param {number} columns @param {number} k the place of the cell's first corner
 * @param {boolean} beyond whether the part above the scale is asked for
 */
export function part(levels, columns, k, beyond = false) {
  const column = k % columns, row = (k - column) / columns;
  const corners = CORNERS.map(([right, up]) => {
    const level = levels[k + right + up * columns];
    return [column + right, row + up, Number.isNaN(level) ? FAR_UP : level];
  });
  const found = [];
  corners.forEach((from, side) => {
    const to = corners[(side + 1) % 4], inside = from[2] <= 1 !== beyond;
    if (inside) found.push(from);
    if (inside === (to[2] <= 1 !== beyond)) return;
    const t = (1 - from[2]) / (to[2] - from[2]);
    found.push([from[0] + t * (to[0] - from[0]), from[1] + t * (to[1] - from[1]), 1]);
  });
  return found;
}

/** Call `each` with the place of every cell's first corner. */
export function forCells(levels, columns, each) {
  const last = levels.length - columns;
  for (let k = 0; k < last; k += 1) if ((k + 1) % columns) each(k);
}

/** The place of a value in a rising row, as a number of steps; NaN outside. @param {ArrayLike<number>} row */
function stepsTo(row, value) {
  const last = row.length - 1, at = ((value - row[0]) / (row[last] - row[0])) * last;
  return at >= -1e-6 && at <= last + 1e-6 ? Math.min(Math.max(at, 0), last) : NaN;
}

/** The level at any place of the plane, between its points; NaN outside.
 *
 * @param {Float64Array} levels @param {{x: Rows, y: Rows}} axes
 */
export function levelAt(levels, { x, y }, atX, atY) {
  const columns = x.data.length, across = stepsTo(x.data, atX), up = stepsTo(y.data, atY);
  if (Number.isNaN(across) || Number.isNaN(up)) return NaN;
  const column = Math.min(Math.floor(across), columns - 2), row = Math.min(Math.floor(up), y.data.length - 2);
  const right = across - column, higher = up - row, k = row * columns + column;
  const along = (at) => drawn(levels[at]) * (1 - right) + drawn(levels[at + 1]) * right;
  return along(k) * (1 - higher) + along(k + columns) * higher;
}

/** Where a value lies on its axis, from -1 to 1. @param {Rows} axis */
export const sideOf = ({ data }, value) => (2 * (value - data[0])) / (data.at(-1) - data[0]) - 1;

/** The straight pieces of the line at a level, as an SVG path; marching squares.
 *
 * @param {Float64Array} levels @param {number} columns @param {number} level
 * @param {(column: number, row: number) => number[]} place pixels of a place between points
 */
export function lineAt(levels, columns, level, place) {
  const rows = levels.length / columns, pieces = [];
  for (let row = 0; row < rows - 1; row += 1) {
    for (let column = 0; column < columns - 1; column += 1) {
      const k = row * columns + column;
      const corners = [levels[k], levels[k + 1], levels[k + columns + 1], levels[k + columns]]; // round the cell
      const met = [];
      for (let side = 0; side < 4; side += 1) {
        const from = corners[side], to = corners[(side + 1) % 4];
        if (from < level === to < level || Number.isNaN(from + to)) continue;
        const t = (level - from) / (to - from);
        met.push(place(column + [t, 1, 1 - t, 0][side], row + [0, t, 1, 1 - t][side]));
      }
      for (let k2 = 0; k2 + 1 < met.length; k2 += 2) {
        pieces.push(`M${met[k2][0].toFixed(1)} ${met[k2][1].toFixed(1)}L${met[k2 + 1][0].toFixed(1)} ${met[k2 + 1][1].toFixed(1)}`);
      }
    }
  }
  return pieces.join("");
}
