/* Tiles: one sheet on its canvas, all tiles or one of them over the picture, and what is pointed at. */

import { clamp, control, make, write } from "../dom.js";
import { LEVELS, MOST, isColored, largestOf, layout, markOf, ranked, sizeOf } from "./tiles_paint.js";

const STEPS = { ArrowRight: [1, 0], ArrowLeft: [-1, 0], ArrowDown: [0, 1], ArrowUp: [0, -1] };
const COLORS = ["red", "green", "blue"]; // of a filter's weights
const LEAST = 180; // CSS pixels of a canvas

/** So high is a canvas at most in this window, so that headline and sliders stay in sight with it. */
const highest = () => Math.max(240, Math.min(376, window.innerHeight - 460), window.innerHeight - 524);

export const number = (value) => (Number.isFinite(value) ? String(Number(value.toPrecision(3))) : "?").replaceAll("-", "−");

/** One sheet's canvas with its heading. `view` is the panel that it stands in. */
export class SheetView {
  constructor(view) {
    this.view = view;
    this.heading = make("p", "rx-sheet-heading");
    this.canvas = control("canvas", "rx-sheet", { tabIndex: 0 });
    this.canvas.setAttribute("role", "application"); // screen readers keep the arrow keys of an image to themselves
    this.canvas.setAttribute("aria-roledescription", "feature maps");
    this.empty = make("p", "rx-sheet-empty");
    const stage = make("div", "rx-sheet-stage", {}, this.canvas, this.empty);
    this.node = make("div", "rx-sheet-box", {}, this.heading, stage);
    this.wide = 0; // of the stage; to ask for it while a slider moves would have all laid out anew
    this.resized = new ResizeObserver(() => {
      if (stage.clientWidth === this.wide) return;
      this.wide = stage.clientWidth;
      this.draw();
    });
    this.resized.observe(stage);
    this.canvas.addEventListener("pointermove", (event) => this.look(event));
    this.canvas.addEventListener("pointerdown", (event) => this.look(event));
    this.canvas.addEventListener("pointerleave", () => view.point(null));
    this.canvas.addEventListener("click", (event) => {
      const place = this.placeAt(event);
      if (place && !view.one) view.enlarge(place.channel);
    });
    this.canvas.addEventListener("keydown", (event) => this.onKey(event));
  }

  /** @param {import("./tiles_paint.js").Sheet | string} sheet */
  show(sheet) {
    this.sheet = typeof sheet === "string" ? null : sheet;
    const gone = this.sheet && this.view.one && this.view.channel >= sizeOf(this.sheet).count;
    write(this.heading, this.sheet ? `${sheet.sign} ${sheet.heading}`.trim() : "");
    this.heading.className = `rx-sheet-heading ${this.sheet?.kind ? `rx-ink-${sheet.kind}` : ""}`;
    write(this.empty, gone ? `There is no channel ${this.view.channel} here, only ${sizeOf(sheet).count}.` : this.sheet ? "" : sheet);
    this.draw();
  }

  leave() { this.resized.disconnect(); }

  draw() {
    const { canvas, sheet, view, wide } = this;
    if (!wide) return; // not yet on the page, or folded away
    const high = clamp(Math.round(wide * 1.05), LEAST, highest()), sharp = Math.max(1, window.devicePixelRatio || 1);
    this.room = { wide, high };
    canvas.style.height = `${high}px`;
    if (canvas.width !== Math.round(wide * sharp)) canvas.width = Math.round(wide * sharp);
    if (canvas.height !== Math.round(high * sharp)) canvas.height = Math.round(high * sharp);
    const context = canvas.getContext("2d");
    context.setTransform(sharp, 0, 0, sharp, 0, 0);
    context.clearRect(0, 0, wide, high);
    canvas.tabIndex = sheet ? 0 : -1;
    if (!sheet) return;
    if (view.one) this.drawOne(context);
    else this.drawAll(context);
    canvas.setAttribute("aria-label", this.alt());
    canvas.dataset.drawn = String(Number(canvas.dataset.drawn ?? 0) + 1);
  }

  alt() {
    const { sheet, view } = this, [count, height, width] = sheet.shape;
    if (view.one) return `${sheet.heading}: channel ${view.channel} of ${view.shown.name}, ${height}×${width}${view.props.picture ? ", over the image" : ""}`;
    return `${sheet.heading}: ${this.channels().length} of ${count} channels of ${view.shown.name}, ${height}×${width} each, ${view.orderWords(view.order)}`;
  }

  channels() { return ranked(this.sheet, this.view.order, this.view.page); }

  // --- all channels ---------------------------------------------------------------------------------------

  drawAll(context) {
    const { sheet, view } = this, { height, width, count } = sizeOf(sheet), channels = this.channels();
    const plan = (this.plan = layout(sheet, Math.min(MOST, count), this.room.wide, this.room.high));
    const picture = view.painter.sheet(sheet, channels, plan.across, view.scaleOf);
    context.imageSmoothingEnabled = false;
    channels.forEach((channel, k) => {
      const column = k % plan.across, row = Math.floor(k / plan.across);
      const x = Math.round(plan.left + column * plan.stepX), y = Math.round(row * plan.stepY), w = Math.round(plan.w), h = Math.round(plan.h);
      context.drawImage(picture, column * width, row * height, width, height, x, y, w, h);
      if (markOf(sheet, channel)) this.mark(context, markOf(sheet, channel), x, y, w, h);
      if (channel === view.cursor) this.frame(context, x, y, w, h);
    });
  }

  /** Dead: a cross in a corner and a dashed edge. Saturated: a filled corner. */
  mark(context, kind, x, y, w, h) {
    const size = clamp(Math.min(w, h) * 0.3, 4, 11);
    context.save();
    context.lineWidth = 1.5;
    context.strokeStyle = "#9aa0aa";
    context.fillStyle = "#1b1d21";
    context.beginPath();
    if (kind === 1) {
      context.setLineDash([3, 2.5]);
      context.strokeRect(x + 1, y + 1, w - 2, h - 2);
      context.setLineDash([]);
      for (const sign of [0, 1]) {
        context.moveTo(x + 4, y + 4 + sign * size);
        context.lineTo(x + 4 + size, y + 4 + (1 - sign) * size);
      }
      context.stroke();
    } else {
      context.moveTo(x, y);
      context.lineTo(x + size, y);
      context.lineTo(x, y + size);
      context.closePath();
      context.fill();
      context.strokeStyle = "#ffffff";
      context.stroke();
    }
    context.restore();
  }

  frame(context, x, y, w, h) {
    for (const [color, inset, lineWidth] of [["#0b5cad", 1, 2.5], ["#ffffff", 3, 1.5]]) {
      if (Math.min(w, h) < 3 * inset) continue;
      context.lineWidth = lineWidth;
      context.strokeStyle = color;
      context.strokeRect(x + inset, y + inset, w - 2 * inset, h - 2 * inset);
    }
  }

  // --- one channel over the image -------------------------------------------------------------------------

  drawOne(context) {
    const { sheet, view, room } = this, { count, height, width } = sizeOf(sheet);
    const [high, wide] = view.photo ? [view.photo.height, view.photo.width] : [height, width];
    const unit = Math.min(room.wide / wide, room.high / high);
    const area = (this.area = { w: unit * wide, h: unit * high, unit, left: (room.wide - unit * wide) / 2 });
    if (view.channel >= count) return;
    context.save();
    context.translate(area.left, 0);
    context.fillStyle = "#000";
    context.fillRect(0, 0, area.w, area.h);
    if (view.photo) context.drawImage(view.photo, 0, 0, area.w, area.h);
    context.imageSmoothingEnabled = false;
    context.globalAlpha = view.photo ? view.props.opacity : 1;
    context.drawImage(view.painter.sheet(sheet, [view.channel], 1, view.scaleOf), 0, 0, area.w, area.h);
    context.globalAlpha = 1;
    if (view.pointed) this.drawPlace(context);
    context.restore();
  }

  /** The place that is pointed at, and the pixels that it depends on. */
  drawPlace(context) {
    const { area } = this, { rows, columns } = this.size(), { x, y } = this.cell();
    const w = area.w / columns, h = area.h / rows;
    this.frame(context, x * w, y * h, w, h);
    if (!this.field()) return;
    const [top, left, bottom, right] = this.window().map((value) => value * area.unit);
    context.lineWidth = 2;
    context.setLineDash([6, 4]);
    context.strokeStyle = "#39d353";
    const x0 = Math.max(left, 1), y0 = Math.max(top, 1);
    context.strokeRect(x0, y0, Math.min(right, area.w - 1) - x0, Math.min(bottom, area.h - 1) - y0);
    context.setLineDash([]);
  }

  get exact() { return this.view.exactOf(this); }

  /** Rows and columns of what is enlarged: the exact map where it has come, else the tile. */
  size() {
    const shape = this.exact ? this.exact.shape : this.sheet.tiles.shape.slice(1);
    return { rows: shape[0], columns: shape[1] };
  }

  /** The place that is pointed at, in this map, whose size may be another than that of the map beside it. */
  cell() {
    const { rows, columns } = this.size(), { across, down } = this.view.pointed;
    return { x: Math.min(Math.floor(across * columns), columns - 1), y: Math.min(Math.floor(down * rows), rows - 1) };
  }

  /** The receptive field of the layer; undefined where it is the whole image or not known. */
  field() { return this.view.photo ? this.view.fieldOf(this) : undefined; }

  /** Input pixels that the place depends on: top, left, bottom, right. */
  window() {
    const { field, jump, start } = this.field(), [, height, width] = this.sheet.shape;
    const { rows, columns } = this.size(), { x, y } = this.cell();
    const at = [Math.floor(((y + 0.5) * height) / rows), Math.floor(((x + 0.5) * width) / columns)];
    const first = at.map((place, axis) => start[axis] + place * jump[axis]);
    return [first[0], first[1], first[0] + field[0], first[1] + field[1]];
  }

  /** Whether some of these pixels would lie outside of the image. */
  beyond() {
    const [top, left, bottom, right] = this.window(), { height, width } = this.view.photo;
    return top < 0 || left < 0 || bottom > height || right > width;
  }

  value() {
    const { sheet, view, exact } = this, { x, y } = this.cell(), { count, height, width } = sizeOf(sheet);
    if (view.channel >= count) return "none";
    const each = (read) => COLORS.map((color, k) => `${color} ${number(read(k))}`).join(", ");
    if (exact) {
      const at = y * exact.shape[1] + x;
      return exact.shape.length === 3 ? each((k) => exact.data[3 * at + k]) : number(exact.data[at]);
    }
    const at = (view.channel * height + y) * width + x;
    return isColored(sheet) ? "…" : `≈ ${number((sheet.tiles.data[at] * largestOf(sheet, view.channel)) / LEVELS)}`;
  }

  // --- pointer and keys -----------------------------------------------------------------------------------

  placeAt(event) {
    const { sheet, view } = this, box = this.canvas.getBoundingClientRect();
    if (!sheet || !this.room) return null;
    const x = ((event.clientX - box.left) / box.width) * this.room.wide, y = ((event.clientY - box.top) / box.height) * this.room.high;
    if (view.one) {
      const place = { across: (x - this.area.left) / this.area.w, down: y / this.area.h };
      return place.across >= 0 && place.down >= 0 && place.across < 1 && place.down < 1 ? place : null;
    }
    const { across, stepX, stepY, left } = this.plan, column = Math.floor((x - left) / stepX);
    const channel = this.channels()[Math.floor(y / stepY) * across + column];
    return column >= 0 && column < across && channel !== undefined ? { channel } : null;
  }

  look(event) {
    const place = this.placeAt(event);
    if (this.view.one) this.view.point(place);
    else this.view.read(place?.channel);
  }

  onKey(event) {
    const { view } = this, step = STEPS[event.key];
    if (event.key === "Escape" && view.one) view.shrink();
    else if (step && view.one) this.stepPlace(step);
    else if (step) this.stepTile(step);
    else if (!view.one && (event.key === "Enter" || event.key === " ")) view.enlarge(this.chosen());
    else if (event.key === "PageDown" || event.key === "PageUp") view.turn(event.key === "PageDown" ? 1 : -1);
    else return;
    event.preventDefault();
    event.stopPropagation();
  }

  /** The tile that the keys have chosen; the first one where that is on another page. */
  chosen() {
    const channels = this.channels();
    return channels.includes(this.view.cursor) ? this.view.cursor : channels[0];
  }

  stepPlace([dx, dy]) {
    const { rows, columns } = this.size();
    const from = this.view.pointed ? this.cell() : { x: Math.floor(columns / 2) - dx, y: Math.floor(rows / 2) - dy };
    const along = (at, count) => (clamp(at, 0, count - 1) + 0.5) / count;
    this.view.point({ across: along(from.x + dx, columns), down: along(from.y + dy, rows) });
  }

  stepTile([dx, dy]) {
    const { view } = this, channels = this.channels(), at = channels.indexOf(view.cursor);
    view.cursor = channels[at < 0 ? 0 : clamp(at + dx + dy * this.plan.across, 0, channels.length - 1)];
    view.draw();
    view.read(view.cursor);
  }
}
