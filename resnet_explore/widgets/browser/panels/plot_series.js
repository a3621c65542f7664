/* The series of a chart: bands, lines and marks, drawn from pixels that may be on their way to a new place. */

import { svg } from "../dom.js";
import { bandPath, barsPath, linePath, marksPath } from "./shapes.js";

const OWN = { plain: "circle", residual: "square", muted: "none", ink: "none" };
const OTHERS = ["diamond", "up", "down", "plus", "cross"];
const APART = 9; // pixels between marks, where there are more they would make a line unreadable

/** The class that gives a kind its colour; kinds that are neither a twin nor ink have one by their place. */
export const colourClass = (kind, place) => `rx-kind-${kind in OWN ? kind : `other${1 + (place % OTHERS.length)}`}`;

/** How each series looks. @param {import("./chart_reading.js").Series[]} series */
export function looksOf(series) {
  const others = [...new Set(series.map(({ kind }) => kind).filter((kind) => !(kind in OWN)))];
  return series.map(({ kind, marker, line, look }) => {
    const place = others.indexOf(kind);
    const own = line === "none" && OWN[kind] === "none" ? "circle" : OWN[kind] ?? OTHERS[place % OTHERS.length];
    const shape = look === "ghost" || line === "bars" ? "none" : marker === "kind" ? own : marker;
    return { shape, name: `${colourClass(kind, place)} rx-look-${look} rx-line-${line}` };
  });
}

export class SeriesLayer {
  constructor(clip) {
    this.bands = svg("g", { "clip-path": `url(#${clip})` });
    this.lines = svg("g", { "clip-path": `url(#${clip})` });
    this.dots = svg("g");
    this.node = svg("g", {}, this.bands, this.lines, this.dots);
    this.parts = [];
    this.names = this.key = "";
  }

  /** Take the series of a chart. @returns {boolean} whether they have the names and looks of those before */
  take(series) {
    this.series = series;
    this.looks = looksOf(series);
    const names = JSON.stringify(series.map(({ name }) => name)), key = JSON.stringify(this.looks);
    const alike = names === this.names && key === this.key;
    this.names = names;
    if (key !== this.key) this.make();
    this.key = key;
    return alike;
  }

  /** Make the elements of the series, which stay for as long as looks do. */
  make() {
    const { series } = this;
    this.parts = this.looks.map(({ name }) => ({
      band: svg("path", { class: `rx-plot-band ${name}` }),
      line: svg("path", { class: `rx-plot-line ${name}` }),
      dots: svg("path", { class: `rx-plot-dots ${name}` }),
      beyond: svg("path", { class: `rx-plot-beyond ${name}` }),
      zeros: svg("path", { class: `rx-plot-zeros ${name}` }),
      chosen: svg("path", { class: `rx-plot-dots rx-plot-large ${name}` }),
      read: svg("path", { class: `rx-plot-read ${name}` }),
    }));
    const ghost = (i) => Number(series[i].look === "ghost");
    const ghostsFirst = [...this.parts.keys()].sort((a, b) => ghost(b) - ghost(a)).map((i) => this.parts[i]);
    this.bands.replaceChildren(...ghostsFirst.map((part) => part.band));
    this.lines.replaceChildren(...ghostsFirst.map((part) => part.line));
    this.dots.replaceChildren(...ghostsFirst.flatMap(({ dots, beyond, zeros, chosen, read }) => [dots, beyond, zeros, chosen, read]));
  }

  /** Where the series belong, in pixels: x, y, low and high of each, one after the other. */
  goals(frame) {
    this.frame = frame;
    const { x: across, y: up, bottom } = frame;
    const row = (values, place) => Float64Array.from(values?.data ?? [], place);
    const level = (value) => (Number.isFinite(value) ? up.place(value) : NaN);
    const edge = (value) => (up.log && value <= 0 ? bottom : up.place(value));
    return this.series.flatMap(({ x, y, low, high }) => [row(x, across.place), row(y, level), row(low, edge), row(high, edge)]);
  }

  /** Draw at these pixels. @param {Float64Array[]} pixels */
  draw(pixels) {
    const { left, right, top, bottom } = this.frame;
    this.pixels = pixels;
    this.parts.forEach((part, i) => {
      const [x, y, low, high] = pixels.slice(4 * i, 4 * i + 4), { line } = this.series[i], { shape } = this.looks[i];
      if (low.length) part.band.setAttribute("d", bandPath(x, low, high, top, bottom));
      else if (part.band.hasAttribute("d")) part.band.removeAttribute("d");
      if (line === "bars") part.line.setAttribute("d", barsPath(x, y, this.frame.y.place(0)));
      else if (line !== "none") part.line.setAttribute("d", linePath(x, y));
      const every = Math.max(1, Math.ceil((APART * x.length) / Math.max(1, right - left)));
      const inside = (k) => y[k] >= top - 1 && y[k] <= bottom + 1 && x[k] >= left - 1 && x[k] <= right + 1;
      const alone = (k) => Number.isNaN(y[k - 1] ?? NaN) && Number.isNaN(y[k + 1] ?? NaN);
      const shown = line === "none" ? inside : (k) => inside(k) && (k % every === i % every || alone(k));
      if (shape !== "none") part.dots.setAttribute("d", marksPath(shape, every > 1 ? 2.6 : 3.2, x, y, shown));
      else if (line !== "none" && line !== "bars") part.dots.setAttribute("d", marksPath("circle", 2.2, x, y, (k) => inside(k) && alone(k)));
    });
    this.point(this.chosen ?? null, this.read ?? null);
  }

  /** Draw what lies beyond the axis, on its edge, and zeros where an axis has none; these don't glide. */
  drawBeyond() {
    const { x: across, y: up, left, right, top, bottom } = this.frame;
    this.parts.forEach((part, i) => {
      const x = Float64Array.from(this.series[i].x.data, across.place), y = this.series[i].y.data;
      const seen = (k) => x[k] >= left - 1 && x[k] <= right + 1;
      const zero = (k) => up.log && y[k] <= 0;
      const at = (level) => new Float64Array(x.length).fill(level);
      part.beyond.setAttribute("d", marksPath("up", 3.4, x, at(top + 3), (k) => seen(k) && y[k] > up.high)
        + marksPath("down", 3.4, x, at(bottom - 3), (k) => seen(k) && y[k] < up.low && !zero(k)));
      // A row for each series, so that none hides another's.
      part.zeros.setAttribute("d", marksPath("cross", 2.6, x, at(bottom - 5 - 7 * i), (k) => seen(k) && zero(k)));
    });
  }

  /** Enlarge the marks at the x that is chosen, and ring those at the x that is read. */
  point(chosen, read) {
    this.chosen = chosen;
    this.read = read;
    const { top, bottom } = this.frame;
    this.parts.forEach((part, i) => {
      const [x, y] = [this.pixels[4 * i], this.pixels[4 * i + 1]], { data } = this.series[i].x;
      const at = (value) => (k) => data[k] === value && y[k] >= top - 1 && y[k] <= bottom + 1;
      const shape = this.looks[i].shape === "none" ? "circle" : this.looks[i].shape;
      const large = chosen !== null && this.series[i].look !== "ghost" && this.series[i].line !== "bars";
      part.chosen.setAttribute("d", large ? marksPath(shape, 5.2, x, y, at(chosen)) : "");
      part.read.setAttribute("d", read === null ? "" : marksPath(shape, 5.2, x, y, at(read)));
    });
  }
}
