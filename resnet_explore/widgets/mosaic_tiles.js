/* Mosaics: the tiles of one panel, unpacked and drawn. */

const SIDE = 880;  // pixels of a panel's canvas; on the page it is about half as wide
const GAP = 0.06;  // between tiles, as a share of a tile
const LEVELS = 127;
const MOST = 64;   // tiles on a page

/** The arrays of one panel. Their order is that of `pack` in mosaics.py. */
function unpack(buffer, panel) {
  const [count, height, width] = panel.shape;
  let at = panel.at;
  const take = (Kind, length) => {
    const array = new Kind(buffer, at, length);
    at += Math.ceil(array.byteLength / 4) * 4;
    return array;
  };
  return {
    ...panel,
    count, height, width,
    scales: take(Float32Array, count),
    means: take(Float32Array, count),
    marks: take(Uint8Array, count),
    orders: Object.fromEntries(panel.orders.map((name) => [name, take(Uint32Array, count)])),
    tiles: take(panel.colored ? Uint8Array : Int8Array, count * height * width * (panel.colored ? 3 : 1)),
  };
}

/** Draws tiles of a panel; holds the canvas that small pictures are prepared on. */
class Painter {
  constructor(lookup) {
    this.colors = new Uint32Array(2 * LEVELS + 1);
    lookup.forEach(([r, g, b], i) => { this.colors[i] = (255 << 24) | (b << 16) | (g << 8) | r; });
    this.table = new Uint32Array(256);
    this.small = document.createElement("canvas");
  }

  /** Put one tile's pixels into `target` (a Uint32Array of a picture `stride` wide) from `start` on. */
  fill(target, stride, start, panel, channel, scale) {
    const { height, width, tiles } = panel, size = height * width;
    let from = channel * size;
    if (panel.colored) {
      for (let y = 0, k = 3 * from; y < height; y++) {
        for (let x = 0, to = start + y * stride; x < width; x++, k += 3) {
          target[to + x] = (255 << 24) | (tiles[k + 2] << 16) | (tiles[k + 1] << 8) | tiles[k];
        }
      }
      return;
    }
    const factor = panel.scales[channel] / scale, { table, colors } = this;
    for (let q = -LEVELS; q <= LEVELS; q++) {
      table[q & 255] = colors[clamp(Math.round(q * factor), -LEVELS, LEVELS) + LEVELS];
    }
    for (let y = 0; y < height; y++) {
      for (let x = 0, to = start + y * stride; x < width; x++) target[to + x] = table[tiles[from++] & 255];
    }
  }

  /** A picture of tiles beside each other, without gaps, `across` to a row. */
  sheet(panel, channels, across, scaleOf) {
    const { height, width } = panel, down = Math.ceil(channels.length / across);
    const image = new ImageData(across * width, down * height);
    const pixels = new Uint32Array(image.data.buffer);
    channels.forEach((channel, k) => {
      const start = Math.floor(k / across) * height * across * width + (k % across) * width;
      this.fill(pixels, across * width, start, panel, channel, scaleOf(channel));
    });
    Object.assign(this.small, { width: image.width, height: image.height });
    this.small.getContext("2d").putImageData(image, 0, 0);
    return this.small;
  }
}

/** Where tiles lie on the canvas. */
function layout(panel, count) {
  const across = clamp(Math.ceil(Math.sqrt((count * panel.height) / panel.width)), 1, count);
  const down = Math.ceil(count / across);
  const extent = (tiles, side) => side * (tiles * (1 + GAP) - GAP);
  const unit = Math.min(SIDE / extent(across, panel.width), SIDE / extent(down, panel.height));
  return { across, down, w: unit * panel.width, h: unit * panel.height, stepX: unit * panel.width * (1 + GAP), stepY: unit * panel.height * (1 + GAP) };
}
