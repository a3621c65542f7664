/* What a surface says at a point, in words. */

import { numeral } from "../axis.js";

const fixed = (value) => numeral(Number(value.toPrecision(3)));

/* What the two directions are called. */
export const ACROSS = "direction 1";
export const UP = "direction 2";

/** "loss 2.31, error 81 %" @param {any} surface @param {any} props @param {number} k the point's place */
function valuesAt({ loss, error }, { low, high }, k) {
  const value = loss.data[k];
  if (!Number.isFinite(value)) return "no finite loss";
  const beyond = value > high ? `, above the cut at ${fixed(high)}` : value < low ? `, below ${fixed(low)}` : "";
  return `loss ${fixed(value)}${beyond}${error ? `, error ${numeral(Number(error.data[k].toFixed(1)))} %` : ""}`;
}

/** All surfaces at one point. @param {any} props @param {[number, number]} point column and row */
export function sentence(props, [column, row]) {
  const { surfaces } = props;
  const places = surfaces.map(({ x, y }) => `${ACROSS} ${fixed(x.data[column])}, ${UP} ${fixed(y.data[row])}`);
  const values = surfaces.map((surface) => `${surface.name}: ${valuesAt(surface, props, row * surface.x.data.length + column)}`);
  if (new Set(places).size === 1) return `${places[0]}. ${values.join("; ")}.`;
  return surfaces.map((_, k) => `${places[k]}, ${values[k]}`).join("; ") + "."; // each has directions of its own
}

/** What can be done. @param {any} props */
export const hint = ({ look, surfaces }) => (look === "contours"
  ? "Point, or use the arrow keys, to read values."
  : `Drag or use the arrow keys to turn ${surfaces.length > 1 ? "both" : "it"}. Point, or hold Shift with the arrow keys, to read values.`);
