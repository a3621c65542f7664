/* Paths of SVG: lines with gaps, bands, and marks that differ by kind. All are in pixels; NaN is a gap. */

/** @typedef {"circle" | "square" | "diamond" | "up" | "down" | "plus" | "cross" | "none"} Shape */

const BAR = 3.5; // half the width, in pixels, of a band at a single point
const WIDEST = 16; // half the width of a bar

const tenth = (value) => Math.round(value * 10) / 10;

/** @param {ArrayLike<number>} x @param {ArrayLike<number>} y */
export function linePath(x, y) {
  let path = "", pen = "M";
  for (let k = 0; k < x.length; k += 1) {
    if (Number.isNaN(y[k])) pen = "M";
    else {
      path += `${pen}${tenth(x[k])} ${tenth(y[k])}`;
      pen = "L";
    }
  }
  return path;
}

/** Upright bars from one level to each y, as wide as there is room. */
export function barsPath(x, y, level) {
  const apart = x.length > 1 ? Math.min(...Array.from(x).slice(1).map((px, k) => px - x[k])) : 4 * WIDEST;
  const half = Math.max(1, Math.min(WIDEST, 0.31 * apart));
  let path = "";
  for (let k = 0; k < x.length; k += 1) {
    if (!Number.isNaN(y[k])) path += `M${tenth(x[k] - half)} ${tenth(level)}h${tenth(2 * half)}V${tenth(y[k])}h${tenth(-2 * half)}z`;
  }
  return path;
}

/** A band, closed wherever it is interrupted; a point between gaps is a bar. */
export function bandPath(x, low, high, top, bottom) {
  const inside = (value) => tenth(value < top ? top : value > bottom ? bottom : value);
  const known = (k) => k < x.length && !Number.isNaN(low[k]) && !Number.isNaN(high[k]);
  let path = "";
  for (let k = 0; k < x.length; k += 1) {
    if (!known(k)) continue;
    let end = k;
    while (known(end + 1)) end += 1;
    if (end === k) path += `M${tenth(x[k] - BAR)} ${inside(low[k])}h${2 * BAR}V${inside(high[k])}h${-2 * BAR}z`;
    else {
      path += "M";
      for (let i = k; i <= end; i += 1) path += `${i > k ? "L" : ""}${tenth(x[i])} ${inside(low[i])}`;
      for (let i = end; i >= k; i -= 1) path += `L${tenth(x[i])} ${inside(high[i])}`;
      path += "z";
    }
    k = end;
  }
  return path;
}

/** One mark around its own centre: where it begins, seen from there, and how it goes on. */
const OUTLINES = {
  circle: (r) => [-r, 0, `a${r} ${r} 0 1 0 ${2 * r} 0a${r} ${r} 0 1 0 ${-2 * r} 0z`],
  square: (r) => [-0.9 * r, -0.9 * r, `h${1.8 * r}v${1.8 * r}h${-1.8 * r}z`],
  diamond: (r) => [0, -1.3 * r, `l${1.2 * r} ${1.3 * r}l${-1.2 * r} ${1.3 * r}l${-1.2 * r} ${-1.3 * r}z`],
  up: (r) => [0, -1.2 * r, `l${1.2 * r} ${2.1 * r}h${-2.4 * r}z`],
  down: (r) => [0, 1.2 * r, `l${1.2 * r} ${-2.1 * r}h${-2.4 * r}z`],
  plus: (r) => [-0.4 * r, -1.2 * r, `h${0.8 * r}v${0.8 * r}h${0.8 * r}v${0.8 * r}h${-0.8 * r}v${0.8 * r}h${-0.8 * r}v${-0.8 * r}h${-0.8 * r}v${-0.8 * r}h${0.8 * r}z`],
  cross: (r) => [-r, -r, `l${2 * r} ${2 * r}m0 ${-2 * r}l${-2 * r} ${2 * r}`],
};

/** Marks of one shape at all points for which `shown(k)` holds. @param {Shape} shape @param {number} r */
export function marksPath(shape, r, x, y, shown) {
  if (!OUTLINES[shape]) return "";
  const [right, down, rest] = OUTLINES[shape](r);
  let path = "";
  for (let k = 0; k < x.length; k += 1) if (shown(k)) path += `M${tenth(x[k] + right)} ${tenth(y[k] + down)}${rest}`;
  return path;
}
