/* Heatmaps: from numbers to colours. */

const SIDE = 256; // maps are coloured at this resolution and drawn larger

/** Positions and weights of bilinear enlargement from `count` cells to SIDE pixels along one axis. */
function interpolation(count) {
  const low = new Int32Array(SIDE), high = new Int32Array(SIDE), share = new Float32Array(SIDE);
  for (let i = 0; i < SIDE; i++) {
    const at = clamp(((i + 0.5) * count) / SIDE - 0.5, 0, count - 1);
    low[i] = Math.floor(at);
    high[i] = Math.min(low[i] + 1, count - 1);
    share[i] = at - low[i];
  }
  return { low, high, share };
}

/** Write a map's colours, SIDE x SIDE, into `pixels` (RGBA). */
function colour(pixels, { values, h, w }, scale, table) {
  const x = interpolation(w), y = interpolation(h);
  const out = new Uint32Array(pixels.buffer), colours = new Uint32Array(table.buffer);
  const factor = scale > 0 ? 127.5 / scale : 0;
  let at = 0;
  for (let i = 0; i < SIDE; i++) {
    const top = y.low[i] * w, bottom = y.high[i] * w, down = y.share[i];
    for (let j = 0; j < SIDE; j++) {
      const left = x.low[j], right = x.high[j], across = x.share[j];
      const above = values[top + left] + (values[top + right] - values[top + left]) * across;
      const below = values[bottom + left] + (values[bottom + right] - values[bottom + left]) * across;
      const value = (above + (below - above) * down) * factor + 127.5;
      // 127 is bare: what is no number has no colour.
      out[at++] = colours[value > 255 ? 255 : value >= 0 ? Math.round(value) : value < 0 ? 0 : 127];
    }
  }
}

/** Three significant digits, with a sign. */
function signed(value) {
  if (!Number.isFinite(value)) return "no number";
  const text = Math.abs(value) >= 1000 || (value !== 0 && Math.abs(value) < 1e-3)
    ? Math.abs(value).toExponential(1) : value === 0 ? "0" : Math.abs(value).toPrecision(3);
  return (value < 0 ? "−" : "+") + text;
}
