/* Heatmaps: from numbers to colours. Maps are enlarged bilinearly, as torch's `interpolate(align_corners=False)`. */

import { clamp } from "../dom.js";

export const SIDE = 256; // maps are coloured at this resolution and drawn larger

const known = new Map(); // by their count of cells

/** Positions and weights of bilinear enlargement from `count` cells to SIDE pixels along one axis; or each cell as it is. */
function interpolation(count, crisp) {
  const name = crisp ? -count : count;
  if (known.has(name)) return known.get(name);
  const low = new Int32Array(SIDE), high = new Int32Array(SIDE), share = new Float32Array(SIDE);
  for (let i = 0; i < SIDE; i++) {
    const at = crisp ? Math.floor(((i + 0.5) * count) / SIDE) : clamp(((i + 0.5) * count) / SIDE - 0.5, 0, count - 1);
    low[i] = Math.floor(at);
    high[i] = Math.min(low[i] + 1, count - 1);
    share[i] = at - low[i];
  }
  known.set(name, { low, high, share });
  return known.get(name);
}

/** Write a map's colours, SIDE x SIDE, into `pixels` (RGBA).
 *
 * @param {Uint8ClampedArray} pixels @param {{data: Float32Array, shape: number[]}} values
 * @param {number} scale the magnitude of full colour @param {Uint8Array} table 256 colours for -scale to scale
 * @param {boolean} crisp whether each value is a square
 */
export function color(pixels, { data, shape: [h, w] }, scale, table, crisp = false) {
  const x = interpolation(w, crisp), y = interpolation(h, crisp);
  const out = new Uint32Array(pixels.buffer), colors = new Uint32Array(table.buffer, table.byteOffset, 256);
  const factor = scale > 0 ? 127.5 / scale : 0;
  const line = new Float64Array(w); // of the map at the height of a row of pixels
  let at = 0;
  for (let i = 0; i < SIDE; i++) {
    const top = y.low[i] * w, bottom = y.high[i] * w, down = y.share[i];
    for (let k = 0; k < w; k++) line[k] = (data[top + k] + (data[bottom + k] - data[top + k]) * down) * factor + 127.5;
    for (let j = 0; j < SIDE; j++) {
      const left = line[x.low[j]], value = left + (line[x.high[j]] - left) * x.share[j];
      // 127 is bare: what is no number has no colour.
      out[at++] = colors[value > 255 ? 255 : value >= 0 ? (value + 0.5) | 0 : value < 0 ? 0 : 127];
    }
  }
}

/** Three significant digits, with a sign. @param {number} value */
export function signed(value) {
  if (!Number.isFinite(value)) return "no number";
  const text = Math.abs(value) >= 1000 || (value !== 0 && Math.abs(value) < 1e-3)
    ? Math.abs(value).toExponential(1) : value === 0 ? "0" : Math.abs(value).toPrecision(3);
  return (value < 0 ? "−" : "+") + text;
}

const DARKEST = 100; // of 255, as in figures/heatmaps.py

/** What lies under a map: a photo without its colours, which are the map's alone.
 *
 * Nor is it dark anywhere: over black each colour would look like one near the end of its scale.
 *
 * @param {ImageBitmap} photo
 */
export function underMap(photo) {
  const under = new OffscreenCanvas(photo.width, photo.height), context = under.getContext("2d");
  context.drawImage(photo, 0, 0);
  const image = context.getImageData(0, 0, photo.width, photo.height), { data } = image;
  for (let i = 0; i < data.length; i += 4) {
    const grey = 0.299 * data[i] + 0.587 * data[i + 1] + 0.114 * data[i + 2];
    data.fill(Math.round(DARKEST + grey * (1 - DARKEST / 255)), i, i + 3);
  }
  context.putImageData(image, 0, 0);
  return under;
}
