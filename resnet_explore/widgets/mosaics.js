/* Mosaics: feature maps as tiles, twins side by side; sorted, enlarged and read in the browser.
 *
 * The only contact with the outside is model.get / set / on / save_changes, so this file also runs in a page
 * without a kernel. With one, the exact values of an enlarged map are asked for (model.send); until they are
 * there, and where they never come, values are those of the tile, to within half a percent of its largest.
 */

const REST_MS = 150;     // this long without a move, and the kernel is told where we are
const SIDE = 880;        // pixels of a panel's canvas; on the page it is about half as wide
const GAP = 0.06;        // between tiles, as a share of a tile
const MOST = 64;         // tiles on a page
const LEVELS = 127;
const VIEWS = { maps: "Feature maps", parts: "Skip and branch", filters: "First-layer filters" };
const ORDERS = { activation: "by activation", difference: "by how much the twins differ", channel: "by channel" };
const COLORS = ["red", "green", "blue"]; // of a filter's weights
const OWN = "Each tile is on its own scale: the brightest colour is its largest magnitude.";
const STEPS = { ArrowRight: [1, 0], ArrowLeft: [-1, 0], ArrowDown: [0, 1], ArrowUp: [0, -1] };
const MEASURING = "Measuring the curves …";
const WHERE = ["view", "depth", "index", "order", "page", "own_scale", "channel", "opacity"];
let serial = 0;

const clamp = (value, low, high) => Math.min(Math.max(value, low), high);
const number = (value) => (Number.isFinite(value) ? String(Number(value.toPrecision(3))) : "?").replaceAll("-", "−");

function make(tag, className = "", properties = {}, ...children) {
  const node = Object.assign(document.createElement(tag), properties);
  node.className = className;
  node.append(...children);
  return node;
}

/** A labelled control. JupyterLab leaves the keys alone only where the focused element itself says so. */
function control(text, node, className) {
  node.id = `rx-mosaics-${Date.now()}-${serial++}`;
  node.dataset.lmSuppressShortcuts = "true";
  return make("span", className, {}, make("label", "rx-name", { htmlFor: node.id, textContent: text }), node);
}

const slider = (properties) => make("input", "", { type: "range", min: 0, step: 1, ...properties });
const button = (text, label) => {
  const node = make("button", "rx-small", { type: "button", textContent: text });
  node.dataset.lmSuppressShortcuts = "true";
  if (label) node.setAttribute("aria-label", label);
  return node;
};

/** Bytes of a message on a buffer of their own: numbers in it have to lie at multiples of their size. */
function owned(view) {
  return view.buffer.slice(view.byteOffset, view.byteOffset + view.byteLength);
}

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

/** One network's canvas with its heading. */
class Panel {
  constructor(view) {
    this.view = view;
    this.heading = make("p", "rx-panel-heading");
    this.canvas = make("canvas", "rx-tiles", { width: SIDE, height: SIDE, tabIndex: 0 });
    this.canvas.dataset.lmSuppressShortcuts = "true";
    this.canvas.setAttribute("role", "img");
    this.empty = make("p", "rx-message");
    this.node = make("div", "rx-panel", {}, this.heading, make("div", "rx-stage", {}, this.canvas, this.empty));
    this.canvas.addEventListener("mousemove", (event) => this.look(event));
    this.canvas.addEventListener("mouseleave", () => view.point(null));
    this.canvas.addEventListener("click", (event) => {
      const place = this.placeAt(event);
      if (place && view.channel < 0) view.enlarge(place.channel);
    });
    this.canvas.addEventListener("keydown", (event) => view.onKey(event, this));
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
}

class MosaicsView {
  constructor(model, el) {
    this.model = model;
    this.painter = new Painter(model.get("lookup"));
    this.decoded = {};
    this.channel = this.cursor = -1;
    this.pointed = null;
    this.exact = {};
    this.build();
    this.listen();
    el.append(this.root);
    for (const name of Object.keys(VIEWS)) this.load(name);
    this.loadPicture();
    this.loadCharts();
    this.refresh();
    this.askForRest();
  }

  /** Tell the kernel that the maps are drawn; it sends then what can come later. */
  askForRest() {
    if (this.decoded.maps) requestAnimationFrame(() => this.model.send?.({ shown: true }));
  }

  // ---- the page ---------------------------------------------------------------------------------------------

  build() {
    this.title = make("p", "rx-title rx-two-lines");
    this.choose = make("select");
    this.choose.append(...Object.entries(VIEWS).map(([value, textContent]) => make("option", "", { value, textContent })));
    this.sort = make("select");
    this.sort.append(...Object.entries(ORDERS).map(([value, textContent]) => make("option", "", { value, textContent })));
    this.own = make("input", "", { type: "checkbox" });
    this.see = slider({ max: 100, step: 5, value: 100 * this.model.get("opacity") });
    this.back = button("◂ All channels", "Back to all channels");
    this.earlier = button("◂", "Earlier channels");
    this.later = button("▸", "Later channels");
    this.where = make("span", "rx-where");
    this.pages = make("span", "rx-pages", {}, this.earlier, this.where, this.later);
    this.sorting = control("Sort", this.sort, "rx-choice");
    this.seeing = control("Opacity", this.see, "rx-choice");
    this.tools = make("div", "rx-tools", {}, control("Show", this.choose, "rx-choice"), this.sorting,
      control("Each tile on its own scale", this.own, "rx-choice rx-check"), this.pages, this.seeing, this.back);

    this.panels = [new Panel(this), new Panel(this)];
    this.message = make("p", "rx-message", { role: "status" });
    this.stage = make("div", "rx-panels", {}, ...this.panels.map((panel) => panel.node));
    this.readout = make("p", "rx-readout");
    this.readout.setAttribute("aria-live", "polite");
    this.bar = make("canvas", "rx-bar", { width: 2 * LEVELS + 1, height: 1 });
    this.bar.setAttribute("role", "img");
    this.ends = [make("span"), make("span")];
    this.signs = make("span", "rx-signs", { textContent: "✕ dead: 0 everywhere   ◤ saturated: at its bound" });
    this.key = make("div", "rx-key", {}, this.ends[0], this.bar, this.ends[1], this.signs);

    this.block = slider({});
    this.depth = slider({});
    this.blockValue = make("span", "rx-at");
    this.depthValue = make("span", "rx-at");
    this.blocks = make("div", "rx-slide", {}, control("Block", this.block, "rx-slider"), this.blockValue);
    this.depths = make("div", "rx-slide", {}, control("Depth", this.depth, "rx-slider"), this.depthValue);
    this.block.className = "rx-block";
    this.depth.className = "rx-depth";
    this.charts = make("div", "rx-chart", { role: "img" });
    this.measuring = make("p", "rx-measuring", { textContent: MEASURING });
    this.curves = make("div", "rx-curves", {}, this.charts, this.measuring);
    this.caption = make("p", "rx-caption");
    this.body = make("div", "rx-mosaics-body", {}, this.title, this.tools, this.stage, this.message, this.readout, this.key,
      this.blocks, this.depths, this.curves, this.caption);
    this.root = make("div", "rx-card rx-mosaics", {}, this.body);
    const context = this.bar.getContext("2d"), image = new ImageData(2 * LEVELS + 1, 1);
    new Uint32Array(image.data.buffer).set(this.painter.colors);
    context.putImageData(image, 0, 0);
  }

  listen() {
    const { model } = this;
    this.block.addEventListener("input", () => this.moveTo({ index: Number(this.block.value) }));
    this.depth.addEventListener("input", () => {
      const before = this.steps.length, at = this.index;
      this.moveTo({ depth: Number(this.depth.value) });
      // As deep into the one network as it was into the other.
      this.moveTo({ index: Math.round((at / Math.max(1, before - 1)) * (this.steps.length - 1)) });
    });
    this.choose.addEventListener("change", () => { this.moveTo({ view: this.choose.value, channel: -1 }); });
    this.sort.addEventListener("change", () => this.moveTo({ order: this.sort.value, page: 0 }));
    this.own.addEventListener("change", () => this.moveTo({ own_scale: this.own.checked }));
    this.see.addEventListener("input", () => this.moveTo({ opacity: this.see.value / 100 }));
    this.back.addEventListener("click", () => this.shrink());
    this.earlier.addEventListener("click", () => this.turn(-1));
    this.later.addEventListener("click", () => this.turn(1));
    this.handlers = {
      "change:picture": () => this.loadPicture(),
      "change:charts": () => this.loadCharts(),
      "change:windows": () => { this.drawPanels(); this.say(); },
      "msg:custom": (content, buffers) => (content?.where ? this.tellWhere() : this.takeExact(content, buffers)),
    };
    for (const name of Object.keys(VIEWS)) {
      this.handlers[`change:${name}`] = () => {
        this.load(name);
        this.refresh();
        if (name !== "maps") return;
        this.root.dataset.shown = Number(this.root.dataset.shown ?? 0) + 1; // for those who wait for new maps
        this.askForRest();
      };
    }
    for (const name of [...WHERE, "message", "busy"]) {
      this.handlers[`change:${name}`] = () => this.refresh();
    }
    for (const [name, handler] of Object.entries(this.handlers)) model.on(name, handler);
  }

  dispose() {
    clearTimeout(this.saving);
    for (const [name, handler] of Object.entries(this.handlers)) this.model.off?.(name, handler);
    this.releaseChart();
    this.root.remove();
  }

  // ---- what has come ------------------------------------------------------------------------------------------

  load(name) {
    const given = this.model.get(name);
    this.exact = {};
    if (!given?.sets) { this.decoded[name] = null; return; }
    const buffer = owned(given.bytes);
    this.decoded[name] = given.sets.map((set) => ({
      ...set,
      steps: set.steps.map((step) => ({ ...step, panels: step.panels.map((p) => (p.shape ? unpack(buffer, p) : p)) })),
    }));
  }

  async loadPicture() {
    const given = this.model.get("picture");
    this.picture = null;
    this.exact = {};
    if (given?.bytes) {
      this.picture = { rows: given.size[0], columns: given.size[1], bitmap: null };
      const bitmap = await createImageBitmap(new Blob([given.bytes], { type: "image/png" })).catch(() => null);
      if (this.picture) this.picture.bitmap = bitmap;
    }
    if (this.channel >= 0) this.refresh();
  }

  /** While new curves are measured the old ones keep their place, pale and without their line. */
  loadCharts() {
    this.chartShown = -1;
    const late = !this.model.get("charts")?.pictures;
    this.curves.classList.toggle("rx-late", late);
    if (late) this.charts.setAttribute("aria-label", MEASURING);
    this.showChart();
  }

  // ---- where we are -------------------------------------------------------------------------------------------

  get view() { const name = this.model.get("view"); return this.decoded[name] ? name : "maps"; }
  get sets() { return this.decoded[this.view] ?? []; }
  get set() { return this.sets[clamp(this.model.get("depth"), 0, this.sets.length - 1)]; }
  get steps() { return this.set?.steps ?? []; }
  get index() { return clamp(this.model.get("index"), 0, Math.max(0, (this.decoded.maps?.[this.model.get("depth")]?.steps.length ?? 1) - 1)); }
  get step() { return this.steps[Math.min(this.index, this.steps.length - 1)]; }
  get colored() { return Boolean(this.step?.panels.every((p) => p.colored)); }
  get ownScale() { return this.model.get("own_scale") && !this.colored; }
  get page() { return clamp(this.model.get("page"), 0, this.lastPage); }
  get tick() { return this.step?.tick ?? ""; }

  get order() {
    const wanted = this.model.get("order");
    return wanted === "difference" && !this.step?.panels.every((p) => !p.orders || p.orders.difference) ? "activation" : wanted;
  }

  /** What an order is called here: channels that two networks share have one place in both. */
  orderWords(order) {
    if (order !== "activation") return ORDERS[order];
    const counts = (this.step?.panels ?? []).filter((p) => p.shape).map((p) => p.count);
    const two = counts.length < 2 ? "" : counts[0] === counts[1] ? ", both together" : ", each by itself";
    return (this.view === "filters" ? "by size of the weights" : ORDERS.activation) + two;
  }

  /** The channels on the page that is open. */
  shown(data) {
    const all = this.order === "channel" ? Array.from({ length: data.count }, (_, k) => k) : data.orders[this.order] ?? data.orders.activation;
    const page = Math.min(this.page, Math.ceil(data.count / MOST) - 1);
    return Array.from(all ?? Array.from({ length: data.count }, (_, k) => k)).slice(page * MOST, (page + 1) * MOST);
  }

  scaleOf(data, channel) {
    return (this.ownScale ? data.scales[channel] : this.step.scale) || 1;
  }

  moveTo(values) {
    for (const [name, value] of Object.entries(values)) this.model.set(name, value);
    this.refresh();
    clearTimeout(this.saving);
    this.saving = setTimeout(() => this.model.save_changes(), REST_MS);
  }

  /** Answer where the person is: what is on its way as a change may arrive after what needs to know it. */
  tellWhere() {
    this.model.send?.({ where: Object.fromEntries(WHERE.map((name) => [name, this.model.get(name)])) });
  }

  turn(by) {
    this.moveTo({ page: clamp(this.page + by, 0, this.lastPage) });
  }

  get lastPage() {
    return Math.max(0, ...(this.step?.panels ?? []).filter((p) => p.shape).map((p) => Math.ceil(p.count / MOST) - 1));
  }

  enlarge(channel) {
    this.cursor = channel;
    this.pointed = null;
    this.moveTo({ channel });
  }

  shrink() {
    this.pointed = null;
    this.moveTo({ channel: -1 });
  }

  point(place) {
    if (this.channel < 0) return place === null ? this.read(undefined) : undefined;
    this.pointed = place;
    this.drawPanels();
    this.say();
    return undefined;
  }

  // ---- showing --------------------------------------------------------------------------------------------------

  refresh() {
    const { model, step } = this;
    this.channel = model.get("channel");
    const most = Math.max(0, ...(step?.panels ?? []).map((p) => p.count ?? 0));
    if (this.channel >= most) this.channel = -1;
    const busy = model.get("busy"), words = busy || !step ? model.get("message") : "";
    if (this.message.textContent !== words) this.message.textContent = words;
    this.message.hidden = !words;
    this.root.classList.toggle("rx-waiting", busy && Boolean(step));
    this.root.setAttribute("aria-busy", String(busy));
    this.title.textContent = (step?.title ?? "").replaceAll(" %", "\u00a0%");
    this.caption.textContent = step ? [step.caption, this.ownScale ? OWN : step.scaled, this.set.caption].filter(Boolean).join(" ") : "";
    for (const part of [this.title, this.tools, this.stage, this.key, this.readout, this.caption]) part.hidden = !step;

    this.choose.value = this.view;
    for (const option of this.choose.options) option.disabled = !this.decoded[option.value];
    this.sort.value = this.order;
    this.sort.options[1].disabled = Boolean(step) && !step.panels.every((p) => !p.orders || p.orders.difference);
    this.sort.options[0].textContent = this.orderWords("activation");
    this.own.checked = model.get("own_scale");
    this.own.parentNode.hidden = this.colored;
    const one = this.channel >= 0;
    this.sorting.hidden = this.pages.hidden = one;
    this.pages.hidden ||= this.lastPage === 0;
    this.back.hidden = !one;
    this.seeing.hidden = !one || this.view === "filters";
    this.showPage();
    this.showSliders();
    this.panels.forEach((panel, k) => panel.show(step?.panels[k]));
    this.stage.classList.toggle("rx-single", step?.panels.length === 1);
    this.showKey();
    this.showChart();
    this.say();
    if (one && step) this.askExact();
  }

  drawPanels() {
    for (const panel of this.panels) if (panel.data) panel.draw();
  }

  showPage() {
    const most = Math.max(0, ...(this.step?.panels ?? []).map((p) => p.count ?? 0));
    this.where.textContent = `${this.page * MOST + 1}–${Math.min(most, (this.page + 1) * MOST)} of ${most}`;
    this.earlier.disabled = this.page === 0;
    this.later.disabled = this.page === this.lastPage;
  }

  showSliders() {
    const sets = this.decoded.maps ?? [], steps = this.decoded.maps?.[clamp(this.model.get("depth"), 0, sets.length - 1)]?.steps ?? [];
    this.block.max = Math.max(0, steps.length - 1);
    this.block.value = this.index;
    this.block.disabled = this.view === "filters";
    const tick = steps[this.index]?.tick ?? "";
    this.blockValue.textContent = steps.length ? `${this.index + 1} of ${steps.length}, ${tick.split(".").slice(-2).join(".")}` : "";
    this.block.setAttribute("aria-valuetext", this.blockValue.textContent);
    this.blocks.hidden = steps.length < 2;
    this.depth.max = Math.max(0, sets.length - 1);
    this.depth.value = this.model.get("depth");
    this.depthValue.textContent = this.set?.tick ?? "";
    this.depth.setAttribute("aria-valuetext", this.depthValue.textContent);
    this.depths.hidden = sets.length < 2;
    this.root.dataset.index = this.index;
  }

  showKey() {
    const scale = this.step?.scale ?? 0;
    const [low, high] = this.ownScale ? ["−its largest", "+its largest"] : [number(-scale), number(scale)];
    this.ends[0].textContent = low;
    this.ends[1].textContent = high;
    this.bar.setAttribute("aria-label", `Colours from ${low} (blue) over 0 (black) to ${high} (yellow)`);
    this.key.classList.toggle("rx-away", this.colored);
    this.signs.classList.toggle("rx-away", this.view !== "maps"); // parts and weights carry no marks
  }

  showChart() {
    const charts = this.model.get("charts"), at = clamp(this.model.get("depth"), 0, (charts?.pictures?.length ?? 1) - 1);
    this.curves.hidden = !this.step;
    if (!charts?.pictures) return;
    const places = charts.places[at], { length } = places;
    if (this.chartShown !== at) {
      this.releaseChart();
      this.chart = URL.createObjectURL(new Blob([charts.pictures[at]], { type: "image/png" }));
      this.charts.setAttribute("aria-label", charts.alts[at]);
      // One picture, cut into its panels, which go into several rows where there is less room.
      this.charts.replaceChildren(...places.map((_, k) => {
        const picture = make("img", "rx-chart-picture", { src: this.chart, alt: "" });
        Object.assign(picture.style, { width: `${100 * length}%`, marginLeft: `${-100 * k}%` });
        return make("div", "", {}, picture, make("span"));
      }));
      this.charts.style.setProperty("--wide", length);
      this.charts.style.setProperty("--narrow", Math.ceil(length / 2));
      this.chartShown = at;
    }
    const last = Math.max(1, (this.decoded.maps?.[at]?.steps.length ?? 2) - 1);
    places.forEach(([first, end, top, bottom], k) => {
      const { style } = this.charts.children[k].lastChild;
      style.left = `${100 * (first + ((end - first) * this.index) / last)}%`;
      style.top = `${100 * top}%`;
      style.height = `${100 * (bottom - top)}%`;
    });
  }

  /** Let go of the chart's bytes, once those are done who may still be reading them. */
  releaseChart() {
    const { chart } = this;
    setTimeout(() => URL.revokeObjectURL(chart), 10_000);
  }

  // ---- reading ----------------------------------------------------------------------------------------------------

  /** Say what a tile is, without enlarging it. */
  read(channel) {
    if (channel === undefined) return this.say();
    const parts = this.panels.filter((p) => p.data?.shape && channel < p.data.count).map(({ data }) => {
      const mark = ["", ", dead", ", saturated"][data.marks[channel]];
      return data.colored ? data.heading : `${data.heading}: mean ${number(data.means[channel])}, largest magnitude ${number(data.scales[channel])}${mark}`;
    });
    this.readout.textContent = `Channel ${channel}. ${parts.join(" · ")}`;
    return undefined;
  }

  say() {
    if (!this.step) return;
    if (this.channel < 0) {
      const what = this.view === "filters" ? "to see it large and read its weights" : "to see it over the image";
      this.readout.textContent = `Click a tile, or choose one with the arrow keys and press Enter, ${what}.`;
      return;
    }
    const place = this.pointed, shown = this.panels.filter((p) => p.data?.shape);
    if (!place) {
      this.read(this.channel);
      this.readout.textContent += " · Point at a place, or move with the arrow keys, to read it.";
      return;
    }
    const cells = shown.map((panel) => panel.cell()), alike = cells.every(({ x, y }) => x === cells[0].x && y === cells[0].y);
    const at = ({ x, y }) => `row ${y}, column ${x}`;
    const values = shown.map((panel, k) => `${panel.data.heading}${alike ? "" : `, ${at(cells[k])}`}: ${panel.value()}`).join(" · ");
    const fields = shown.map((panel) => panel.field()?.field).filter(Boolean).map(([high, wide]) => `${Math.ceil(high)}×${Math.ceil(wide)}`);
    const beyond = shown.some((panel) => panel.field() && panel.beyond()) ? ", as far as the image reaches" : "";
    const sees = fields.length ? ` It depends on the ${[...new Set(fields)].join(" and ")} pixels in the green box${beyond}.` : "";
    this.readout.textContent = `Channel ${this.channel}${alike ? `, ${at(cells[0])}` : ""} · ${values}.${sees}`;
  }

  // ---- exact values ---------------------------------------------------------------------------------------------------

  get place() { return [this.view, this.model.get("depth"), this.index, this.channel].join("/"); }

  exactOf(panel) { return this.exact.place === this.place ? this.exact.maps[this.panels.indexOf(panel)] : undefined; }

  askExact() {
    if (this.asked === this.place || this.exact.place === this.place) return;
    clearTimeout(this.asking);
    this.asking = setTimeout(() => {
      this.asked = this.place;
      this.model.send?.({ want: this.place.split("/") });
    }, REST_MS);
  }

  takeExact(content, buffers) {
    if (!content?.place) return;
    this.asked = "";
    if (content.place.join("/") !== this.place) return;
    const maps = content.shapes.map((shape, k) => shape && { rows: shape[0], columns: shape[1], values: new Float32Array(owned(buffers[k])) });
    this.exact = { place: this.place, maps };
    this.root.dataset.exact = this.place;
    this.drawPanels();
    this.say();
  }

  // ---- keys -------------------------------------------------------------------------------------------------------------

  onKey(event, panel) {
    if (event.key === "Escape" && this.channel >= 0) this.shrink();
    else if (this.channel >= 0 && STEPS[event.key]) this.step2d(STEPS[event.key], panel);
    else if (this.channel < 0 && STEPS[event.key]) this.stepTile(STEPS[event.key], panel);
    else if (this.channel < 0 && (event.key === "Enter" || event.key === " ")) this.enlarge(this.chosen(panel));
    else if (event.key === "PageDown" || event.key === "PageUp") this.turn(event.key === "PageDown" ? 1 : -1);
    else return;
    event.preventDefault();
    event.stopPropagation();
  }

  /** The tile that the keys have chosen; the first one where that is on another page or in another view. */
  chosen(panel) {
    const channels = this.shown(panel.data);
    return channels.includes(this.cursor) ? this.cursor : channels[0];
  }

  step2d([dx, dy], panel) {
    const { rows, columns } = panel.size();
    const from = this.pointed ? panel.cell() : { x: Math.floor(columns / 2) - dx, y: Math.floor(rows / 2) - dy };
    const along = (at, count) => (clamp(at, 0, count - 1) + 0.5) / count;
    this.point({ across: along(from.x + dx, columns), down: along(from.y + dy, rows) });
  }

  stepTile([dx, dy], panel) {
    const channels = this.shown(panel.data), at = channels.indexOf(this.cursor);
    const next = at < 0 ? 0 : clamp(at + dx + dy * panel.plan.across, 0, channels.length - 1);
    this.cursor = channels[next];
    this.drawPanels();
    this.read(this.cursor);
  }
}

export default {
  render({ model, el }) {
    const view = new MosaicsView(model, el);
    return () => view.dispose();
  },
};
