/* One chart: its words, its picture, and the ways to read it and to choose in it. */

import { control, make, svg, write } from "../dom.js";
import { labelOf } from "./axis.js";
import { isListed, nearest, sentence, stopsOf, tipText } from "./chart_reading.js";
import { Glide } from "./glide.js";
import { Frame, axisLabel } from "./plot_frame.js";
import { Legend } from "./plot_legend.js";
import { SeriesLayer } from "./plot_series.js";

/** What a row of charts does for each of them.
 *
 * @typedef {{read: (plot: Plot, at: number | null) => void, choose: (plot: Plot, at: number) => void,
 *   chooses: (plot: Plot) => boolean,
 *   say: (text: string) => void}} Row
 */

export class Plot {
  /** @param {Row} row */
  constructor(row) {
    this.row = row;
    this.at = null; // the x that is read
    this.given = undefined; // the chart as it came
    this.chart = null; // and as it is drawn
    this.width = this.height = 0;
    this.legend = new Legend();
    this.frame = new Frame();
    this.layer = new SeriesLayer(this.frame.id);
    this.glide = new Glide(() => this.layer.draw(this.glide.now));
    this.hair = svg("path", { class: "rx-plot-hair" });
    this.picture = svg("svg", { class: "rx-plot", "aria-hidden": "true" }, this.frame.back, this.hair, this.layer.node, this.frame.labels, this.frame.badge, this.frame.badgeText);
    this.words = { title: "rx-plot-title", y: "rx-plot-y", x: "rx-plot-x", note: "rx-plot-note", tip: "rx-plot-tip" };
    for (const [name, className] of Object.entries(this.words)) this.words[name] = make("p", className);
    const { title, y, x, note, tip } = this.words;
    title.setAttribute("aria-hidden", "true"); // the chart's own name begins with it
    this.node = control("div", "rx-chart", { tabIndex: 0 }, title, this.legend.node, y, this.picture, x, make("div", "", {}, note, tip));
    // Screen readers keep the arrow keys of an image to themselves.
    this.node.setAttribute("role", "application");
    this.node.setAttribute("aria-roledescription", "chart");
    this.listen();
  }

  // --- data ----------------------------------------------------------------------------------------------

  /** Take a chart; null is one that isn't there yet, as a series may be. */
  take(given) {
    if (given === this.given) return;
    this.given = given;
    const there = (curve) => curve?.x && curve.y, before = this.chart;
    const chart = !given || given.series.every(there) ? given : { ...given, series: given.series.filter(there) };
    this.chart = chart;
    this.node.hidden = !chart;
    if (!chart) return;
    this.write();
    this.stops = null;
    if (!this.width) return;
    const still = before && before.series.length === chart.series.length && before.series.every((curve, i) => curve === chart.series[i]);
    this.draw(!still || before.x !== chart.x || before.y !== chart.y);
  }

  /** Have a picture of another size. */
  size(width, height) {
    if (width === this.width && height === this.height) return;
    [this.width, this.height] = [width, height];
    this.picture.setAttribute("viewBox", `0 0 ${width} ${height}`);
    this.picture.setAttribute("width", String(width));
    this.picture.setAttribute("height", String(height));
    if (this.chart) this.draw(true);
  }

  write() {
    const { chart, words } = this, { title, x, y, kind, note, says, series } = chart;
    write(words.title, title);
    words.title.className = `rx-plot-title${kind ? ` rx-kind-${kind}` : ""}`;
    write(words.y, axisLabel(y).toLowerCase() === title.toLowerCase() ? "" : axisLabel(y));
    write(words.x, axisLabel(x));
    write(words.note, note ?? "");
    const chooses = this.row.chooses(this);
    this.node.classList.toggle("rx-choosing", chooses);
    const keys = `Arrow keys read the values${chooses ? ", Enter chooses" : ""}.`;
    const about = says || `${axisLabel(y)} by ${axisLabel(x)}: ${series.filter(isListed).map((curve) => curve.name).join(", ")}.`;
    this.node.setAttribute("aria-label", [title && `${title}.`, about, keys].filter(Boolean).join(" "));
    this.legend.take(series);
    const tips = series.flatMap((curve) => curve.tips ?? []);
    words.tip.hidden = !tips.length;
    words.tip.dataset.widest = tips.reduce((longest, tip) => (tip.length > longest.length ? tip : longest), "");
  }

  // --- drawing -------------------------------------------------------------------------------------------

  /** @param {boolean} moved whether more has changed than marks and what is chosen */
  draw(moved) {
    const { chart, frame, layer } = this;
    if (moved) {
      const axes = JSON.stringify([chart.x, chart.y, this.width, this.height]), stays = axes === this.axes;
      this.axes = axes;
      if (!stays) frame.lay(chart, this.width, this.height);
      const alike = layer.take(chart.series), goals = layer.goals(frame);
      if (stays && alike) this.glide.to(goals);
      else this.glide.set(goals);
      layer.drawBeyond();
    }
    frame.mark(chart.marks ?? []);
    frame.choose(chart.chosen);
    if (this.at !== null) this.at = nearest(this.allStops(), frame.x.place(this.at), frame.x.place);
    this.point();
  }

  allStops() {
    this.stops ??= stopsOf(this.chart.series.filter(isListed), this.frame.x);
    return this.stops;
  }

  /** Show what is read, and where nothing is, what is chosen. */
  point() {
    const { frame, chart } = this, chosen = typeof chart.chosen === "number" ? chart.chosen : null;
    const at = this.at ?? chosen;
    this.layer.point(chosen, this.at);
    this.legend.show(chart, at);
    if (!this.words.tip.hidden) write(this.words.tip, at === null ? "" : tipText(chart.series, at));
    const px = at === null ? NaN : frame.x.place(at);
    this.hair.setAttribute("d", this.at === null ? "" : `M${px.toFixed(1)} ${frame.top}V${frame.bottom}`);
    frame.note(px, at === null ? "" : labelOf(chart.x, at), this.width);
    this.picture.classList.toggle("rx-reading", this.at !== null);
  }

  // --- reading -------------------------------------------------------------------------------------------

  /** Read at an x, or nowhere with null. */
  read(at) {
    if (at === this.at || !this.chart || !this.width) return;
    this.at = at;
    this.point();
  }

  listen() {
    const { node, picture } = this;
    picture.addEventListener("pointermove", (event) => this.row.read(this, this.under(event)));
    picture.addEventListener("pointerdown", (event) => this.row.read(this, this.under(event)));
    picture.addEventListener("pointerleave", (event) => { if (event.pointerType === "mouse") this.row.read(this, null); });
    picture.addEventListener("click", (event) => {
      const at = this.under(event);
      if (at !== null) this.row.choose(this, at);
    });
    node.addEventListener("focusout", () => this.row.read(this, null));
    node.addEventListener("keydown", (event) => {
      if (event.ctrlKey || event.altKey || event.metaKey || !this.press(event.key)) return;
      event.preventDefault();
      event.stopPropagation();
    });
  }

  /** The stop that is nearest to the pointer. */
  under(event) {
    if (!this.chart || !this.width) return null;
    const box = this.picture.getBoundingClientRect();
    const pixel = ((event.clientX - box.left) / (box.width || 1)) * this.width;
    return nearest(this.allStops(), pixel, this.frame.x.place);
  }

  /** Answer a key. @returns {boolean} whether it has one */
  press(key) {
    const stops = this.chart && this.width ? this.allStops() : [], from = this.at ?? this.chart?.chosen ?? null;
    const last = stops.length - 1, here = stops.indexOf(from);
    if (key === "Enter" || key === " ") {
      if (!this.row.chooses(this) || this.at === null) return false;
      this.row.choose(this, this.at);
      return true;
    }
    if (key === "Escape") {
      const reading = this.at !== null;
      this.row.read(this, null);
      return reading;
    }
    const next = { ArrowRight: here < 0 ? 0 : here + 1, ArrowLeft: here < 0 ? last : here - 1, Home: 0, End: last }[key];
    if (next === undefined) return false;
    if (last < 0) {
      this.row.say("There is no value.");
      return true;
    }
    const at = stops[Math.max(0, Math.min(next, last))];
    this.row.read(this, at);
    this.row.say(sentence(this.chart, at));
    return true;
  }

  leave() {
    this.glide.stop();
  }
}
