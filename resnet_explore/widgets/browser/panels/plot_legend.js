/* The names of a chart's series, which are also its read-out: each value has its place and its room beside its name. */

import { make, svg, write } from "../dom.js";
import { isListed, valueText, widest } from "./chart_reading.js";
import { looksOf } from "./plot_series.js";
import { marksPath } from "./shapes.js";

const SAMPLE_W = 26, SAMPLE_H = 12, LETTER = 8.8; // pixels

/** A piece of the line with its mark. */
function sample({ shape, name }, { line, low, y }) {
  const middle = SAMPLE_H / 2, mere = low && y.data.every(Number.isNaN); // a band without a line
  const parts = [];
  if (low) parts.push(svg("path", { class: `rx-plot-band ${name}`, d: `M0 1H${SAMPLE_W}V${SAMPLE_H - 1}H0z` }));
  const piece = line === "bars" ? `M7 0H${SAMPLE_W - 7}V${SAMPLE_H}H7z` : `M0 ${middle}H${SAMPLE_W}`;
  if (line !== "none" && !mere) parts.push(svg("path", { class: `rx-plot-line ${name}`, d: piece }));
  if (!mere) parts.push(svg("path", { class: `rx-plot-dots ${name}`, d: marksPath(shape, 3.4, [SAMPLE_W / 2], [middle], () => true) }));
  return svg("svg", { width: SAMPLE_W, height: SAMPLE_H, "aria-hidden": "true" }, ...parts);
}

export class Legend {
  constructor() {
    this.node = make("ul", "rx-plot-legend", { ariaHidden: "true" });
    this.names = this.key = "";
    this.texts = []; // the names, and beside each its value
    this.values = [];
  }

  /** Take the series of a chart. The room for a value grows and never shrinks while they have the same names. */
  take(series) {
    const looks = looksOf(series), key = JSON.stringify(series.map((curve, i) => [looks[i], curve.listed, Boolean(curve.low), curve.y.data.every(Number.isNaN)]));
    if (key !== this.key) {
      this.key = key;
      this.texts = series.map(() => make("span"));
      this.values = series.map(() => make("span", "rx-plot-value"));
      this.node.replaceChildren(...series.map((curve, i) => make("li", "", { hidden: !isListed(curve) }, sample(looks[i], curve), this.texts[i], this.values[i])));
    }
    const names = JSON.stringify(series.map(({ name }) => name));
    if (names !== this.names) for (const { dataset } of this.values) delete dataset.widest;
    this.names = names;
    series.forEach(({ name }, i) => write(this.texts[i], name));
    series.forEach((curve, i) => {
      if (!isListed(curve)) return;
      const { dataset } = this.values[i], text = widest(curve);
      if (text.length > (dataset.widest?.length ?? 0)) dataset.widest = text;
    });
    const letters = Math.max(0, ...series.map((curve, i) => (isListed(curve) ? curve.name.length + this.values[i].dataset.widest.length : 0)));
    this.node.style.setProperty("--entry", `${SAMPLE_W + 10 + Math.ceil(LETTER * letters)}px`);
  }

  /** Write the values at an x, or none. */
  show({ series, x, y }, at) {
    series.forEach((curve, i) => {
      if (!isListed(curve)) return;
      const text = at === null ? "" : valueText(curve, at, x, y);
      if (this.values[i].firstChild?.data !== text) this.values[i].textContent = text;
    });
  }
}
