/* A surface on a canvas: its cells from far to near, or a map of its colours. */

import { clamp } from "../../dom.js";
import { viridis } from "../matrices.js";
import { drawn, forCells, part } from "./grid.js";

const COLORS = 64, SHADES = 9; // steps of colour, and of light on what is steep
const DARKEST = 0.72, LIGHTEST = 1.14, SLOPE = 2.2; // factors on a colour, and how much light a slope takes
const MESH = "rgb(0 0 0 / 24%)", MESH_PX = 0.7;

/** @type {string[][]} by light, then by level */
const table = Array.from({ length: SHADES }, (_, shade) => {
  const factor = DARKEST + ((LIGHTEST - DARKEST) * shade) / (SHADES - 1);
  return Array.from({ length: COLORS }, (__, k) => `rgb(${viridis(k / (COLORS - 1)).map((value) => Math.min(255, Math.round(value * factor))).join(" ")})`);
});

/** Draw a surface. What is nearer to the eye is drawn over what is behind it; what lies beyond the scale is left out.
 *
 * @param {CanvasRenderingContext2D} brush @param {Float64Array} levels row by row @param {number} columns
 * @param {import("./camera.js").Camera} camera
 */
export function paintSurface(brush, levels, columns, camera) {
  const rows = levels.length / columns, px = new Float32Array(levels.length), py = new Float32Array(levels.length);
  const spot = (column, row, level) => camera.place((2 * column) / (columns - 1) - 1, (2 * row) / (rows - 1) - 1, drawn(level));
  for (let k = 0; k < levels.length; k += 1) [px[k], py[k]] = spot(k % columns, Math.floor(k / columns), levels[k]);
  brush.lineWidth = MESH_PX;
  brush.lineJoin = "round";
  brush.strokeStyle = MESH;
  const fromRight = camera.sin > 0, fromTop = camera.cos > 0;
  for (let i = 0; i < rows - 1; i += 1) {
    const row = fromTop ? rows - 2 - i : i;
    for (let j = 0; j < columns - 1; j += 1) {
      const column = fromRight ? columns - 2 - j : j, a = row * columns + column, b = a + 1, c = b + columns, d = a + columns;
      const [la, lb, lc, ld] = [drawn(levels[a]), drawn(levels[b]), drawn(levels[c]), drawn(levels[d])];
      const whole = levels[a] <= 1 && levels[b] <= 1 && levels[c] <= 1 && levels[d] <= 1;
      const left = whole ? null : part(levels, columns, a);
      if (left && left.length < 3) continue;
      brush.beginPath();
      if (left) {
        left.forEach((corner, k) => brush[k ? "lineTo" : "moveTo"](...spot(...corner)));
      } else {
        brush.moveTo(px[a], py[a]);
        brush.lineTo(px[b], py[b]);
        brush.lineTo(px[c], py[c]);
        brush.lineTo(px[d], py[d]);
      }
      brush.closePath();
      const light = clamp(0.5 + SLOPE * ((la + ld - lb - lc) * 0.35 + (la + lb - lc - ld) * 0.2), 0, 1);
      const level = left ? left.reduce((sum, corner) => sum + drawn(corner[2]), 0) / left.length : (la + lb + lc + ld) / 4;
      brush.fillStyle = table[Math.round(light * (SHADES - 1))][Math.round(level * (COLORS - 1))];
      brush.fill();
      brush.stroke();
    }
  }
}

/** Draw the colours of a surface as a map that fills the floor; they blend from point to point.
 *
 * @param {CanvasRenderingContext2D} brush @param {HTMLCanvasElement} small a canvas to work on
 */
export function paintMap(brush, small, levels, columns, camera) {
  const rows = levels.length / columns, image = new ImageData(columns, rows);
  for (let k = 0; k < levels.length; k += 1) {
    const column = k % columns, row = (k - column) / columns;
    image.data.set([...viridis(drawn(levels[k])), 255], 4 * ((rows - 1 - row) * columns + column));
  }
  Object.assign(small, { width: columns, height: rows });
  small.getContext("2d").putImageData(image, 0, 0);
  const [left, top] = camera.place(-1, 1), [right, bottom] = camera.place(1, -1);
  brush.save();
  brush.beginPath();
  forCells(levels, columns, (k) => part(levels, columns, k).forEach(([column, row], corner) => {
    brush[corner ? "lineTo" : "moveTo"](...camera.place((2 * column) / (columns - 1) - 1, (2 * row) / (rows - 1) - 1));
  }));
  brush.clip();
  // The points lie in the middle of the small picture's pixels, the outer ones on the edge of the floor.
  const wide = (right - left) / (columns - 1), high = (bottom - top) / (rows - 1);
  brush.drawImage(small, left - wide / 2, top - high / 2, wide * columns, high * rows);
  brush.restore();
}
