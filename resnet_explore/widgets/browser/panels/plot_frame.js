/* The frame of a chart: axes with their numbers, grid lines, and the marks to compare with. */

import { freshId, svg, write } from "../dom.js";
import { fitting, scaleOf, ticksOf, widthOf } from "./axis.js";
import { colourClass } from "./plot_series.js";

const TOP = 10, BOTTOM = 22, RIGHT = 12, EACH_X = 56, EACH_Y = 30; // pixels

/** A row of text elements, of which only as many are made as are needed, and the rest is emptied. */
function texts(group, labels) {
  while (group.childNodes.length < labels.length) group.append(svg("text"));
  [...group.childNodes].forEach((node, k) => {
    const label = labels[k];
    write(node, label?.text ?? "");
    if (label) for (const [name, value] of Object.entries(label.at)) node.setAttribute(name, String(value));
  });
}

const setAll = (node, attributes) => { for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, String(value)); };

export class Frame {
  constructor() {
    this.id = freshId();
    this.clip = svg("rect");
    this.grid = svg("path", { class: "rx-plot-grid" });
    this.line = svg("path", { class: "rx-plot-axis" });
    this.badge = svg("rect", { class: "rx-plot-badge", rx: 4, height: 17 });
    this.badgeText = svg("text", { class: "rx-plot-badge-text", "text-anchor": "middle" });
    this.across = svg("g", { class: "rx-plot-ticks" });
    this.upwards = svg("g", { class: "rx-plot-ticks" });
    this.behind = svg("g");
    this.labels = svg("g", { class: "rx-plot-labels" });
    this.chosen = svg("path", { class: "rx-plot-chosen" });
    const clip = svg("clipPath", { id: this.id }, this.clip);
    this.back = svg("g", {}, svg("defs", {}, clip), this.grid, this.behind, this.line, this.chosen, this.across, this.upwards);
  }

  /** Lay axes out in a picture of this size. @param {{x: any, y: any}} chart */
  lay({ x, y }, width, height) {
    this.top = TOP;
    this.bottom = height - BOTTOM;
    this.y = scaleOf(y, this.bottom, this.top);
    const rows = ticksOf(y, this.y, Math.max(2, Math.floor((this.bottom - this.top) / EACH_Y)));
    this.left = Math.ceil(Math.max(18, ...rows.map(({ label }) => widthOf(label))) + 9);
    this.right = Math.max(this.left + 20, width - RIGHT);
    this.x = scaleOf(x, this.left, this.right);
    const columns = ticksOf(x, this.x, Math.max(2, Math.floor((this.right - this.left) / EACH_X)));
    const fits = fitting(columns, this.x);
    const at = columns.map(({ value }) => this.x.place(value)), level = rows.map(({ value }) => this.y.place(value));
    setAll(this.clip, { x: this.left - 1, y: this.top - 2, width: this.right - this.left + 2, height: this.bottom - this.top + 4 });
    this.grid.setAttribute("d", [
      ...at.map((px) => `M${px.toFixed(1)} ${this.top}V${this.bottom}`),
      ...level.map((px) => `M${this.left} ${px.toFixed(1)}H${this.right}`),
    ].join(""));
    this.line.setAttribute("d", `M${this.left} ${this.top}V${this.bottom}H${this.right}`);
    texts(this.across, columns.map(({ label }, k) => ({
      text: fits[k] ? label : "", at: { x: this.held(at[k], label, width), y: this.bottom + 16, "text-anchor": "middle" },
    })));
    texts(this.upwards, rows.map(({ label }, k) => ({ text: label, at: { x: this.left - 6, y: level[k] + 4, "text-anchor": "end" } })));
  }

  /** The middle of a label so that it doesn't leave the picture. */
  held(middle, label, width) {
    const half = widthOf(label) / 2;
    return Math.max(half, Math.min(middle, width - half));
  }

  /** Write a value on the x axis, in the place of numbers that it would touch; nothing where it is not in sight. */
  note(px, text, width) {
    const seen = px >= this.left - 1 && px <= this.right + 1;
    const half = seen ? widthOf(text) / 2 + 5 : 0, middle = Math.max(half, Math.min(px, width - half));
    for (const label of this.across.childNodes) {
      const near = Math.abs(Number(label.getAttribute("x")) - middle) < half + widthOf(label.textContent) / 2 + 3;
      label.setAttribute("visibility", seen && near ? "hidden" : "visible");
    }
    write(this.badgeText, seen ? text : "");
    this.badge.setAttribute("width", String(2 * half));
    if (!seen) return;
    setAll(this.badge, { x: middle - half, y: this.bottom + 3.5 });
    setAll(this.badgeText, { x: middle, y: this.bottom + 16 });
  }

  /** Draw what is compared with; a mark without a place is not there. @param {any[]} marks */
  mark(marks) {
    const number = (value) => typeof value === "number" && Number.isFinite(value);
    const lost = (value) => value !== null && value !== undefined && !number(value);
    const shown = marks.filter((mark) => mark && !lost(mark.x) && !lost(mark.y) && (number(mark.x) || number(mark.y)));
    this.behind.replaceChildren(...shown.map((mark) => this.shape(mark, number)));
    texts(this.labels, shown.map((mark) => this.label(mark, number)));
  }

  shape({ x, y, to, kind }, number) {
    const { left, right, top, bottom } = this, colour = colourClass(kind, 0);
    if (number(to)) {
      const [from, end] = [x, to].map((value) => Math.max(left, Math.min(this.x.place(value), right)));
      return svg("rect", { class: `rx-plot-range ${colour}`, x: Math.min(from, end), y: top, width: Math.abs(end - from), height: bottom - top });
    }
    if (number(x) && number(y)) return svg("circle", { class: `rx-plot-point ${colour}`, cx: this.x.place(x), cy: this.y.place(y), r: 5.5 });
    const path = number(x) ? `M${this.x.place(x)} ${top}V${bottom}` : `M${left} ${this.y.place(y)}H${right}`;
    return svg("path", { class: `rx-plot-mark ${colour}`, d: path });
  }

  /** Labels stand on that side of their mark where there is room. */
  label({ x, y, label }, number) {
    const wide = widthOf(label);
    if (!number(x)) {
      const level = this.y.place(y);
      return { text: label, at: { x: this.right - 2, y: level - this.top > 18 ? level - 5 : level + 14, "text-anchor": "end" } };
    }
    const at = this.x.place(x), turned = at + wide + 8 > this.right;
    const side = { x: turned ? at - 6 : at + 6, "text-anchor": turned ? "end" : "start" };
    return { text: label, at: { ...side, y: number(y) ? this.y.place(y) + 4 : this.top + 11 } };
  }

  /** A dotted line at the x that is chosen. @param {number | null} x */
  choose(x) {
    const px = typeof x === "number" ? this.x.place(x) : NaN;
    const seen = px >= this.left - 1 && px <= this.right + 1;
    this.chosen.setAttribute("d", seen ? `M${px.toFixed(1)} ${this.top}V${this.bottom}` : "");
  }
}

/** A label of an axis, as text that can wrap. */
export const axisLabel = (axis) => (axis.unit ? `${axis.label} (${axis.unit})` : axis.label);
