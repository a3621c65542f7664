/* Mosaics: feature maps as tiles, twins side by side; sorted, enlarged and read in the browser.
 *
 * The only contact with the outside is model.get / set / on / save_changes, so this file also runs in a page
 * without a kernel. With one, the exact values of an enlarged map are asked for (model.send); until they are
 * there, and where they never come, values are those of the tile, to within half a percent of its largest.
 */

const VIEWS = { maps: "Feature maps", parts: "Skip and branch", filters: "First-layer filters" };
const ORDERS = { activation: "by activation", difference: "by how much the twins differ", channel: "by channel" };
const OWN = "Each tile is on its own scale: the brightest colour is its largest magnitude.";
const WHERE = ["view", "depth", "index", "order", "page", "own_scale", "channel", "opacity"];

function labelled(text, node, className) {
  return make("span", className, {}, make("label", "rx-name", { htmlFor: node.id, textContent: text }), node);
}

const slider = (className, properties) => control("input", className, { type: "range", min: 0, step: 1, ...properties });

function menu(words) {
  return control("select", "", {}, ...Object.entries(words).map(([value, textContent]) => make("option", "", { value, textContent })));
}

function button(text, label) {
  const node = control("button", "rx-small", { type: "button", textContent: text });
  node.setAttribute("aria-label", label);
  return node;
}

class MosaicsView {
  constructor(model, el) {
    this.model = model;
    this.painter = new Painter(model.get("lookup"));
    this.curves = new Curves(model);
    this.exact = new Exact(model);
    this.decoded = {};
    this.channel = this.cursor = -1;
    this.pointed = null;
    this.build();
    this.listen();
    el.append(this.root);
    for (const name of Object.keys(VIEWS)) this.load(name);
    this.loadPicture();
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
    this.choose = menu(VIEWS);
    this.sort = menu(ORDERS);
    this.own = control("input", "", { type: "checkbox" });
    this.see = slider("", { max: 100, step: 5, value: 100 * this.model.get("opacity") });
    this.back = button("◂ All channels", "Back to all channels");
    this.earlier = button("◂", "Earlier channels");
    this.later = button("▸", "Later channels");
    this.where = make("span", "rx-where");
    this.pages = make("span", "rx-pages", {}, this.earlier, this.where, this.later);
    this.sorting = labelled("Sort", this.sort, "rx-choice");
    this.seeing = labelled("Opacity", this.see, "rx-choice");
    this.tools = make("div", "rx-tools", {}, labelled("Show", this.choose, "rx-choice"), this.sorting,
      labelled("Each tile on its own scale", this.own, "rx-choice rx-check"), this.pages, this.seeing, this.back);

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

    this.block = slider("rx-block");
    this.depth = slider("rx-depth");
    this.blockValue = make("span", "rx-at");
    this.depthValue = make("span", "rx-at");
    this.blockRow = make("div", "rx-slide", {}, labelled("Block", this.block, "rx-slider"), this.blockValue);
    this.depthRow = make("div", "rx-slide", {}, labelled("Depth", this.depth, "rx-slider"), this.depthValue);
    this.caption = make("p", "rx-caption");
    this.body = make("div", "rx-mosaics-body", {}, this.title, this.tools, this.stage, this.message, this.readout, this.key,
      this.blockRow, this.depthRow, this.curves.node, this.caption);
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
    const parts = Object.keys(VIEWS).map((name) => [`change:${name}`, () => this.take(name)]);
    this.leave = hear(model, {
      ...Object.fromEntries(parts),
      ...changes(["picture"], () => this.loadPicture()),
      ...changes(["charts"], () => { this.curves.take(); this.showCurves(); }),
      ...changes(["windows"], () => { this.drawPanels(); this.say(); }),
      ...changes([...WHERE, "message", "busy"], () => this.refresh()),
      "msg:custom": (content, buffers) => (content?.where ? this.tellWhere() : this.takeExact(content, buffers)),
    });
  }

  dispose() {
    clearTimeout(this.saving);
    this.leave();
    this.curves.release();
    this.root.remove();
  }

  // ---- what has come ------------------------------------------------------------------------------------------

  take(name) {
    this.load(name);
    this.refresh();
    if (name !== "maps") return;
    this.root.dataset.shown = Number(this.root.dataset.shown ?? 0) + 1; // for those who wait for new maps
    this.askForRest();
  }

  load(name) {
    const given = this.model.get(name);
    this.exact.forget();
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
    this.exact.forget();
    if (given?.bytes) {
      this.picture = { rows: given.size[0], columns: given.size[1], bitmap: null };
      const bitmap = await createImageBitmap(new Blob([given.bytes], { type: "image/png" })).catch(() => null);
      if (this.picture) this.picture.bitmap = bitmap;
    }
    if (this.channel >= 0) this.refresh();
  }

  // ---- where we are -------------------------------------------------------------------------------------------

  get view() { const name = this.model.get("view"); return this.decoded[name] ? name : "maps"; }
  get sets() { return this.decoded[this.view] ?? []; }
  get set() { return this.sets[clamp(this.model.get("depth"), 0, this.sets.length - 1)]; }
  get steps() { return this.set?.steps ?? []; }
  /** The blocks of this depth, whichever view is open. */
  get blocks() { return this.decoded.maps?.[this.model.get("depth")]?.steps ?? []; }
  get index() { return clamp(this.model.get("index"), 0, Math.max(0, this.blocks.length - 1)); }
  get step() { return this.steps[Math.min(this.index, this.steps.length - 1)]; }
  get colored() { return Boolean(this.step?.panels.every((p) => p.colored)); }
  get ownScale() { return this.model.get("own_scale") && !this.colored; }
  get page() { return clamp(this.model.get("page"), 0, this.lastPage); }
  get tick() { return this.step?.tick ?? ""; }
  /** How many channels each panel has that shows any. */
  get counts() { return (this.step?.panels ?? []).filter((p) => p.shape).map((p) => p.count); }
  get most() { return Math.max(0, ...this.counts); }
  get lastPage() { return Math.max(0, Math.ceil(this.most / MOST) - 1); }
  /** Whether channels can be sorted by how much the twins differ. */
  get comparable() { return Boolean(this.step?.panels.every((p) => !p.orders || p.orders.difference)); }

  get order() {
    const wanted = this.model.get("order");
    return wanted === "difference" && !this.comparable ? "activation" : wanted;
  }

  /** What an order is called here: channels that two networks share have one place in both. */
  orderWords(order) {
    if (order !== "activation") return ORDERS[order];
    const { counts } = this;
    const two = counts.length < 2 ? "" : counts[0] === counts[1] ? ", both together" : ", each by itself";
    return (this.view === "filters" ? "by size of the weights" : ORDERS.activation) + two;
  }

  /** The channels on the page that is open. */
  shown(data) {
    const sorted = this.order === "channel" ? undefined : data.orders[this.order] ?? data.orders.activation;
    const page = Math.min(this.page, Math.ceil(data.count / MOST) - 1);
    return Array.from(sorted ?? Array(data.count).keys()).slice(page * MOST, (page + 1) * MOST);
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
    this.channel = model.get("channel") < this.most ? model.get("channel") : -1;
    const busy = model.get("busy"), words = busy || !step ? model.get("message") : "";
    if (this.message.textContent !== words) this.message.textContent = words;
    this.message.hidden = !words;
    this.root.classList.toggle("rx-waiting", busy && Boolean(step));
    this.root.setAttribute("aria-busy", String(busy));
    this.title.textContent = whole(step?.title ?? "");
    this.caption.textContent = step ? [step.caption, this.ownScale ? OWN : step.scaled, this.set.caption].filter(Boolean).join(" ") : "";
    for (const part of [this.title, this.tools, this.stage, this.key, this.readout, this.caption]) part.hidden = !step;
    this.showTools();
    this.showSliders();
    this.panels.forEach((panel, k) => panel.show(step?.panels[k]));
    this.stage.classList.toggle("rx-single", step?.panels.length === 1);
    this.showKey();
    this.showCurves();
    this.say();
    if (this.channel >= 0) this.exact.ask(this.place);
  }

  drawPanels() {
    for (const panel of this.panels) if (panel.data) panel.draw();
  }

  showTools() {
    const one = this.channel >= 0;
    this.choose.value = this.view;
    for (const option of this.choose.options) option.disabled = !this.decoded[option.value];
    this.sort.value = this.order;
    this.sort.options[1].disabled = !this.comparable;
    this.sort.options[0].textContent = this.orderWords("activation");
    this.own.checked = this.model.get("own_scale");
    this.own.parentNode.hidden = this.colored;
    this.sorting.hidden = one;
    this.pages.hidden = one || this.lastPage === 0;
    this.back.hidden = !one;
    this.seeing.hidden = !one || this.view === "filters";
    this.where.textContent = `${this.page * MOST + 1}–${Math.min(this.most, (this.page + 1) * MOST)} of ${this.most}`;
    this.earlier.disabled = this.page === 0;
    this.later.disabled = this.page === this.lastPage;
  }

  showSliders() {
    const { blocks, index } = this, depths = this.decoded.maps?.length ?? 0;
    this.block.max = Math.max(0, blocks.length - 1);
    this.block.value = index;
    this.block.disabled = this.view === "filters";
    const tick = (blocks[index]?.tick ?? "").split(".").slice(-2).join(".");
    this.blockValue.textContent = blocks.length ? `${index + 1} of ${blocks.length}, ${tick}` : "";
    this.block.setAttribute("aria-valuetext", this.blockValue.textContent);
    this.blockRow.hidden = blocks.length < 2;
    this.depth.max = Math.max(0, depths - 1);
    this.depth.value = this.model.get("depth");
    this.depthValue.textContent = this.set?.tick ?? "";
    this.depth.setAttribute("aria-valuetext", this.depthValue.textContent);
    this.depthRow.hidden = depths < 2;
    this.root.dataset.index = index;
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

  showCurves() {
    this.curves.node.hidden = !this.step;
    this.curves.show(this.model.get("depth"), this.index, this.blocks.length);
  }

  // ---- reading ----------------------------------------------------------------------------------------------------

  /** Say what a tile is, without enlarging it. */
  read(channel) {
    if (channel === undefined) return this.say();
    this.readout.textContent = tileWords(this, channel);
    return undefined;
  }

  say() {
    if (this.step) this.readout.textContent = this.channel < 0 ? howTo(this) : placeWords(this);
  }

  get place() { return [this.view, this.model.get("depth"), this.index, this.channel].join("/"); }

  exactOf(panel) { return this.exact.at(this.place)[this.panels.indexOf(panel)]; }

  takeExact(content, buffers) {
    if (!content?.place || !this.exact.take(content, buffers, this.place)) return;
    this.root.dataset.exact = this.place;
    this.drawPanels();
    this.say();
  }
}

export default {
  render({ model, el }) {
    const view = new MosaicsView(model, el);
    return () => view.dispose();
  },
};
