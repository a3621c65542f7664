/* Tiles: what is in a sheet, where its tiles lie, and their pixels. */

import { clamp } from "../dom.js";

export const LEVELS = 127; // of a tile's magnitude on each side of 0
export const MOST = 64; // tiles on a page
const GAP = 0.06; // between tiles, as a share of a tile

/**
 * @typedef {{data: any, shape: number[]}} Numbers
 * @typedef {{heading: string, kind: string, tiles: Numbers, channels: Numbers, orders: string[], shape: number[], sign: string}} Sheet
 */

/** @param {Sheet} sheet */
export const isColored = (sheet) => sheet.tiles.shape.length === 4;
/** @param {Sheet} sheet */
export const sizeOf = ({ tiles: { shape: [count, height, width] } }) => ({ count, height, width });

// Rows of a sheet's channels, as in `Sheet` of tiles_panel.py.
const row = (sheet, k) => sheet.channels.data.subarray(k * sizeOf(sheet).count, (k + 1) * sizeOf(sheet).count);
export const largestOf = (sheet, channel) => row(sheet, 0)[channel];
export const meanOf = (sheet, channel) => row(sheet, 1)[channel];
export const markOf = (sheet, channel) => row(sheet, 2)[channel];

/** The channels on one page of an order, on the last page at most. @param {Sheet} sheet */
export function ranked(sheet, order, page) {
  const { count } = sizeOf(sheet), first = Math.min(page, Math.ceil(count / MOST) - 1) * MOST;
  if (order === "channel") return Array.from({ length: Math.min(MOST, count - first) }, (_, k) => first + k);
  const known = Math.max(0, sheet.orders.indexOf(order));
  return Array.from(row(sheet, 3 + known).subarray(first, first + MOST));
}

/** Where tiles lie in a room so that they are as large as can be.
 *
 * @param {Sheet} sheet @param {number} tiles
 */
export function layout(sheet, tiles, wide, high) {
  const { height, width } = sizeOf(sheet), extent = (many, side) => side * (many * (1 + GAP) - GAP);
  let best = { across: 1, unit: 0 };
  for (let across = 1; across <= tiles; across++) {
    const unit = Math.min(wide / extent(across, width), high / extent(Math.ceil(tiles / across), height));
    if (unit > best.unit) best = { across, unit };
  }
  const w = best.unit * width, h = best.unit * height, { across } = best;
  return { across, w, h, stepX: w * (1 + GAP), stepY: h * (1 + GAP), left: (wide - extent(across, w)) / 2 };
}

/** Draws tiles; holds the canvas that small pictures are prepared on. */
export class Painter {
  /** @param {Numbers} lookup */
  constructor(lookup) {
    const { data } = lookup;
    this.colors = Uint32Array.from({ length: data.length / 3 }, (_, k) => (255 << 24) | (data[3 * k + 2] << 16) | (data[3 * k + 1] << 8) | data[3 * k]);
    this.table = new Uint32Array(256);
    this.small = document.createElement("canvas");
  }

  /** Put one tile's pixels into `target` (of a picture `stride` wide) from `start` on. */
  fill(target, stride, start, sheet, channel, scale) {
    const { height, width } = sizeOf(sheet), { data } = sheet.tiles, { table, colors } = this;
    let from = channel * height * width;
    if (isColored(sheet)) {
      for (let y = 0, k = 3 * from; y < height; y++) {
        for (let x = 0, to = start + y * stride; x < width; x++, k += 3) target[to + x] = (255 << 24) | (data[k + 2] << 16) | (data[k + 1] << 8) | data[k];
      }
      return;
    }
    const factor = largestOf(sheet, channel) / scale;
    for (let q = -LEVELS; q <= LEVELS; q++) table[q & 255] = colors[clamp(Math.round(q * factor), -LEVELS, LEVELS) + LEVELS];
    for (let y = 0; y < height; y++) {
      for (let x = 0, to = start + y * stride; x < width; x++) target[to + x] = table[data[from++] & 255];
    }
  }

  /** A picture of tiles beside each other, without gaps, `across` to a row. */
  sheet(sheet, channels, across, scaleOf) {
    const { height, width } = sizeOf(sheet);
    const image = new ImageData(across * width, Math.ceil(channels.length / across) * height);
    const pixels = new Uint32Array(image.data.buffer);
    channels.forEach((channel, k) => {
      const start = Math.floor(k / across) * height * across * width + (k % across) * width;
      this.fill(pixels, across * width, start, sheet, channel, scaleOf(sheet, channel));
    });
    Object.assign(this.small, { width: image.width, height: image.height });
    this.small.getContext("2d").putImageData(image, 0, 0);
    return this.small;
  }

  /** The scale's colours, the lowest left. @param {HTMLCanvasElement} bar */
  paintBar(bar) {
    Object.assign(bar, { width: this.colors.length, height: 1 });
    const image = new ImageData(bar.width, 1);
    new Uint32Array(image.data.buffer).set(this.colors);
    bar.getContext("2d").putImageData(image, 0, 0);
  }
}

/** A canvas with a picture of colours. @param {Numbers} picture */
export function photograph({ data, shape: [height, width] }) {
  const canvas = Object.assign(document.createElement("canvas"), { width, height });
  const image = new ImageData(width, height), pixels = new Uint32Array(image.data.buffer);
  for (let k = 0; k < pixels.length; k++) pixels[k] = (255 << 24) | (data[3 * k + 2] << 16) | (data[3 * k + 1] << 8) | data[3 * k];
  canvas.getContext("2d").putImageData(image, 0, 0);
  return canvas;
}
