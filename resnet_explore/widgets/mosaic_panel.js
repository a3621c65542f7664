/* Mosaics: one network's tiles, or one of them over the image, and what is pointed at. */

const COLORS = ["red", "green", "blue"]; // of a filter's weights

const STEPS = { ArrowRight: [1, 0], ArrowLeft: [-1, 0], ArrowDown: [0, 1], ArrowUp: [0, -1] };

const number = (value) => (Number.isFinite(value) ? String(Number(value.toPrecision(3))) : "?").replaceAll("-", "−");

/** One network's canvas with its heading. */
class Panel {
  constructor(view) {
    this.view = view;
    this.heading = make("p", "rx-panel-heading");
    this.canvas = control("canvas", "rx-tiles", { width: SIDE, height: SIDE, tabIndex: 0 });
    this.canvas.setAttribute("role", "img");
    this.empty = make("p", "rx-message");
    this.node = make("div", "rx-panel", {}, this.heading, make("div", "rx-stage", {}, this.canvas, this.empty));
    this.canvas.addEventListener("mousemove", (event) => this.look(event));
    this.canvas.addEventListener("mouseleave", () => view.point(null));
    this.canvas.addEventListener("click", (event) => {
      const place = this.placeAt(event);
      if (place && view.channel < 0) view.enlarge(place.channel);
    });
    this.canvas.addEventListener("keydown", (event) => this.onKey(event));
  }

  show(data) {
    this.data = data;
    this.heading.textContent = data?.heading ?? "";
    this.heading.style.color = data?.color ?? "";
    const gone = data?.shape && this.view.channel >= data.count;
    const words = gone ? `There is no channel ${this.view.channel} here, only ${data.count}.` : data?.shape ? "" : data?.message;
    this.empty.textContent = words ?? "";
    this.empty.hidden = !words;
    this.node.hidden = !data;
    if (data) this.draw();
  }

  draw() {
    const { data, canvas, view } = this, context = canvas.getContext("2d");
    context.fillStyle = "#fafafa";
    context.fillRect(0, 0, SIDE, SIDE);
    canvas.tabIndex = data?.shape ? 0 : -1;
    if (!data?.shape) return;
    if (view.channel >= 0) this.drawOne(context);
    else this.drawAll(context);
    canvas.setAttribute("aria-label", this.alt());
    canvas.dataset.drawn = Number(canvas.dataset.drawn ?? 0) + 1;
  }

  alt() {
    const { data, view } = this, [count, height, width] = data.full ?? data.shape;
    if (view.channel >= 0) return `${data.heading}: channel ${view.channel} of ${view.tick}, ${height}×${width}, over the image`;
    return `${data.heading}: ${view.shown(data).length} of ${count} channels of ${view.tick}, ${height}×${width} each, ${view.orderWords(view.order)}`;
  }

  // ---- all channels ---------------------------------------------------------------------------------------

  drawAll(context) {
    const { data, view } = this, channels = view.shown(data);
    const plan = (this.plan = layout(data, Math.min(MOST, data.count)));
    const sheet = view.painter.sheet(data, channels, plan.across, (c) => view.scaleOf(data, c));
    context.imageSmoothingEnabled = false;
    channels.forEach((channel, k) => {
      const column = k % plan.across, row = Math.floor(k / plan.across);
      const [x, y] = [Math.round(column * plan.stepX), Math.round(row * plan.stepY)];
      const [w, h] = [Math.round(plan.w), Math.round(plan.h)];
      context.drawImage(sheet, column * data.width, row * data.height, data.width, data.height, x, y, w, h);
      if (data.marks[channel]) this.mark(context, data.marks[channel], x, y, w, h);
      if (channel === view.cursor) this.frame(context, x, y, w, h);
    });
  }

  /** Dead: a cross in a corner and a dashed edge. Saturated: a filled corner. */
  mark(context, kind, x, y, w, h) {
    const size = clamp(Math.min(w, h) * 0.3, 8, 22);
    context.save();
    context.lineWidth = 3;
    context.strokeStyle = "#9aa0aa";
    context.fillStyle = "#1b1d21";
    context.beginPath();
    if (kind === 1) {
      context.setLineDash([6, 5]);
      context.strokeRect(x + 2, y + 2, w - 4, h - 4);
      context.setLineDash([]);
      for (const sign of [0, 1]) {
        context.moveTo(x + 8, y + 8 + sign * size);
        context.lineTo(x + 8 + size, y + 8 + (1 - sign) * size);
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
    for (const [color, inset, lineWidth] of [["#0b5cad", 2, 5], ["#ffffff", 6, 3]]) {
      if (Math.min(w, h) < 3 * inset) continue;
      context.lineWidth = lineWidth;
      context.strokeStyle = color;
      context.strokeRect(x + inset, y + inset, w - 2 * inset, h - 2 * inset);
    }
  }

  // ---- one channel over the image -------------------------------------------------------------------------

  drawOne(context) {
    const { data, view } = this, channel = view.channel, picture = view.view === "filters" ? null : view.picture;
    const [high, wide] = picture ? [picture.rows, picture.columns] : [data.height, data.width];
    const unit = Math.min(SIDE / wide, SIDE / high);
    const area = (this.area = { w: unit * wide, h: unit * high, unit });
    if (channel >= data.count) return;
    context.fillStyle = "#000";
    context.fillRect(0, 0, area.w, area.h);
    context.imageSmoothingEnabled = true;
    if (picture?.bitmap) context.drawImage(picture.bitmap, 0, 0, area.w, area.h);
    context.imageSmoothingEnabled = false;
    context.globalAlpha = picture ? view.model.get("opacity") : 1;
    context.drawImage(view.painter.sheet(data, [channel], 1, (c) => view.scaleOf(data, c)), 0, 0, area.w, area.h);
    context.globalAlpha = 1;
    if (!view.pointed) return;
    const { rows, columns } = this.size(), { x, y } = this.cell();
    const [w, h] = [area.w / columns, area.h / rows];
    this.frame(context, x * w, y * h, w, h);
    if (this.field()) {
      const [top, left, bottom, right] = this.window().map((v) => v * unit);
      context.lineWidth = 4;
      context.setLineDash([12, 8]);
      context.strokeStyle = "#39d353";
      const clipped = [Math.max(left, 2), Math.max(top, 2), Math.min(right, area.w - 2), Math.min(bottom, area.h - 2)];
      context.strokeRect(clipped[0], clipped[1], clipped[2] - clipped[0], clipped[3] - clipped[1]);
      context.setLineDash([]);
    }
  }

  /** Rows and columns of what is enlarged: the exact map where it has come, else the tile. */
  size() {
    const exact = this.view.exactOf(this);
    return exact ?? { rows: this.data.height, columns: this.data.width };
  }

  /** The place that is pointed at, in this map, whose size may be another than that of the map beside it. */
  cell() {
    const { rows, columns } = this.size(), { across, down } = this.view.pointed;
    return { x: Math.min(Math.floor(across * columns), columns - 1), y: Math.min(Math.floor(down * rows), rows - 1) };
  }

  /** The receptive field of the layer; undefined where it is the whole image or not known. */
  field() {
    const { data, view } = this;
    return view.model.get("windows")?.[view.model.get("depth")]?.[data.network]?.[data.layer];
  }

  /** Input pixels that the place depends on: top, left, bottom, right. */
  window() {
    const { field, jump, start } = this.field(), [, height, width] = this.data.full;
    const { rows, columns } = this.size(), { x, y } = this.cell();
    const at = [Math.floor(((y + 0.5) * height) / rows), Math.floor(((x + 0.5) * width) / columns)];
    const first = at.map((place, axis) => start[axis] + place * jump[axis]);
    return [first[0], first[1], first[0] + field[0], first[1] + field[1]];
  }

  /** Whether some of these pixels would lie outside of the image. */
  beyond() {
    const [top, left, bottom, right] = this.window(), { rows, columns } = this.view.picture;
    return top < 0 || left < 0 || bottom > rows || right > columns;
  }

  value() {
    const { data, view } = this, exact = view.exactOf(this), { x, y } = this.cell();
    if (view.channel >= data.count) return "none";
    const each = (read) => COLORS.map((color, k) => `${color} ${number(read(k))}`).join(", ");
    if (exact) return data.colored ? each((k) => exact.values[3 * (y * exact.columns + x) + k]) : number(exact.values[y * exact.columns + x]);
    const at = (view.channel * data.height + y) * data.width + x;
    if (data.colored) return `≈ ${each((k) => ((data.tiles[3 * at + k] - 128) * data.largest) / LEVELS)}`;
    return `≈ ${number((data.tiles[at] * data.scales[view.channel]) / LEVELS)}`;
  }

  // ---- the pointer ----------------------------------------------------------------------------------------

  placeAt(event) {
    const { data, view } = this, box = this.canvas.getBoundingClientRect();
    if (!data?.shape) return null;
    const [x, y] = [((event.clientX - box.left) / box.width) * SIDE, ((event.clientY - box.top) / box.height) * SIDE];
    if (view.channel >= 0) {
      const place = { across: x / this.area.w, down: y / this.area.h };
      return place.across >= 0 && place.down >= 0 && place.across < 1 && place.down < 1 ? place : null;
    }
    const { across, stepX, stepY } = this.plan, column = Math.floor(x / stepX);
    const channel = view.shown(data)[Math.floor(y / stepY) * across + column];
    return column < across && channel !== undefined ? { channel } : null;
  }

  look(event) {
    const place = this.placeAt(event);
    if (this.view.channel >= 0) this.view.point(place);
    else this.view.read(place?.channel);
  }

  // ---- keys -----------------------------------------------------------------------------------------------

  onKey(event) {
    const { view } = this, one = view.channel >= 0, step = STEPS[event.key];
    if (event.key === "Escape" && one) view.shrink();
    else if (step && one) this.stepPlace(step);
    else if (step) this.stepTile(step);
    else if (!one && (event.key === "Enter" || event.key === " ")) view.enlarge(this.chosen());
    else if (event.key === "PageDown" || event.key === "PageUp") view.turn(event.key === "PageDown" ? 1 : -1);
    else return;
    event.preventDefault();
    event.stopPropagation();
  }

  /** The tile that the keys have chosen; the first one where that is on another page or in another view. */
  chosen() {
    const channels = this.view.shown(this.data);
    return channels.includes(this.view.cursor) ? this.view.cursor : channels[0];
  }

  stepPlace([dx, dy]) {
    const { rows, columns } = this.size();
    const from = this.view.pointed ? this.cell() : { x: Math.floor(columns / 2) - dx, y: Math.floor(rows / 2) - dy };
    const along = (at, count) => (clamp(at, 0, count - 1) + 0.5) / count;
    this.view.point({ across: along(from.x + dx, columns), down: along(from.y + dy, rows) });
  }

  stepTile([dx, dy]) {
    const { view } = this, channels = view.shown(this.data), at = channels.indexOf(view.cursor);
    const next = at < 0 ? 0 : clamp(at + dx + dy * this.plan.across, 0, channels.length - 1);
    view.cursor = channels[next];
    view.drawPanels();
    view.read(view.cursor);
  }
}
