/* HeatmapView: signed maps over one photo, moved through blocks and depths in the browser.
 *
 * The photo and all maps arrive once, as small arrays of numbers. Here they are enlarged bilinearly, as torch's
 * `interpolate(align_corners=False)` does, coloured by a table and laid over the photo; so opacity, colours, the
 * scale and the value under the pointer need no kernel. The contact with the outside is model.get / set / on /
 * save_changes, and send / on("msg:custom") for saving numbers and for what is asked about a place.
 */

const GAP = 0.04; // between two panels, as a share of one
const LIVE = ["outer", "unit", "meaning", "depth", "step", "opacity", "palette", "shared"];

class HeatmapView {
  constructor(model, el) {
    this.model = model;
    this.drawn = 0;
    this.layer = make("canvas", "", { width: SIDE, height: SIDE });
    this.pixels = new ImageData(SIDE, SIDE);
    this.build();
    this.pointing = new Pointing(this);
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

  get series() {
    return this.depths[this.depth];
  }

  get steps() {
    return this.series?.steps ?? [];
  }

  get step() {
    return clamp(this.model.get("step"), 0, Math.max(0, this.steps.length - 1));
  }

  /** What is shown: the maps of one block and what is said of them. */
  get now() {
    return this.steps[this.step];
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
    const all = gathered(() => {
      if (!this.disposed) this.takeAll();
    });
    this.leave = hear(this.model, {
      ...changes(["picture", "series", "maps", "palettes"], all),
      ...changes(LIVE, () => this.showAll()),
      ...changes(["busy", "message"], () => this.showState()),
      "msg:custom": (content, buffers) => offer(content.file, new Blob([buffers[0]])),
    });
    this.observer = new ResizeObserver(() => this.root.classList.toggle("rx-narrow", this.body.clientWidth < NARROW_PX));
    this.observer.observe(this.body);
  }

  dispose() {
    this.disposed = true;
    if (this.saving) this.tell();
    this.leave();
    this.observer.disconnect();
    this.photo?.close();
    this.root.remove();
  }

  // ---- what arrives --------------------------------------------------------------------------------------

  async takeAll() {
    const bytes = this.model.get("maps"), source = this.model.get("picture");
    this.numbers = new Float32Array(owned(bytes));
    this.palette.replaceChildren(...this.model.get("palettes").map(({ name }) => make("option", "", { value: name, textContent: name })));
    if (source !== this.source) {
      this.source = source;
      const photo = source.byteLength ? await createImageBitmap(new Blob([source])).catch(() => null) : null;
      if (this.disposed || source !== this.source) return photo?.close();
      this.photo?.close();
      this.photo = photo;
      this.grey = photo && this.greyOf(photo);
    }
    this.pointing.moveTo(null);
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

  /** Pixels of the picture between two panels. */
  get gap() {
    return Math.round(this.photo.width * GAP);
  }

  /** The magnitude in full colour: of this block in both networks, or of all blocks of this depth. */
  get scale() {
    return this.model.get("shared") ? Math.max(...this.steps.map((step) => step.scale)) : this.now.scale;
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
    const ticks = { depth: this.series.tick, step: this.now.tick };
    for (const [name, tick] of Object.entries(ticks)) {
      this.rows[name].value.textContent = tick;
      this.rows[name].slider.setAttribute("aria-valuetext", tick);
    }
    this.showOpacity();
    this.palette.value = this.model.get("palette");
    this.shared.checked = this.model.get("shared");
    this.sharing.style.visibility = this.steps.length < 2 ? "hidden" : "";
    this.writeTexts();
    this.draw();
  }

  showOpacity() {
    const { slider, value } = this.rows.opacity, percent = Math.round(100 * this.model.get("opacity"));
    slider.value = percent;
    slider.setAttribute("aria-valuetext", `${percent} %`);
    value.textContent = `${percent} %`;
  }

  writeTexts() {
    const { title, caption } = this.now;
    if (this.written !== this.depths) {
      const every = (name) => [...new Set(this.depths.flatMap(({ steps }) => steps.map((step) => step[name])))];
      const texts = (tag, words) => words.map((text) => make(tag, "", { textContent: whole(text) }));
      [this.titles, this.captions] = [every("title"), every("caption")];
      this.title.fill(texts("p", this.titles));
      this.caption.fill(texts("p", this.captions));
      this.headings.fill(this.depths.map(({ headings }) => make("div", "", {}, ...texts("span", headings))));
      this.written = this.depths;
    }
    this.root.classList.toggle("rx-single", this.series.headings.length === 1);
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
    const { width, height } = this.photo, { maps } = this.now, period = width + this.gap;
    const wide = maps.length * period - this.gap;
    if (this.canvas.width !== wide || this.canvas.height !== height) Object.assign(this.canvas, { width: wide, height });
    const context = this.canvas.getContext("2d");
    context.clearRect(0, 0, wide, height);
    maps.forEach((entry, k) => {
      const left = k * period;
      context.drawImage(this.model.get("opacity") > 0 ? this.grey : this.photo, left, 0);
      this.colourLayer(entry);
      context.globalAlpha = this.model.get("opacity");
      context.drawImage(this.layer, left, 0, width, height);
      context.globalAlpha = 1;
      this.pointing.drawMark(context, this.series.marks[k], left);
      this.pointing.drawCell(context, entry, left);
    });
    this.canvas.dataset.drawn = ++this.drawn;
    this.drawLegend();
    this.readout.textContent = this.pointing.words;
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
    this.legend.style.visibility = this.scale > 0 ? "" : "hidden"; // keeps its room
    [this.low.textContent, this.high.textContent] = this.ends;
    this.meaning.textContent = this.signs;
  }

  /** What stands at the two ends of the colour bar. */
  get ends() {
    const [low, high] = this.now.beyond ? ["≤ ", "≥ "] : ["", ""];
    return [`${low}${signed(-this.scale)}`, `${high}${signed(this.scale)} ${this.model.get("unit")}`];
  }

  /** What the two signs mean, in the colours that they have. */
  get signs() {
    if (!(this.scale > 0)) return "There is nothing to colour: the caption says why.";
    const [plus, minus] = this.palette.value.split(" and ");
    const words = this.model.get("meaning").replace("{plus}", plus).replace("{minus}", minus);
    return words && `${words[0].toUpperCase()}${words.slice(1)}.`;
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
    const words = [this.depths.length > 1 ? this.series.tick : "", this.now.tick];
    return [this.model.get("file"), ...words].filter(Boolean).join("-").replace(/[^\w.-]+/g, "-");
  }

  async save(kind) {
    if (kind === "Numbers") return this.model.send({ save: "numbers" });
    this.pointing.moveTo(null);
    offer(`${this.fileName}.${kind.toLowerCase()}`, kind === "PNG" ? await asPng(this) : asSvg(this));
  }
}

export default {
  render({ model, el }) {
    const view = new HeatmapView(model, el);
    return () => view.dispose();
  },
};
