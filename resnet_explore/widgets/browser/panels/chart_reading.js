/* What a chart says at an x: at which of them it can be read, and in which words. No pixels, no elements. */

import { labelOf, numeral } from "./axis.js";

/** @typedef {import("./axis.js").Axis} Axis
 * @typedef {{data: Float64Array}} Row
 * @typedef {{name: string, kind: string, x: Row, y: Row, low: Row | null, high: Row | null, line: string,
 *   marker: string, look: "full" | "open" | "ghost", tips: string[], listed?: boolean}} Series
 */

/** Whether a series is read out and stands in the legend. @param {Series} series */
export const isListed = ({ listed }) => listed !== false;

/** All x on the axis at which a series has a point, in order. @param {Series[]} series @param {{low: number, high: number}} scale */
export function stopsOf(series, { low, high }) {
  const every = new Set();
  for (const { x, y, low: lower } of series) {
    for (let k = 0; k < x.data.length; k += 1) {
      const known = !Number.isNaN(y.data[k]) || (lower && !Number.isNaN(lower.data[k]));
      if (known && x.data[k] >= low && x.data[k] <= high) every.add(x.data[k]);
    }
  }
  return [...every].sort((a, b) => a - b);
}

/** The value that stands nearest in an ordered row, by a distance that rises with it. */
export function nearest(row, pixel, place) {
  let best = null, least = Infinity;
  for (const value of row) {
    const away = Math.abs(place(value) - pixel);
    if (away < least) [best, least] = [value, away];
  }
  return best;
}

/** Points of a series at an x: one, none, or several where it has several. @returns {number[]} */
function pointsAt(x, at) {
  const found = [];
  for (let k = 0; k < x.length; k += 1) if (x[k] === at) found.push(k);
  return found;
}

/** Between two points of a line, where the line is at x; NaN beyond its ends and in gaps. */
function between({ x, y, line }, at, logX, logY) {
  const next = x.data.findIndex((value) => value > at);
  if (line === "none" || line === "bars" || next < 1) return NaN;
  const [a, b] = [y.data[next - 1], y.data[next]];
  const flat = logX ? Math.log : Number;
  const t = (flat(at) - flat(x.data[next - 1])) / (flat(x.data[next]) - flat(x.data[next - 1]));
  return logY ? Math.exp(Math.log(a) + t * (Math.log(b) - Math.log(a))) : a + t * (b - a);
}

function pointText({ y, low, high }, k, unit = "") {
  const value = numeral(y.data[k]);
  if (!low || Number.isNaN(low.data[k])) return value === "–" ? value : value + unit;
  const span = `${numeral(low.data[k])}${low.data[k] < 0 ? " to " : "–"}${numeral(high.data[k])}`;
  return value === "–" ? span + unit : `${value}${unit} (${span})`;
}

/** What a series says at x: "12.3 % (10–14)", "≈ 3.1 %" between two points, "–" for nothing.
 *
 * @param {Series} series @param {number} at @param {Axis} xAxis @param {Axis} yAxis @param {string} unit
 */
export function valueText(series, at, xAxis, yAxis, unit = "") {
  const points = pointsAt(series.x.data, at).map((k) => pointText(series, k, unit));
  if (points.length) return points.join(", ");
  const value = between(series, at, xAxis.scale === "log", yAxis.scale === "log");
  return Number.isFinite(value) ? `≈ ${numeral(value)}${unit}` : "–";
}

/** The texts of the points at x, joined. @param {Series[]} series */
export function tipText(series, at) {
  const tips = series.flatMap(({ x, tips: own }) => (own?.length ? pointsAt(x.data, at).map((k) => own[k]) : []));
  return tips.filter(Boolean).join(" ");
}

const widths = new WeakMap();

/** The longest text that a series' own points give: what room the read-out needs. @param {Series} series */
export function widest(series) {
  let text = widths.get(series.y);
  if (text === undefined) {
    text = "–";
    for (let k = 0; k < series.x.data.length; k += 1) {
      const own = pointText(series, k);
      if (own.length > text.length) text = own;
    }
    widths.set(series.y, text);
  }
  return text;
}

/** "depth 20" @param {Axis} axis */
export const placeText = (axis, at) => `${axis.name || axis.label} ${labelOf(axis, at)}`;

/** Everything at an x in one sentence, for who hears it. */
export function sentence({ x, y, series }, at) {
  const unit = y.unit ? ` ${y.unit}` : "";
  const values = series.filter(isListed).map((curve) => [curve.name, valueText(curve, at, x, y, unit)]).filter(([, text]) => text !== "–");
  const said = values.map(([name, text]) => `${name} ${text}`).join(", ") || "no value";
  const tip = tipText(series, at);
  return `${placeText(x, at)}: ${said}.${tip ? ` ${tip}` : ""}`;
}
