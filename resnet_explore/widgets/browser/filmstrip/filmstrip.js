/* Filmstrip: pictures that arrive once and are moved through in the browser.
 *
 * The only contact with the outside is model.get / set / on / save_changes, so this also runs in a page
 * without a kernel, with a few lines standing in for the model. Moving never waits for anybody: the slider's
 * `input` event draws an already decoded picture, and the kernel hears of the index once the slider rests.
 */

import { REST_MS, clamp, control, make } from "../dom.js";
import { Stack, changes, entry, gathered, hear } from "./hearing.js";
import { Reel } from "./reel.js";

const PAGE_PX = 700;        // with less room than this the kernel is told, which may draw another picture
const NARROW_PX = 460;      // below this the sliders get a line of their own
const SMALLEST_PX = 340;    // the controls need so much, however small the picture
const WIDEST_TICK_PX = 72;  // longer labels would run into each other; the value beside the slider names them

const TEXTS = ["titles", "captions", "alts", "headings", "ticks", "name", "scale", "show_opacity", "show_slider"];

class FilmstripView {
  constructor(model, el) {
    this.model = model;
    this.frames = new Reel([]);
    this.overlays = new Reel([]);
    this.index = model.get("index");
    this.drawn = 0;
    this.reserved = [0, 0];
    this.build();
    this.listen();
    this.replaceReels();
    this.writeTexts();
    this.showState();
    el.append(this.root);
    this.observer.observe(el);
    this.onPlaying();
  }

  get steps() {
    return Math.max(this.frames.sources.length, this.overlays.sources.length);
  }

  // ---- the page ------------------------------------------------------------------------------------------

  build() {
    this.title = new Stack("rx-film-title");
    this.headings = new Stack("rx-film-headings");
    this.caption = new Stack("rx-film-caption");
    this.value = new Stack("rx-film-value");
    this.value.node.setAttribute("aria-hidden", "true"); // the slider's aria-valuetext says it

    this.canvas = make("canvas", "rx-film-canvas");
    this.canvas.setAttribute("role", "img");
    this.canvas.dataset.drawn = 0;
    this.message = make("p", "rx-film-message", { role: "status" });
    this.stage = make("div", "rx-film-stage", {}, this.canvas, this.message);
    this.picture = make("div", "rx-film-picture", {}, this.headings.node, this.stage);

    this.play = control("button", "rx-film-play", { type: "button" });
    this.slider = control("input", "rx-film-step", { type: "range", min: 0, step: 1 });
    this.label = make("label", "rx-film-label", { htmlFor: this.slider.id });
    this.ticks = make("div", "rx-film-ticks");
    this.ticks.setAttribute("aria-hidden", "true");
    this.track = make("div", "rx-film-track", {}, this.slider, this.ticks);

    this.opacity = control("input", "rx-film-opacity", { type: "range", min: 0, max: 100, step: 5 });
    this.opacityLabel = make("label", "rx-film-label rx-film-opacity-label", { htmlFor: this.opacity.id, textContent: "Opacity" });
    this.opacityValue = make("span", "rx-film-value rx-film-opacity-value");
    this.opacityValue.setAttribute("aria-hidden", "true");
    this.opacityTrack = make("div", "rx-film-track rx-film-opacity-track", {}, this.opacity);

    this.controls = make("div", "rx-film-controls", {}, this.play, this.label, this.track, this.value.node);
    this.controls.append(this.opacityLabel, this.opacityTrack, this.opacityValue);
    this.body = make("div", "rx-film-body", {}, this.title.node, this.picture, this.caption.node, this.controls);
    this.root = make("div", "rx-film", {}, this.body);
  }

  listen() {
    this.slider.addEventListener("input", () => {
      this.setPlaying(false);
      this.moveTo(Number(this.slider.value));
    });
    this.opacity.addEventListener("input", () => {
      this.model.set("opacity", Number(this.opacity.value) / 100); // rides along with the next index saved
      this.showOpacity();
    });
    this.play.addEventListener("click", () => this.setPlaying(!this.model.get("playing")));

    const texts = gathered(() => {
      if (!this.disposed) this.writeTexts();
    });
    const reels = gathered(() => {
      if (this.disposed) return;
      this.replaceReels();
      this.writeTexts();
      this.showState();
      this.onPlaying();
    });
    this.leave = hear(this.model, {
      ...changes(["frames", "overlays"], reels),
      ...changes(["index"], () => this.show(this.model.get("index"))),
      ...changes(["opacity"], () => this.showOpacity()),
      ...changes(["playing", "interval_ms"], () => this.onPlaying()),
      ...changes(["message", "busy"], () => this.showState()),
      ...changes(TEXTS, texts),
    });
    this.observer = new ResizeObserver(() => this.fit());
    this.observer.observe(this.body);
  }

  dispose() {
    this.disposed = true;
    clearInterval(this.timer);
    if (this.saving) this.save();
    this.leave();
    this.observer.disconnect();
    this.frames.close();
    this.overlays.close();
    this.root.remove();
  }

  // ---- pictures ------------------------------------------------------------------------------------------

  /** Take over new frames or overlays; the canvas keeps its picture until the new one is decoded. */
  replaceReels() {
    for (const name of ["frames", "overlays"]) {
      const sources = this.model.get(name);
      if (sources === this[name].sources) continue;
      this[name].close();
      this[name] = new Reel(sources);
      this[name].decodeAll(() => this.index, () => this.onDecoded());
    }
    this.index = clamp(this.model.get("index"), 0, Math.max(0, this.steps - 1));
  }

  onDecoded() {
    const reel = this.frames.sources.length ? this.frames : this.overlays;
    const extent = reel.extent();
    // While pictures are still coming in, room once given is kept.
    this.reserved = reel.complete ? extent : extent.map((side, k) => Math.max(side, this.reserved[k]));
    this.layOut();
    if (this.stale) this.draw();
  }

  draw() {
    const frame = this.frames.at(this.index);
    const overlay = this.overlays.at(this.index);
    this.stale = frame === undefined || overlay === undefined;
    if (this.stale) return; // drawn when decoded
    const { canvas } = this;
    const { width, height } = frame ?? overlay ?? canvas;
    if (canvas.width !== width || canvas.height !== height) Object.assign(canvas, { width, height });
    const context = canvas.getContext("2d");
    context.clearRect(0, 0, width, height);
    if (frame) context.drawImage(frame, 0, 0);
    if (overlay) {
      context.globalAlpha = this.model.get("opacity");
      context.drawImage(overlay, 0, 0, width, height); // bilinear
      context.globalAlpha = 1;
    }
    this.fitCanvas();
    canvas.dataset.drawn = ++this.drawn;
    this.showState();
  }

  layOut() {
    const [width, height] = this.reserved;
    if (!width || !height) return;
    const wide = width / this.model.get("scale");
    this.picture.style.width = `${wide}px`;
    this.body.style.width = `${Math.max(wide, SMALLEST_PX)}px`;
    this.stage.style.aspectRatio = `${width} / ${height}`;
    this.fitCanvas();
  }

  /** A picture that is smaller than the room for all of them is not blown up to it. */
  fitCanvas() {
    const { width } = this.canvas;
    this.canvas.style.width = `${(100 * width) / Math.max(width, this.reserved[0])}%`;
  }

  // ---- moving --------------------------------------------------------------------------------------------

  /** The person (or play) moves: shown at once, told to the model at once, to the kernel when at rest. */
  moveTo(step) {
    this.show(step);
    this.model.set("index", this.index);
    clearTimeout(this.saving);
    this.saving = setTimeout(() => this.save(), REST_MS);
  }

  save() {
    clearTimeout(this.saving);
    this.saving = undefined;
    this.model.save_changes();
  }

  show(step) {
    const index = clamp(step, 0, Math.max(0, this.steps - 1));
    if (index === this.index) return;
    this.index = index;
    this.showIndex();
    this.draw();
  }

  showIndex() {
    this.slider.value = this.index;
    this.slider.setAttribute("aria-valuetext", this.tick(this.index));
    this.root.dataset.index = this.index;
    this.canvas.setAttribute("aria-label", this.alt(this.index));
    for (const stack of [this.title, this.headings, this.caption, this.value]) stack.show(this.index);
    [...this.ticks.children].forEach((tick, step) => tick.classList.toggle("rx-film-now", step === this.index));
  }

  setPlaying(playing) {
    if (playing === this.model.get("playing")) return;
    this.model.set("playing", playing); // its change event starts or stops
    this.save();
  }

  onPlaying() {
    clearInterval(this.timer);
    const playing = this.model.get("playing") && this.steps > 1;
    this.play.setAttribute("aria-label", playing ? "Pause" : "Play");
    this.play.title = playing ? "Pause" : "Play";
    this.play.classList.toggle("rx-film-playing", playing);
    if (!playing) return;
    if (this.index === this.steps - 1) this.moveTo(0);
    // Reckoned from the start, so that two views of one model agree on where to be.
    const [start, first, interval] = [performance.now(), this.index, this.model.get("interval_ms")];
    this.timer = setInterval(() => {
      const step = first + Math.round((performance.now() - start) / interval);
      this.moveTo(step);
      if (step >= this.steps - 1) this.setPlaying(false);
    }, interval);
  }

  // ---- texts ---------------------------------------------------------------------------------------------

  tick(step) {
    return entry(this.model.get("ticks"), step) ?? `${step + 1} of ${this.steps}`;
  }

  alt(step) {
    const said = ["titles", "captions"].map((name) => entry(this.model.get(name), step));
    return entry(this.model.get("alts"), step) || said.filter(Boolean).map((text) => text.replace(/\.$/, "")).join(". ") || this.tick(step);
  }

  writeTexts() {
    const lines = (name) => this.model.get(name).map((text) => make("p", "", { textContent: text }));
    this.title.fill(lines("titles"));
    this.caption.fill(lines("captions"));
    const headings = this.model.get("headings");
    const rows = Array.isArray(headings[0]) ? headings : [headings];
    const columns = (row) => row.map((text) => make("span", "", { textContent: text }));
    this.headings.fill(rows.map((row) => make("div", "", {}, ...columns(row))));

    const name = this.model.get("name");
    this.label.textContent = name;
    this.label.hidden = !name;
    if (!name) this.slider.setAttribute("aria-label", "Step");
    else this.slider.removeAttribute("aria-label");

    const all = Array.from({ length: this.steps }, (_, step) => this.tick(step));
    this.value.fill(all.map((text) => make("span", "", { textContent: text })));
    this.ticks.replaceChildren(...this.model.get("ticks").slice(0, this.steps).map((text, step) => {
      const tick = make("span", "", { textContent: text });
      tick.style.setProperty("--at", step / Math.max(1, this.steps - 1));
      return tick;
    }));

    this.slider.max = Math.max(0, this.steps - 1);
    const moves = this.steps > 1 && this.model.get("show_slider");
    for (const part of [this.play, this.track, this.label, this.value.node]) part.hidden = !moves;
    const seeThrough = this.model.get("show_opacity") && this.overlays.sources.length > 0;
    for (const part of [this.opacityLabel, this.opacityTrack, this.opacityValue]) part.hidden = !seeThrough;
    this.controls.hidden = !moves && !seeThrough;

    this.layOut();
    this.showIndex();
    this.showOpacity();
    this.fit();
  }

  showOpacity() {
    const percent = Math.round(100 * this.model.get("opacity"));
    this.opacity.value = percent;
    this.opacity.setAttribute("aria-valuetext", `${percent} %`);
    this.opacityValue.textContent = `${percent} %`;
    this.draw();
  }

  /** What is said instead of a picture, or over it while the kernel works on a newer one. */
  showState() {
    const broken = this.steps > 0 && this.frames.at(this.index) === null && this.overlays.at(this.index) === null;
    const busy = this.model.get("busy");
    const text = broken ? `Picture ${this.index + 1} could not be decoded.` : this.model.get("message");
    const empty = this.steps === 0 || broken;
    const said = empty || busy ? text : "";
    this.canvas.hidden = empty;
    if (this.message.textContent !== said) this.message.textContent = said; // a live region: say it once
    this.stage.classList.toggle("rx-film-empty", empty);
    this.root.classList.toggle("rx-film-busy", busy);
    this.root.setAttribute("aria-busy", String(busy));
  }

  /** Fewer tick labels where they would collide, and a line for each slider in a narrow place. */
  fit() {
    const width = this.body.clientWidth;
    if (!width) return; // not on the page
    const narrow = this.root.parentElement.clientWidth < PAGE_PX;
    this.root.classList.toggle("rx-film-slim", narrow);
    if (narrow !== this.narrow) { // told once: a view beside it may have more room
      this.narrow = narrow;
      if (narrow !== this.model.get("narrow")) {
        this.model.set("narrow", narrow);
        this.model.save_changes();
      }
    }
    this.root.classList.toggle("rx-film-narrow", width < NARROW_PX);
    const ticks = [...this.ticks.children];
    const widest = Math.max(0, ...ticks.map((tick) => tick.offsetWidth));
    const apart = (this.ticks.clientWidth - 16) / Math.max(1, this.steps - 1);
    const every = Math.max(1, Math.ceil((widest + 8) / apart));
    ticks.forEach((tick, step) => {
      tick.classList.toggle("rx-film-out", widest > WIDEST_TICK_PX || step % every !== 0);
    });
  }
}

/** anywidget's entry. */
export function render({ model, el }) {
  const view = new FilmstripView(model, el);
  return () => view.dispose();
}
