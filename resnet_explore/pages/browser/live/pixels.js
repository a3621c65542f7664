/* From strokes and photos to the pixels that networks see, made as the data sets' were. */

import { clamp } from "../../../widgets/browser/dom.js";

/** @typedef {{data: Uint8Array | Uint8ClampedArray, shape: number[]}} Pixels (h, w) of grey or (h, w, 3) */

// --- a digit --------------------------------------------------------------------------------------------------

// As the digits were made (Alpaydin and Kaynak 1998): fitted into 32×32 pixels of ink or none, then counted in
// squares of 4×4. In the training images ink fills the height, two thirds of the width and 30 % of the pixels, by pens
// of all sorts; of lines that are drawn evenly the networks know most at 34 %.
const GRID = 32, CELL = 4, WIDEST = 22, INK = 0.34;
const PENS = [2.5, 11]; // pixels, between which the pen is as thick as the ink asks for
const FEW = 48; // points of a stroke that are looked at

/** Strokes as an image of a digit, grey (8, 8), 0 to 255, or null where nothing is drawn.
 *
 * @param {number[][][]} strokes each a list of points [x, y]
 */
export function digitOf(strokes) {
  const lines = strokes.map(thinned).filter((line) => line.length);
  if (!lines.length) return null;
  let [thin, thick] = PENS, ink;
  for (let k = 0; k < 7; k++) {
    const pen = (thin + thick) / 2;
    ink = inked(fitted(lines, pen), pen);
    if (ink.reduce((a, b) => a + b, 0) < INK * GRID * GRID) thin = pen;
    else thick = pen;
  }
  const side = GRID / CELL, counts = new Float32Array(side * side);
  ink.forEach((on, k) => { counts[Math.floor(k / GRID / CELL) * side + Math.floor((k % GRID) / CELL)] += on; });
  return { data: Uint8Array.from(counts, (count) => Math.round(count * (255 / (CELL * CELL)))), shape: [side, side] };
}

function thinned(line) {
  const every = Math.max(1, Math.ceil(line.length / FEW));
  return line.filter((_, k) => k % every === 0 || k === line.length - 1);
}

/** The lines moved and scaled so that they fill the grid, drawn with a pen of that width. */
function fitted(lines, pen) {
  const [xs, ys] = [0, 1].map((axis) => lines.flatMap((line) => line.map((point) => point[axis])));
  const [left, right, top, bottom] = [Math.min(...xs), Math.max(...xs), Math.min(...ys), Math.max(...ys)];
  const high = GRID - pen, tall = Math.max(bottom - top, 1e-6), wide = right - left;
  const room = Math.min((wide / tall) * high, WIDEST - pen);
  const [across, down] = [wide > 0 ? room / wide : 0, bottom > top ? high / tall : 0];
  return lines.map((line) => line.map(([x, y]) => [GRID / 2 + (x - (left + right) / 2) * across, GRID / 2 + (y - (top + bottom) / 2) * down]));
}

/** Which pixels a pen touches: 1 where a pixel's middle is within half its width of a line. */
function inked(lines, pen) {
  const ink = new Uint8Array(GRID * GRID), reach = (pen / 2) ** 2;
  for (const line of lines) {
    for (let k = 0; k < line.length; k++) mark(ink, line[Math.max(0, k - 1)], line[k], reach);
  }
  return ink;
}

function mark(ink, [ax, ay], [bx, by], reach) {
  const [dx, dy] = [bx - ax, by - ay], length = dx * dx + dy * dy, far = Math.sqrt(reach);
  const [x0, x1, y0, y1] = [Math.min(ax, bx) - far, Math.max(ax, bx) + far, Math.min(ay, by) - far, Math.max(ay, by) + far].map((at) => clamp(Math.floor(at), 0, GRID - 1));
  for (let y = y0; y <= y1; y++) {
    for (let x = x0; x <= x1; x++) {
      const [px, py] = [x + 0.5 - ax, y + 0.5 - ay], along = length ? clamp((px * dx + py * dy) / length, 0, 1) : 0;
      if ((px - along * dx) ** 2 + (py - along * dy) ** 2 <= reach) ink[y * GRID + x] = 1;
    }
  }
}

// --- a photo --------------------------------------------------------------------------------------------------

const MOST = 1024; // pixels of a short side from which on a photo is made smaller by the browser first

/** A photo's middle square, (side, side, 3): short side resized, then the centre cut out, as torchvision does.
 *
 * What is transparent is white.
 *
 * @param {ImageBitmap} photo @param {number} side
 * @returns {Pixels}
 */
export function photoOf(photo, side) {
  const factor = Math.min(1, MOST / Math.min(photo.width, photo.height));
  const [width, height] = [photo.width, photo.height].map((n) => Math.max(1, Math.round(n * factor)));
  const canvas = new OffscreenCanvas(width, height), context = canvas.getContext("2d");
  context.fillStyle = "#fff";
  context.fillRect(0, 0, width, height);
  context.imageSmoothingQuality = "high";
  context.drawImage(photo, 0, 0, width, height);
  const { data } = context.getImageData(0, 0, width, height);
  return resized(data, width, height, side);
}

/** Colours (RGBA) resized so that the short side has `side` pixels, and the middle of that.
 *
 * To within one of Pillow's bilinear resize, which averages over all that a new pixel covers.
 */
export function resized(data, width, height, side) {
  const tall = width <= height, [wide, high] = tall ? [side, Math.floor((side * height) / width)] : [Math.floor((side * width) / height), side];
  const columns = covered(width, wide, even((wide - side) / 2), side), rows = covered(height, high, even((high - side) / 2), side);
  const narrow = new Uint8ClampedArray(height * side * 3), out = new Uint8ClampedArray(side * side * 3);
  for (let y = rows[0].first; y < rows.at(-1).first + rows.at(-1).shares.length; y++) {
    columns.forEach(({ first, shares }, x) => {
      for (let c = 0; c < 3; c++) narrow[(y * side + x) * 3 + c] = shares.reduce((sum, share, k) => sum + share * data[(y * width + first + k) * 4 + c], 0);
    });
  }
  rows.forEach(({ first, shares }, y) => {
    for (let k = 0; k < side * 3; k++) out[y * side * 3 + k] = shares.reduce((sum, share, j) => sum + share * narrow[(first + j) * side * 3 + k], 0);
  });
  return { data: out, shape: [side, side, 3] };
}

/** Halves to the even neighbour, as Python rounds. */
function even(value) {
  const low = Math.floor(value);
  return value - low === 0.5 ? low + (low % 2) : Math.round(value);
}

/** Of each new pixel from `start` on, which old ones it is made of and their shares. */
function covered(old, count, start, wanted) {
  const scale = old / count, support = Math.max(scale, 1);
  return Array.from({ length: wanted }, (_, k) => {
    const middle = (start + k + 0.5) * scale;
    const first = Math.max(0, Math.trunc(middle - support + 0.5)), end = Math.min(old, Math.trunc(middle + support + 0.5));
    const shares = Array.from({ length: end - first }, (__, j) => Math.max(0, 1 - Math.abs((first + j - middle + 0.5) / support)));
    const sum = shares.reduce((a, b) => a + b, 0);
    return { first, shares: shares.map((share) => share / sum) };
  });
}

// --- both -----------------------------------------------------------------------------------------------------

/** Pixels as a network takes them: (v / 255 − mean) / std, channel after channel.
 *
 * @param {Pixels} pixels @param {{mean: number[], std: number[]}} form
 */
export function standardised({ data }, { mean, std }) {
  const channels = mean.length, size = data.length / channels, out = new Float32Array(data.length);
  for (let c = 0; c < channels; c++) for (let k = 0; k < size; k++) out[c * size + k] = (data[k * channels + c] / 255 - mean[c]) / std[c];
  return out;
}

/** Pixels as squares on a canvas. @param {Pixels} pixels */
export function painted({ data, shape: [height, width, colors = 1] }) {
  const canvas = Object.assign(document.createElement("canvas"), { width, height });
  const image = new ImageData(width, height);
  for (let k = 0; k < width * height; k++) {
    for (let c = 0; c < 3; c++) image.data[4 * k + c] = data[k * colors + (colors === 3 ? c : 0)];
    image.data[4 * k + 3] = 255;
  }
  canvas.getContext("2d").putImageData(image, 0, 0);
  return canvas;
}

/** Pixels as a PNG with sides of `side` pixels. @param {Pixels} pixels @returns {Promise<ArrayBuffer>} */
export async function png(pixels, side) {
  const canvas = new OffscreenCanvas(side, side), context = canvas.getContext("2d");
  context.imageSmoothingEnabled = false;
  context.drawImage(painted(pixels), 0, 0, side, side);
  return (await canvas.convertToBlob()).arrayBuffer();
}
