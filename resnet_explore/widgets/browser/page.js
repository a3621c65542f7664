/* An explorer's page: what the view says, from top to bottom, and the way back to the kernel.
 *
 * It needs only model.get / set / on / off / save_changes / send, so it also runs in a page without a kernel.
 */

import { REST_MS, arrange, control, freshId, make, same, summary, whole, write } from "./dom.js";
import { glossed } from "./glossary.js";
import { Guess } from "./guess.js";
import { KINDS } from "./parts.js";
import { Tools } from "./tools.js";
import { picked, unpacked } from "./view.js";

/**
 * @typedef {{node: HTMLElement, update: (props: any) => void, leave?: () => void}} Shown
 * @typedef {(page: Page, props: any) => Shown} Component
 */

const ANSWER_MS = 4000;
const SILENT_MS = 1500;
const GONE = "Python was restarted, so nothing answers here any more: run this cell again.";
const SILENT = "Python is busy. This comes as soon as it is free.";
const UNKNOWN = "This page is older than the package that sends it something: reload the page.";
const SCHEMA = 1;
const NOTHING = { panels: [], headline: "", why: "", below: [], conditions: [], sliders: [] }; // of a view that is kept back
const WIDTHS = [520, 640, 760, 860]; // pixels inside of the page at which the style changes

class Page {
  constructor(model, el) {
    this.model = model;
    this.id = freshId();
    this.state = {};
    this.aside = {}; // of a panel what comes in a message of its own, by its key
    this.parts = new Map(); // what stands on the page, by its place and key
    this.whole = new Map(); // controls as they were last when they lacked nothing
    this.rest = 0;
    this.showing = false;
    this.behind = false; // whether what is shown is not the latest
    this.ahead = false; // of the kernel, which has not answered what is chosen
    this.silence = 0;
    this.count = -1;
    this.build(el);
    this.handlers = {
      "change:_view": () => this.receive(),
      "change:_aside": () => this.lay(),
      "change:_busy": () => this.tell(),
      "change:_problem": () => this.tell(),
      "change:_call": () => this.tell(),
      "change:_guessed": () => this.show(),
      "change:_counts": () => { this.guess.counted(); this.show(); },
      "msg:custom": (content, buffers) => this.hear(content, buffers),
      comm_live_update: () => this.ask(),
    };
    for (const [name, handler] of Object.entries(this.handlers)) model.on(name, handler);
    this.tell();
    this.receive();
    this.lay();
    model.set("_opened", (model.get("_opened") ?? 0) + 1);
    model.save_changes();
  }

  // --- what stands on the page ----------------------------------------------------------------------------

  build(el) {
    const box = (name, tag = "div") => make(tag, `rx-${name}`);
    this.nodes = {
      tabs: box("top-tabs"), ask: box("ask"), headline: box("headline", "h3"), why: box("why", "details"),
      problem: box("problem", "p"), panels: box("panels"), busy: box("busy", "p"),
      sliders: box("sliders"), below: box("below"), conditions: box("conditions", "details"), live: box("live", "p"), waiting: box("waiting", "p"),
    };
    const { tabs, ask, headline, why, problem, panels, busy, sliders, below, conditions, live, waiting } = this.nodes;
    this.tools = new Tools(this);
    this.guess = new Guess(this);
    problem.setAttribute("role", "alert");
    this.busyText = make("span");
    this.stop = control("button", "rx-stop", { type: "button", textContent: "Stop" });
    this.stop.addEventListener("click", () => this.act("stop"));
    busy.append(this.busyText, this.stop);
    this.busyText.setAttribute("role", "status");
    live.setAttribute("aria-live", "polite");
    this.whyText = make("p");
    why.append(summary("Why?"), this.whyText);
    this.conditionsText = make("div");
    conditions.append(summary("Conditions"), this.conditionsText);
    const stage = make("div", "rx-stage", { id: freshId() }, busy, waiting, panels);
    this.stage = stage;
    const head = make("div", "rx-head", {}, headline, why);
    this.root = make("section", "rx-page", {}, make("div", "rx-top", {}, tabs, this.tools.node), ask, problem, this.guess.node, head, stage, sliders, below, conditions, live);
    this.resized = new ResizeObserver(([entry]) => {
      for (const width of WIDTHS) this.root.classList.toggle(`rx-within-${width}`, entry.contentRect.width <= width);
    });
    this.resized.observe(this.root);
    this.hidden = make("style", "", { textContent: `.rx-still[data-of="${this.model.get("_name")}"] { display: none; }` });
    document.head.append(this.hidden); // the picture that stands here as long as no page does
    this.root.explorer = this; // for the browser's console and for tests
    el.append(this.root);
  }

  // --- a view comes --------------------------------------------------------------------------------------

  receive() {
    const message = this.model.get("_view");
    if (!message || message.count === undefined || message.count <= this.count) return; // late, or twice
    this.count = message.count;
    this.answered();
    if (message.schema !== SCHEMA) {
      this.nodes.problem.textContent = UNKNOWN;
      return;
    }
    this.listen(message.fields);
    this.madeFor = message.made_for;
    const tree = unpacked(message.tree, message.buffers);
    if (tree.panels === null && this.view) Object.assign(tree, { panels: this.view.panels, headline: this.view.headline, why: this.view.why, sliders: this.view.sliders, below: tree.below.length ? tree.below : this.view.below, conditions: this.view.conditions });
    this.kept = message.tree.panels === null;
    if (!this.kept) this.root.dataset.view = String(message.count); // for those who wait for a new picture
    this.view = tree;
    if (!this.kept || !this.tools.shown) this.tools.fill(message.formats);
    this.show();
  }

  /** Take what goes with the panels of the view, and changes oftener than they do. */
  lay() {
    const { tree, buffers } = this.model.get("_aside") ?? {};
    this.aside = tree ? unpacked(tree, buffers) : {};
    this.show();
  }

  /** Follow the fields of the state; a person may be further on already. */
  listen(fields) {
    for (const field of fields) {
      if (field in this.state) continue;
      this.state[field] = this.model.get(field);
      const handler = () => {
        const told = this.model.get(field), [count, chosen] = this.model.get("_said")?.[field] ?? [0, told];
        if (count > this.heard() && !same(told, chosen)) {
          this.model.set(field, chosen); // the kernel said so before it heard of this choice
          return;
        }
        if (same(this.state[field], told)) return;
        this.state[field] = told;
        this.show();
      };
      this.handlers[`change:${field}`] = handler;
      this.model.on(`change:${field}`, handler);
    }
  }

  /** Bring the page to the present view and state.
   *
   * A field that is typed into and taken away says at that moment what was typed: that is shown afterwards.
   */
  show() {
    this.behind = true;
    if (this.showing || !this.view) return;
    this.showing = true;
    const here = this.root.contains(document.activeElement);
    try {
      while (this.behind) {
        this.behind = false;
        this.draw();
      }
    } finally {
      this.showing = false;
    }
    if (here && !this.root.contains(document.activeElement)) this.holdFocus();
  }

  /** Take the focus of what is gone: JupyterLab would take the next keys for commands. */
  holdFocus() {
    const { root } = this;
    root.tabIndex = -1;
    root.dataset.lmSuppressShortcuts = "true";
    root.addEventListener("blur", () => {
      root.removeAttribute("tabindex"); // so that a click beside all controls is the notebook's
      delete root.dataset.lmSuppressShortcuts;
    }, { once: true });
    root.focus({ preventScroll: true });
  }

  draw() {
    const { view, state, nodes } = this;
    const seen = this.pick(view, state), question = picked(view.question ?? null, state);
    const asks = this.guess.show(question, state[seen.tabs?.key]), at = asks ? { ...seen, ...NOTHING, ask: question.insists ? seen.ask : [] } : seen;
    const gloss = view.glossary;
    this.root.classList.toggle("rx-asks", asks);
    this.place(nodes.tabs, at.tabs ? [at.tabs] : []);
    this.turn(at.tabs);
    this.place(nodes.ask, at.ask);
    this.place(nodes.sliders, at.sliders);
    this.rows(nodes.panels, at.panels ?? []);
    this.rows(nodes.below, at.below);
    write(nodes.waiting, asks || at.panels?.length ? "" : view.waiting);
    glossed(nodes.headline, whole(at.headline ?? ""), gloss);
    glossed(this.whyText, at.why ?? "", gloss);
    nodes.why.hidden = !at.why;
    this.paragraphs(at.conditions ?? [], gloss);
    this.dim();
  }

  /** What the tabs turn is one panel, which is called as the tab that is open. */
  turn(tabs) {
    const open = tabs?.choices.find((choice) => same(choice.value, this.state[tabs.key]));
    if (!open) return;
    this.stage.setAttribute("role", "tabpanel");
    this.stage.setAttribute("aria-label", open.label);
    for (const tab of this.nodes.tabs.querySelectorAll("[role=tab]")) tab.setAttribute("aria-controls", this.stage.id);
  }

  /** The view at a state. What is not yet computed for it leaves the picture that stands there, dimmed. */
  pick(view, state) {
    const { tabs, ask, sliders, panels, headline, why, below, conditions } = view;
    const content = { panels, headline, why, below, conditions };
    this.lacking = false;
    const now = picked(content, state, () => { this.lacking = true; });
    if (!this.lacking || !this.content) this.content = now;
    return { ...this.content, tabs: this.steady(tabs), ask: this.controls(ask), sliders: this.controls(sliders) };
  }

  controls(parts) {
    const list = Array.isArray(parts) ? parts : picked(parts, this.state) ?? [];
    return list.map((part) => this.steady(part)).filter(Boolean);
  }

  /** A control at a state. One that lacks something for it, such as the stops of a depth that came from elsewhere, stays as it was. */
  steady(part) {
    let lacks = false;
    const now = picked(part, this.state, () => { lacks = true; });
    if (!now) return null;
    const name = `${now.kind} ${now.key}`;
    if (!lacks) this.whole.set(name, now);
    return this.whole.get(name) ?? null;
  }

  paragraphs(sentences, gloss) {
    this.nodes.conditions.hidden = !sentences.length;
    while (this.conditionsText.childNodes.length < sentences.length) this.conditionsText.append(make("p"));
    [...this.conditionsText.childNodes].forEach((node, k) => {
      node.hidden = k >= sentences.length;
      glossed(node, sentences[k] ?? "", gloss);
    });
  }

  rows(stack, panels) {
    while (stack.childNodes.length < panels.length) stack.append(make("div", "rx-row"));
    [...stack.childNodes].forEach((row, k) => {
      row.hidden = k >= panels.length;
      this.place(row, (panels[k] ?? []).filter(Boolean));
      row.style.setProperty("--columns", String(Math.max(1, row.childNodes.length)));
    });
  }

  /** Put parts into a node: those that stand there already are updated and keep their elements.
   *
   * @param {HTMLElement} node @param {any[]} parts
   */
  place(node, parts) {
    node.hidden = !parts.length;
    const standing = this.parts.get(node) ?? new Map(), next = new Map();
    for (const part of parts) {
      const name = `${part.kind} ${part.key}`, shown = standing.get(name);
      if (shown) {
        shown.update(part);
        shown.props = part;
        next.set(name, shown);
      } else {
        if (!KINDS[part.kind]) throw new TypeError(`There is no ${part.kind} to draw ${part.key}.`);
        next.set(name, { ...KINDS[part.kind](this, { ...part }), props: part });
      }
    }
    for (const [name, shown] of standing) if (!next.has(name)) shown.leave?.();
    arrange(node, [...next.values()].map((shown) => shown.node));
    this.parts.set(node, next);
  }

  /** What is about to be replaced must not pass for the answer. */
  dim() {
    this.ahead = Object.entries(this.madeFor).some(([field, value]) => !same(value, this.state[field]));
    this.root.classList.toggle("rx-late", this.ahead || this.kept || this.lacking);
    this.tellBusy();
  }

  tell() {
    this.tools.call.hidden = !this.model.get("_call");
    this.nodes.problem.textContent = this.model.get("_problem");
    this.tellBusy();
    this.answered();
  }

  /** Say what is being done. A kernel that runs another cell says nothing at all, so that is said for it. */
  tellBusy() {
    const busy = this.model.get("_busy"), silent = this.ahead && !busy;
    if (!silent) {
      clearTimeout(this.silence);
      this.silence = 0;
      this.sayBusy(busy);
    } else if (!this.silence) {
      this.silence = setTimeout(() => this.sayBusy(SILENT), SILENT_MS);
    }
  }

  sayBusy(sentence) {
    if (this.busyText.textContent !== sentence) this.busyText.textContent = sentence;
    this.stop.hidden = sentence === SILENT;
    this.root.classList.toggle("rx-working", Boolean(sentence));
  }

  // --- what the person does ------------------------------------------------------------------------------

  /** Set a field: here at once, in the kernel now or, where it `slides`, when it rests. */
  choose(field, value, slides = false) {
    this.set({ [field]: value }, slides);
  }

  /** Set several fields together. @param {{[field: string]: any}} fields */
  set(fields, slides = false) {
    const changed = Object.entries(fields).filter(([field, value]) => !same(this.state[field], value));
    if (!changed.length) return;
    const said = { ...this.model.get("_said") }, count = 1 + Math.max(this.heard(), ...Object.values(said).map(([before]) => before));
    for (const [field, value] of changed) {
      this.state[field] = value; // all, before the model's events come
      said[field] = [count, value];
    }
    this.model.set("_said", said);
    for (const [field, value] of changed) this.model.set(field, value);
    this.show();
    clearTimeout(this.rest);
    this.rest = slides ? setTimeout(() => this.tellKernel(), REST_MS) : 0;
    if (!slides) this.tellKernel();
  }

  tellKernel() {
    this.rest = 0;
    this.model.save_changes();
  }

  /** Up to which count the kernel has answered what is chosen. */
  heard() {
    return this.model.get("_heard") ?? 0;
  }

  /** Ask the kernel to do something, with what it has not answered: changes of the model may arrive only after it. */
  act(name, detail = null, buffers = []) {
    const said = Object.fromEntries(Object.entries(this.model.get("_said") ?? {}).filter(([, [count]]) => count > this.heard()));
    this.model.send({ act: name, detail, said, page: this.id }, undefined, buffers);
  }

  /** Say something to who can't see it. */
  say(text) {
    this.nodes.live.textContent = text;
  }

  hear(content, buffers) {
    this.answered();
    if (content.file && content.page === this.id) this.tools.offer(content.file, buffers[0]);
  }

  /** After the connection has changed: is anybody there? */
  ask() {
    clearTimeout(this.asking);
    this.asking = setTimeout(() => { this.nodes.problem.textContent = GONE; }, ANSWER_MS);
    this.act("here?");
  }

  answered() {
    clearTimeout(this.asking);
    if (this.nodes.problem.textContent === GONE) this.nodes.problem.textContent = this.model.get("_problem");
  }

  leave() {
    for (const [name, handler] of Object.entries(this.handlers)) this.model.off?.(name, handler);
    for (const parts of this.parts.values()) for (const shown of parts.values()) shown.leave?.();
    this.resized.disconnect();
    this.hidden.remove();
    this.tools.leave();
    this.guess.leave();
    for (const timer of [this.rest, this.asking, this.silence]) clearTimeout(timer);
    if (this.rest) this.tellKernel(); // else there is nothing to tell, and nobody perhaps to hear it
  }
}

/** anywidget's entry. */
export function render({ model, el }) {
  const page = new Page(model, el);
  return () => page.leave();
}
