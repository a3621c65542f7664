/* What is made of a network's numbers: shares, ranks, maps and tiles. Pure functions. */

import { LEVELS } from "../../../widgets/browser/panels/tiles_paint.js";

/** @typedef {{data: Float32Array, shape: number[]}} Values */

/** Probabilities of logits. @param {Float32Array} logits */
export function softmax(logits) {
  const most = Math.max(...logits), powers = Array.from(logits, (value) => Math.exp(value - most));
  const sum = powers.reduce((a, b) => a + b, 0);
  return powers.map((value) => value / sum);
}

/** Places by value, the largest first; of equals the first. @param {ArrayLike<number>} values */
export const ranked = (values) => Array.from(values, (_, k) => k).sort((a, b) => values[b] - values[a] || a - b);

/** What each place of the last features adds to a class's logit: all places and the bias add up to it.
 *
 * A network that ends in a mean over places and a linear layer gives logit = bias + sum over channels of
 * weight × mean of the channel: the class activation map (Zhou et al. 2016), here without a backward pass.
 *
 * @param {Values} features (1, C, h, w) @param {number[]} weight one for each channel @returns {Values} (h, w)
 */
export function activationMap({ data, shape: [, channels, h, w] }, weight) {
  const map = new Float32Array(h * w);
  for (let c = 0; c < channels; c++) {
    for (let k = 0; k < h * w; k++) map[k] += (weight[c] * data[c * h * w + k]) / (h * w);
  }
  return { data: map, shape: [h, w] };
}

/** The largest magnitude. @param {Iterable<number>} values */
export function largest(values) {
  let most = 0;
  for (const value of values) most = Math.max(most, Math.abs(value));
  return most;
}

/** Features as a sheet of tiles, as `Sheet` of tiles_panel.py.
 *
 * @param {Values} features (1, C, h, w) @param {{heading: string, kind: string}} words
 */
export function sheet({ data, shape: [, count, h, w] }, { heading, kind }) {
  const tiles = new Int8Array(count * h * w), rows = new Float32Array(4 * count), size = h * w;
  for (let c = 0; c < count; c++) {
    const map = data.subarray(c * size, (c + 1) * size), most = largest(map);
    rows[c] = most;
    rows[count + c] = map.reduce((a, b) => a + b, 0) / size;
    rows[2 * count + c] = most === 0 ? 1 : 0; // dead, for this image
    for (let k = 0; k < size; k++) tiles[c * size + k] = most ? Math.round((map[k] / most) * LEVELS) : 0;
  }
  ranked(rows.subarray(count, 2 * count)).forEach((channel, place) => { rows[3 * count + place] = channel; });
  return {
    heading, kind, tiles: { data: tiles, shape: [count, h, w] }, channels: { data: rows, shape: [4, count] },
    orders: ["mean"], shape: [count, h, w], sign: "",
  };
}
