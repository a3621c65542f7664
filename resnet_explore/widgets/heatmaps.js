/* HeatmapView: signed maps over one photo, moved through blocks and depths in the browser.
 *
 * The photo and all maps arrive once, as small arrays of numbers. Here they are enlarged bilinearly, as torch's
 * `interpolate(align_corners=False)` does, coloured by a table and laid over the photo; so opacity, colours, the
 * scale and the value under the pointer need no kernel. The contact with the outside is model.get / set / on /
 * save_changes, and send / on("msg:custom") for saving numbers.
 */

const REST_MS = 150;   // this long without a move, and the kernel is told where the sliders are
const SIDE = 256;      // maps are coloured at this resolution and drawn larger
const GAP = 0.04;      // between two panels, as a share of one
const NARROW_PX = 460;
const MARK_PX = 10;    // a single pixel is framed as if it were so large
const LIVE = ["opacity", "palette", "shared"];
let serial = 0;

const clamp = (value, low, high) => Math.min(Math.max(value, low), high);

function make(tag, className = "", properties = {}, ...children) {
  const node = Object.assign(document.createElement(tag), properties);
  node.className = className;
  node.append(...children);
  return node;
}

/** A control that keeps its keys: JupyterLab leaves them alone only where the element itself says so. */
function control(tag, className, properties) {
  const node = make(tag, className, { id: `rx-heat-${Date.now()}-${serial++}`, ...properties });
  node.dataset.lmSuppressShortcuts = "true";
  return node;
}

/** Three significant digits, with a sign. */
function signed(value) {
  if (!Number.isFinite(value)) return "no number";
  const text = Math.abs(value) >= 1000 || (value !== 0 && Math.abs(value) < 1e-3)
    ? Math.abs(value).toExponential(1) : String(Number(Math.abs(value).toPrecision(3)));
  return (value < 0 ? "−" : "+") + text;
}

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

/** A number keeps its percent sign beside it where a line ends. */
const whole = (text) => text.replaceAll(" %", "\u00a0%");

/** Texts of all steps in one place, one visible: the tallest sets the size, so nothing jumps. */
class Stack {
  constructor(className) {
    this.node = make("div", `rx-stack ${className}`);
  }

  fill(items) {
    this.node.replaceChildren(...items);
  }

  show(step) {
    [...this.node.children].forEach((item, k) => item.classList.toggle("rx-now", k === step));
  }
}

class HeatmapView {
  constructor(model, el) {
    this.model = model;
    this.drawn = 0;
    this.layer = make("canvas", "", { width: SIDE, height: SIDE });
    this.pixels = new ImageData(SIDE, SIDE);
    this.build();
    this.listen();
    el.append(this.root);
    this.takeAll();
  }

  get depths() {
    return this.model.get("series");
  }

  get depth() {
    return clamp(this.model.get("depth"), 0, Math.max(0, this.depths.length - 1));
  }

  get steps() {
    return this.depths[this.depth]?.steps ?? [];
  }

  get step() {
    return clamp(this.model.get("step"), 0, Math.max(0, this.steps.length - 1));
  }

  // ---- the page ------------------------------------------------------------------------------------------

  build() {
    this.title = new Stack("rx-title");
    this.caption = new Stack("rx-caption");
    this.headings = new Stack("rx-headings");
    this.canvas = control("canvas", "rx-canvas rx-heat", { tabIndex: 0 });
    this.canvas.setAttribute("role", "img");
    this.canvas.dataset.drawn = 0;
    this.message = make("p", "rx-message", { role: "status" });
    this.stage = make("div", "rx-stage", {}, this.canvas, this.message);
    this.readout = make("p", "rx-readout", { role: "status" });
    this.bar = make("canvas", "rx-bar", { width: 256, height: 1 });
    this.low = make("span"), this.high = make("span");
    this.legend = make("div", "rx-legend", {}, this.low, this.bar, this.high);
    this.legend.setAttribute("aria-hidden", "true"); // the line below says it
    this.meaning = make("p", "rx-meaning");

    this.rows = {};
    this.controls = make("div", "rx-heat-controls");
    for (const [name, label] of [["depth", "Depth"], ["step", "Block"], ["opacity", "Opacity"]]) {
      const slider = control("input", `rx-heat-${name}`, { type: "range", min: 0, max: 100, step: name === "opacity" ? 5 : 1 });
      const value = make("span", "rx-value");
      value.setAttribute("aria-hidden", "true");
      const word = make("label", "rx-label", { htmlFor: slider.id, textContent: label });
      const row = make("div", "rx-heat-row", {}, word, slider, value);
      this.rows[name] = { slider, value, row, word };
      this.controls.append(row);
    }
    this.palette = control("select", "rx-palette", {});
    this.shared = control("input", "rx-shared", { type: "checkbox" });
    this.buttons = ["PNG", "SVG", "Numbers"].map((kind) => {
      const button = control("button", "rx-save", { type: "button", textContent: kind });
      button.setAttribute("aria-label", kind === "Numbers" ? "Save the numbers as NPZ" : `Save the picture as ${kind}`);
      button.addEventListener("click", () => this.save(kind));
      return button;
    });
    this.sharing = make("label", "", {}, this.shared, " one scale for all blocks");
    this.options = make("div", "rx-heat-options", {},
      make("label", "", { htmlFor: this.palette.id, textContent: "Colours" }), this.palette,
      this.sharing,
      make("span", "rx-saves", {}, "Save ", ...this.buttons));
    this.body = make("div", "rx-body", {}, this.title.node, this.headings.node, this.stage, this.controls, this.legend, this.meaning,
      this.readout, this.caption.node, this.options);
    this.root = make("div", "rx-card rx-heatmaps", {}, this.body);
  }

  listen() {
    for (const name of ["depth", "step"]) {
      this.rows[name].slider.addEventListener("input", () => this.moveTo(name, Number(this.rows[name].slider.value)));
    }
    this.rows.opacity.slider.addEventListener("input", () => this.set("opacity", Number(this.rows.opacity.slider.value) / 100));
    this.palette.addEventListener("change", () => this.set("palette", this.palette.value));
    this.shared.addEventListener("change", () => this.set("shared", this.shared.checked));
    this.canvas.addEventListener("pointermove", (event) => this.pointAt(event));
    this.canvas.addEventListener("click", () => this.ask());
    this.canvas.addEventListener("pointerleave", () => this.point(null));
    this.canvas.addEventListener("blur", () => this.point(null));
    this.canvas.addEventListener("keydown", (event) => this.pointByKey(event));

    let waiting = false;
    const all = () => {
      if (waiting) return;
      waiting = true;
      queueMicrotask(() => {
        waiting = false;
        if (!this.disposed) this.takeAll();
      });
    };
    this.handlers = {
      picture: all, series: all, maps: all, palettes: all,
      outer: () => this.showAll(), unit: () => this.showAll(), meaning: () => this.showAll(), depth: () => this.showAll(), step: () => this.showAll(),
      busy: () => this.showState(), message: () => this.showState(),
      ...Object.fromEntries(LIVE.map((name) => [name, () => this.showAll()])),
    };
    for (const [name, handler] of Object.entries(this.handlers)) this.model.on(`change:${name}`, handler);
    this.onMessage = (content, buffers) => this.offer(content.file, new Blob([buffers[0]]));
    this.model.on("msg:custom", this.onMessage);
    this.observer = new ResizeObserver(() => this.root.classList.toggle("rx-narrow", this.body.clientWidth < NARROW_PX));
    this.observer.observe(this.body);
  }

  dispose() {
    this.disposed = true;
    if (this.saving) this.tell();
    for (const [name, handler] of Object.entries(this.handlers)) this.model.off?.(`change:${name}`, handler);
    this.model.off?.("msg:custom", this.onMessage);
    this.observer.disconnect();
    this.photo?.close();
    this.root.remove();
  }

  // ---- what arrives --------------------------------------------------------------------------------------

  async takeAll() {
    const bytes = this.model.get("maps"), source = this.model.get("picture");
    // Copied, since the bytes need not start where a float may.
    this.numbers = new Float32Array(bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.byteLength));
    this.palette.replaceChildren(...this.model.get("palettes").map(({ name }) => make("option", "", { value: name, textContent: name })));
    if (source !== this.source) {
      this.source = source;
      const photo = source.byteLength ? await createImageBitmap(new Blob([source])).catch(() => null) : null;
      if (this.disposed || source !== this.source) return photo?.close();
      this.photo?.close();
      this.photo = photo;
      this.grey = photo && this.greyOf(photo);
    }
    this.point(null);
    this.showAll();
  }

  /** The photo without its colours: those are the map's alone. */
  greyOf(photo) {
    const grey = make("canvas", "", { width: photo.width, height: photo.height });
    const context = grey.getContext("2d");
    context.drawImage(photo, 0, 0);
    const image = context.getImageData(0, 0, photo.width, photo.height), { data } = image;
    for (let i = 0; i < data.length; i += 4) {
      data.fill(Math.round(0.299 * data[i] + 0.587 * data[i + 1] + 0.114 * data[i + 2]), i, i + 3);
    }
    context.putImageData(image, 0, 0);
    return grey;
  }

  map({ at, h, w }) {
    return { values: this.numbers.subarray(at, at + h * w), h, w };
  }

  /** The magnitude in full colour: of this block in both networks, or of all blocks of this depth. */
  get scale() {
    return this.model.get("shared") ? Math.max(...this.steps.map((step) => step.scale)) : this.steps[this.step].scale;
  }

  // ---- drawing -------------------------------------------------------------------------------------------

  showAll() {
    this.showState();
    if (!this.steps.length) return;
    const { slider: depth } = this.rows.depth, { slider: step } = this.rows.step;
    depth.max = this.depths.length - 1;
    step.max = this.steps.length - 1;
    depth.value = this.depth;
    step.value = this.step;
    this.rows.depth.row.hidden = this.depths.length < 2;
    this.rows.step.row.hidden = this.steps.length < 2;
    this.rows.depth.word.textContent = this.model.get("outer");
    const ticks = { depth: this.depths[this.depth].tick, step: this.steps[this.step].tick };
    for (const [name, tick] of Object.entries(ticks)) {
      this.rows[name].value.textContent = tick;
      this.rows[name].slider.setAttribute("aria-valuetext", tick);
    }
    const percent = `${Math.round(100 * this.model.get("opacity"))} %`;
    this.rows.opacity.slider.value = parseInt(percent, 10);
    this.rows.opacity.slider.setAttribute("aria-valuetext", percent);
    this.rows.opacity.value.textContent = percent;
    this.palette.value = this.model.get("palette");
    this.shared.checked = this.model.get("shared");
    this.sharing.style.visibility = this.steps.length < 2 ? "hidden" : "";
    this.writeTexts();
    this.draw();
  }

  writeTexts() {
    const now = this.depths[this.depth], { title, caption } = this.steps[this.step];
    if (this.written !== this.depths) {
      const every = (name) => [...new Set(this.depths.flatMap(({ steps }) => steps.map((step) => step[name])))];
      const texts = (tag, words) => words.map((text) => make(tag, "", { textContent: whole(text) }));
      [this.titles, this.captions] = [every("title"), every("caption")];
      this.title.fill(texts("p", this.titles));
      this.caption.fill(texts("p", this.captions));
      this.headings.fill(this.depths.map(({ headings }) => make("div", "", {}, ...texts("span", headings))));
      this.written = this.depths;
    }
    this.root.classList.toggle("rx-single", now.headings.length === 1);
    this.headings.show(this.depth);
    this.title.show(this.titles.indexOf(title));
    this.caption.show(this.captions.indexOf(caption));
    const said = [title, caption].map((text) => text.replace(/\.$/, ""));
    this.canvas.setAttribute("aria-label", said.join(". "));
    this.root.dataset.depth = this.depth;
    this.root.dataset.step = this.step;
  }

  draw() {
    if (!this.photo) return;
    const { width, height } = this.photo, step = this.steps[this.step], gap = Math.round(width * GAP);
    const wide = step.maps.length * width + (step.maps.length - 1) * gap;
    if (this.canvas.width !== wide || this.canvas.height !== height) Object.assign(this.canvas, { width: wide, height });
    const context = this.canvas.getContext("2d");
    context.clearRect(0, 0, wide, height);
    step.maps.forEach((entry, k) => {
      const left = k * (width + gap);
      context.drawImage(this.model.get("opacity") > 0 ? this.grey : this.photo, left, 0);
      this.colourLayer(entry);
      context.globalAlpha = this.model.get("opacity");
      context.drawImage(this.layer, left, 0, width, height);
      context.globalAlpha = 1;
      this.drawMark(context, this.depths[this.depth].marks[k], left);
      if (this.place) this.drawBox(context, entry, left);
    });
    this.canvas.dataset.drawn = ++this.drawn;
    this.drawLegend();
    this.readAloud();
  }

  get table() {
    const all = this.model.get("palettes");
    const { colours } = all.find(({ name }) => name === this.model.get("palette")) ?? all[0];
    return Uint8Array.from(colours);
  }

  colourLayer(entry) {
    colour(this.pixels.data, this.map(entry), this.scale, this.table);
    this.layer.getContext("2d").putImageData(this.pixels, 0, 0);
  }

  drawLegend() {
    const image = new ImageData(256, 1);
    image.data.set(this.table);
    this.bar.getContext("2d").putImageData(image, 0, 0);
    [this.low.textContent, this.high.textContent] = this.ends;
    this.meaning.textContent = this.signs;
  }

  /** What stands at the two ends of the colour bar. */
  get ends() {
    const [low, high] = this.steps[this.step].beyond ? ["≤ ", "≥ "] : ["", ""];
    return [`${low}${signed(-this.scale)}`, `${high}${signed(this.scale)} ${this.model.get("unit")}`];
  }

  /** What the two signs mean, in the colours that they have. */
  get signs() {
    const [plus, minus] = this.palette.value.split(" and ");
    const words = this.model.get("meaning").replace("{plus}", plus).replace("{minus}", minus);
    return words && `${words[0].toUpperCase()}${words.slice(1)}.`;
  }

  // ---- the value under the pointer -----------------------------------------------------------------------

  pointAt(event) {
    if (!this.photo || !this.steps.length) return;
    const box = this.canvas.getBoundingClientRect(), { width, height } = this.photo;
    const x = ((event.clientX - box.left) / box.width) * this.canvas.width;
    const y = ((event.clientY - box.top) / box.height) * this.canvas.height;
    const period = width + Math.round(width * GAP), across = x % period;
    this.point(across < width ? { x: across / width, y: clamp(y / height, 0, 0.9999) } : null);
  }

  /** Arrow keys move a cell at a time; Escape lets go. */
  pointByKey(event) {
    if (event.key === "Enter" && this.place) return this.ask();
    const moves = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1], Escape: null };
    if (!(event.key in moves) || !this.steps.length) return;
    event.preventDefault();
    event.stopPropagation();
    const move = moves[event.key], { h, w } = this.steps[this.step].maps.at(-1);
    const { x, y } = this.place ?? { x: 0.5, y: 0.5 };
    const along = (at, by, count) => (clamp(Math.floor(at * count) + by, 0, count - 1) + 0.5) / count;
    this.point(move && { x: along(x, move[0], w), y: along(y, move[1], h) });
  }

  /** Ask about the place that is pointed at, where the networks answer for places. */
  ask() {
    if (this.place && this.model.get("askable")) this.model.send({ ask: [this.place.y, this.place.x] });
  }

  point(place) {
    if (!place && !this.place) return;
    this.place = place;
    if (this.photo && this.steps.length) this.draw();
  }

  cell({ at, h, w }) {
    const row = Math.floor(this.place.y * h), column = Math.floor(this.place.x * w);
    return { row, column, value: this.numbers[at + row * w + column] };
  }

  frame(context, left, [x0, y0, x1, y1], dash) {
    const { width, height } = this.photo;
    const [a, b] = [clamp(x0, 0, width), clamp(y0, 0, height)];
    const size = [clamp(x1, 0, width) - a, clamp(y1, 0, height) - b];
    for (const [style, line, pattern] of [["#fff", 3, []], ["#1b1d21", 1.5, dash]]) {
      Object.assign(context, { strokeStyle: style, lineWidth: line });
      context.setLineDash(pattern);
      context.strokeRect(left + a, b, ...size);
    }
    context.setLineDash([]);
  }

  /** What the network was asked about, where that is a part of the picture. */
  drawMark(context, mark, left) {
    if (!mark) return;
    const { width, height } = this.photo;
    const [x0, y0, x1, y1] = mark.map((share, i) => share * (i % 2 ? height : width));
    const [wider, taller] = [Math.max(0, MARK_PX - (x1 - x0)) / 2, Math.max(0, MARK_PX - (y1 - y0)) / 2];
    this.frame(context, left, [x0 - wider, y0 - taller, x1 + wider, y1 + taller], [2, 3]);
  }

  /** The cell under the pointer and, dashed, what of the picture its value can depend on. */
  drawBox(context, entry, left) {
    const { width, height } = this.photo, { row, column } = this.cell(entry), { h, w, field } = entry;
    this.frame(context, left, [(column * width) / w, (row * height) / h, ((column + 1) * width) / w, ((row + 1) * height) / h], []);
    if (!field) return;
    const { start, jump, size } = field; // shares of the side
    const [x, y] = [start + column * jump, start + row * jump];
    this.frame(context, left, [(x - size / 2) * width, (y - size / 2) * height, (x + size / 2) * width, (y + size / 2) * height], [6, 4]);
  }

  readAloud() {
    const { maps } = this.steps[this.step], { headings } = this.depths[this.depth];
    if (!this.place) {
      const ask = this.model.get("askable") ? " Click, or press Enter, to ask about that place." : "";
      this.readout.textContent = `Point at the picture, or focus it and use the arrow keys, to read a value.${ask}`;
      return;
    }
    const { row, column } = this.cell(maps.at(-1)), { field, h, w } = maps.at(-1);
    const values = maps.map((entry, k) => `${headings[k].split(",")[0]} ${signed(this.cell(entry).value)}`);
    const seen = field ? ` It can depend on ${this.share(field)} (dashed).` : "";
    this.readout.textContent = `Row ${row}, column ${column} of ${h}×${w}, counted from 0: ${values.join(", ")} ${this.model.get("unit")}.${seen}`;
  }

  share({ size, pixels }) {
    return size >= 2 ? "the whole picture" : `${pixels}×${pixels} pixels of the input`;
  }

  // ---- moving and telling --------------------------------------------------------------------------------

  /** The person moves: shown at once, told to the kernel when at rest. */
  moveTo(name, value) {
    if (name === "depth") {
      // The same place on the way through a network of another length.
      const share = this.step / Math.max(1, this.steps.length - 1);
      const next = this.depths[value].steps.length;
      this.model.set("step", Math.round(share * (next - 1)));
    }
    this.model.set(name, value);
    clearTimeout(this.saving);
    this.saving = setTimeout(() => this.tell(), REST_MS);
  }

  set(name, value) {
    this.model.set(name, value); // its change event draws
    clearTimeout(this.saving);
    this.saving = setTimeout(() => this.tell(), REST_MS);
  }

  tell() {
    clearTimeout(this.saving);
    this.saving = undefined;
    this.model.save_changes();
  }

  showState() {
    const empty = !this.steps.length || !this.photo, busy = this.model.get("busy");
    const said = empty || busy ? this.model.get("message") : "";
    this.canvas.hidden = empty;
    for (const part of [this.controls, this.options, this.legend, this.meaning, this.readout, this.headings.node]) part.hidden = empty;
    if (this.message.textContent !== said) this.message.textContent = said; // a live region: say it once
    this.stage.classList.toggle("rx-empty", empty);
    this.root.classList.toggle("rx-busy", busy);
    this.root.setAttribute("aria-busy", String(busy));
  }

  // ---- saving --------------------------------------------------------------------------------------------

  get fileName() {
    const words = [this.depths.length > 1 ? this.depths[this.depth].tick : "", this.steps[this.step].tick];
    return [this.model.get("file"), ...words].filter(Boolean).join("-").replace(/[^\w.-]+/g, "-");
  }

  async save(kind) {
    if (kind === "Numbers") return this.model.send({ save: "numbers" });
    this.point(null);
    const picture = kind === "PNG" ? this.onPaper() : null;
    const blob = picture ? await new Promise((done) => picture.toBlob(done)) : new Blob([this.asSvg()], { type: "image/svg+xml" });
    this.offer(`${this.fileName}.${kind.toLowerCase()}`, blob);
  }

  offer(file, blob) {
    const link = make("a", "", { href: URL.createObjectURL(blob), download: file });
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
  }

  /** What stands around a picture when it leaves the page, as lines of text with their size. */
  texts() {
    const now = this.depths[this.depth], { width, height } = this.canvas, size = Math.max(12, width / 62);
    const lines = [];
    let y = 0;
    const wrap = (text, scale, weight) => {
      const most = Math.floor(width / (0.52 * size * scale)), words = text.split(" ");
      for (let line = words.shift(); line !== undefined; line = words.shift()) {
        while (words.length && line.length + words[0].length < most) line += ` ${words.shift()}`;
        y += 1.35 * size * scale;
        lines.push({ text: line, x: 0, y, size: size * scale, weight });
      }
    };
    wrap(this.steps[this.step].title, 1.25, 600);
    y += 1.6 * size;
    now.headings.forEach((text, k) => lines.push({
      text, x: k * (this.photo.width * (1 + GAP)), y, size, weight: 600,
    }));
    y += 0.5 * size;
    const top = y;
    y += height + 1.6 * size;
    // Room for the numbers at both ends of the colour bar.
    const [low, high] = this.ends;
    const bar = { x: 0.62 * size * (low.length + 1), y: y - 0.8 * size, width: Math.min(180, 0.3 * width), height: 0.9 * size };
    lines.push({ text: low, x: 0, y, size, weight: 400 });
    lines.push({ text: high, x: bar.x + bar.width + 0.5 * size, y, size, weight: 400 });
    wrap(this.signs, 1, 400);
    wrap(`${this.steps[this.step].caption} ${this.model.get("program")}.`, 1, 400);
    return { lines, top, bar, height: y + 0.6 * size };
  }

  onPaper() {
    const { lines, top, bar, height } = this.texts(), margin = 16;
    const paper = make("canvas", "", { width: this.canvas.width + 2 * margin, height: Math.ceil(height) + 2 * margin });
    const context = paper.getContext("2d");
    context.fillStyle = "#fafafa";
    context.fillRect(0, 0, paper.width, paper.height);
    context.drawImage(this.canvas, margin, margin + top);
    context.fillStyle = "#fff";
    context.fillRect(margin + bar.x, margin + bar.y, bar.width, bar.height);
    context.drawImage(this.bar, margin + bar.x, margin + bar.y, bar.width, bar.height);
    context.fillStyle = "#1b1d21";
    for (const { text, x, y, size, weight } of lines) {
      context.font = `${weight} ${size}px system-ui, sans-serif`;
      context.fillText(text, margin + x, margin + y);
    }
    return paper;
  }

  asSvg() {
    const { lines, top, bar, height } = this.texts(), margin = 16;
    const escape = (text) => text.replace(/[&<>"]/g, (c) => `&#${c.charCodeAt(0)};`);
    const [wide, tall] = [this.canvas.width + 2 * margin, Math.ceil(height) + 2 * margin];
    const words = lines.map(({ text, x, y, size, weight }) =>
      `<text x="${margin + x}" y="${margin + y}" font-size="${size}" font-weight="${weight}">${escape(text)}</text>`);
    return [
      `<svg xmlns="http://www.w3.org/2000/svg" width="${wide}" height="${tall}" viewBox="0 0 ${wide} ${tall}">`,
      `<rect width="100%" height="100%" fill="#fafafa"/>`,
      `<image x="${margin}" y="${margin + top}" width="${this.canvas.width}" height="${this.canvas.height}" href="${this.canvas.toDataURL()}"/>`,
      `<rect x="${margin + bar.x}" y="${margin + bar.y}" width="${bar.width}" height="${bar.height}" fill="#fff"/>`,
      `<image x="${margin + bar.x}" y="${margin + bar.y}" width="${bar.width}" height="${bar.height}" preserveAspectRatio="none" href="${this.bar.toDataURL()}"/>`,
      `<g fill="#1b1d21" font-family="system-ui, sans-serif">${words.join("")}</g>`,
      "</svg>",
    ].join("\n");
  }
}

export default {
  render({ model, el }) {
    const view = new HeatmapView(model, el);
    return () => view.dispose();
  },
};
