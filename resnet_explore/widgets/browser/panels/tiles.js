/* Channels as tiles: sorted, turned over, enlarged over the picture and read, all in the browser.
 *
 * The kernel sends exact values of an enlarged channel aside; until they are there, and where they never come,
 * values are those of the tile, to within half a percent of its largest.
 */

import { clamp, control, make, same, write } from "../dom.js";
import { MOST, Painter, isColored, largestOf, photograph, sizeOf } from "./tiles_paint.js";
import { SheetView, number } from "./tiles_sheet.js";
import { howTo, placeWords, tileWords } from "./tiles_words.js";

function labelled(text, node, name) {
  return make("span", `rx-control ${name}`, {}, make("label", "rx-label", { htmlFor: node.id, textContent: text }), node);
}

function button(text, label) {
  const node = control("button", "", { type: "button", textContent: text });
  node.setAttribute("aria-label", label);
  return node;
}

class TilesView {
  constructor(page, props) {
    this.page_ = page;
    this.props = props;
    this.cursor = -1; // the tile that keys have chosen
    this.pointed = null; // the place in an enlarged channel, as shares of its width and height
    this.views = [];
    this.scaleOf = (sheet, channel) => (this.ownScale ? largestOf(sheet, channel) : this.shown.scale) || 1;
    this.build();
    this.listen();
    this.redraw = () => this.draw();
    window.addEventListener("resize", this.redraw); // a canvas is as high as the window bears
    this.update(props);
  }

  build() {
    this.painter = new Painter(this.props.lookup);
    this.sort = control("select");
    this.own = control("input", "", { type: "checkbox" });
    this.opacity = control("input", "", { type: "range", min: "0", max: "100", step: "5" });
    this.back = button("◂ All channels", "Back to all channels");
    this.earlier = button("◂", "Earlier channels");
    this.later = button("▸", "Later channels");
    this.where = make("span", "rx-where");
    this.pages = make("span", "rx-control rx-pages", {}, this.earlier, this.where, this.later);
    this.sorting = labelled("Sort", this.sort, "");
    this.scaling = make("span", "rx-control rx-check", {}, this.own, make("label", "", { htmlFor: this.own.id, textContent: "Each tile on its own scale" }));
    this.seeing = labelled("Opacity", this.opacity, "rx-opacity");
    const tools = make("div", "rx-tiles-tools", {}, this.back, this.sorting, this.scaling, this.pages, this.seeing);
    this.stage = make("div", "rx-sheets");
    this.readout = make("p", "rx-readout");
    this.readout.setAttribute("aria-live", "polite");
    this.bar = make("canvas", "rx-bar");
    this.bar.setAttribute("role", "img");
    this.painter.paintBar(this.bar);
    this.ends = [make("span"), make("span")];
    this.signs = make("span", "rx-signs", { textContent: "✕ dead: 0 everywhere   ◤ saturated: at its bound" });
    this.scale = make("span", "rx-control", {}, this.ends[0], this.bar, this.ends[1]);
    this.note = make("p", "rx-note");
    const key = make("div", "rx-key", {}, this.scale, this.signs);
    this.node = make("div", "rx-tiles", {}, tools, this.stage, this.readout, key, this.note);
  }

  listen() {
    const choose = (field, value, slides) => this.page_.choose(field, value, slides);
    for (const node of [this.sort, this.opacity]) node.addEventListener("keydown", (event) => event.stopPropagation());
    this.sort.addEventListener("change", () => this.page_.set({ order: this.sort.value, tile_page: 0 }));
    this.own.addEventListener("change", () => choose("own_scale", this.own.checked));
    this.opacity.addEventListener("input", () => choose("opacity", Number(this.opacity.value) / 100, true));
    this.back.addEventListener("click", () => this.shrink());
    this.earlier.addEventListener("click", () => this.turn(-1));
    this.later.addEventListener("click", () => this.turn(1));
  }

  // --- where we are ---------------------------------------------------------------------------------------

  /** @type {{name: string, sheets: (import("./tiles_paint.js").Sheet | string)[], scale: number}} */
  get shown() { return this.props.shown; }
  get sheets() { return this.views.filter((view) => view.sheet); }
  get most() { return Math.max(0, ...this.sheets.map(({ sheet }) => sizeOf(sheet).count)); }
  get colored() { return this.sheets.length > 0 && this.sheets.every(({ sheet }) => isColored(sheet)); }
  get ownScale() { return this.props.own_scale && !this.colored; }
  get lastPage() { return Math.max(0, Math.ceil(this.most / MOST) - 1); }
  get page() { return clamp(this.props.tile_page, 0, this.lastPage); }
  get channel() { return this.props.channel; }
  /** Whether one channel is enlarged. */
  get one() { return this.channel >= 0 && this.channel < this.most; }
  canSort(order) { return order === "channel" || this.sheets.every(({ sheet }) => sheet.orders.includes(order)); }
  get order() { return this.canSort(this.props.order) ? this.props.order : this.props.orders[0].value; }

  /** What an order is called here: channels that two networks share have one place in both. */
  orderWords(order) {
    const { value, label } = this.props.orders.find((choice) => choice.value === order);
    return value === this.props.orders[0].value && this.shown.together ? `${label}, ${this.shown.together}` : label;
  }

  /** What has come aside for exactly this place. */
  get aside() {
    const found = this.page_.aside[this.props.key];
    return found && Object.entries(found.of).every(([field, value]) => same(this.page_.state[field], value)) ? found : null;
  }

  exactOf(view) { return this.aside?.maps[this.views.indexOf(view)] ?? null; }
  fieldOf(view) { return this.aside?.fields[this.views.indexOf(view)] ?? undefined; }

  enlarge(channel) {
    this.cursor = channel;
    this.pointed = null;
    this.page_.choose("channel", channel);
  }

  shrink() {
    this.pointed = null;
    this.page_.choose("channel", -1);
  }

  turn(by) { this.page_.choose("tile_page", clamp(this.page + by, 0, this.lastPage)); }

  point(place) {
    if (!this.one) return place === null ? this.say() : undefined;
    this.pointed = place;
    this.draw();
    return this.say();
  }

  read(channel) {
    if (channel === undefined) this.say();
    else write(this.readout, tileWords(this, channel));
  }

  say() { write(this.readout, !this.sheets.length ? "" : this.one ? placeWords(this) : howTo(this)); }

  // --- showing --------------------------------------------------------------------------------------------

  update(props) {
    const before = this.props;
    this.props = props;
    if (!this.shown || !this.changed()) return;
    if (props.picture !== before.picture || !this.photographed) {
      this.photo = props.picture ? photograph(props.picture) : null;
      this.photographed = true;
    }
    const { sheets } = this.shown;
    while (this.views.length < sheets.length) this.views.push(new SheetView(this));
    for (const view of this.views.splice(sheets.length)) view.leave();
    this.stage.style.setProperty("--sheets", String(sheets.length));
    if (this.stage.childNodes.length !== sheets.length) this.stage.replaceChildren(...this.views.map((view) => view.node));
    this.views.forEach((view, k) => { view.sheet = typeof sheets[k] === "string" ? null : sheets[k]; });
    this.views.forEach((view, k) => view.show(sheets[k]));
    this.showTools();
    this.showKey();
    write(this.note, [this.shown.note, this.ownScale ? "Each tile is on its own scale: the brightest colour is its largest magnitude." : this.shown.scaled].filter(Boolean).join(" "));
    this.say();
    this.node.dataset.exact = this.one && this.aside ? JSON.stringify(this.aside.of) : "";
  }

  /** Whether anything is another than what is drawn: other sliders and controls move, too. */
  changed() {
    const { shown, orders, picture, order, tile_page: page, own_scale: own, channel, opacity } = this.props;
    const now = [shown, orders, picture, order, page, own, channel, opacity, this.aside];
    const changed = !this.drawn || now.some((value, k) => value !== this.drawn[k]);
    this.drawn = now;
    return changed;
  }

  draw() { for (const view of this.views) view.draw(); }

  leave() {
    for (const view of this.views) view.leave();
    window.removeEventListener("resize", this.redraw);
  }

  showTools() {
    const { one, props } = this;
    const wanted = props.orders.map((choice) => [choice.value, this.orderWords(choice.value), !this.canSort(choice.value)]);
    if (!same(wanted, this.sorted)) {
      this.sorted = wanted;
      this.sort.replaceChildren(...wanted.map(([value, textContent, disabled]) => make("option", "", { value, textContent, disabled })));
    }
    this.sort.value = this.order;
    this.own.checked = props.own_scale;
    this.scaling.hidden = this.colored;
    this.sorting.hidden = one || !this.sheets.length;
    this.pages.hidden = one || this.lastPage === 0;
    this.back.hidden = !one;
    this.seeing.hidden = !one || !this.photo;
    this.opacity.value = String(Math.round(props.opacity * 100));
    write(this.where, `${this.page * MOST + 1}–${Math.min(this.most, (this.page + 1) * MOST)} of ${this.most}`);
    this.earlier.disabled = this.page === 0;
    this.later.disabled = this.page === this.lastPage;
  }

  showKey() {
    const [low, high] = this.ownScale ? ["−its largest", "+its largest"] : [number(-this.shown.scale), number(this.shown.scale)];
    write(this.ends[0], low);
    write(this.ends[1], high);
    this.bar.setAttribute("aria-label", `Colours from ${low} (blue) over 0 (black) to ${high} (yellow)`);
    this.scale.classList.toggle("rx-away", this.colored || !this.sheets.length);
    this.signs.classList.toggle("rx-away", !this.shown.marked);
  }
}

/** @type {import("../page.js").Component} */
export function tiles(page, props) {
  const view = new TilesView(page, props);
  return { node: view.node, update: (next) => view.update(next), leave: () => view.leave() };
}
