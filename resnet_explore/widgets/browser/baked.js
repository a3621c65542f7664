/* An explorer's page without Python: what stands in for the kernel looks up the views that were computed beforehand. */

import { fromAddress, setAddress, toAddress } from "./address.js";
import { make, same } from "./dom.js";
import { render } from "./page.js";
import { saved } from "./picture.js";
import { python } from "./python.js";
import { picked } from "./view.js";

const BROKEN = "This file is damaged: part of its data is missing. Download it again.";
const NOT_HERE = "That works in the notebook: this page has no Python behind it.";

/**
 * @typedef {{state: any, made_for: any, unused: string[], call: string, formats: string[], tree: any, aside: any}} Scene
 * @typedef {{schema: number, fields: string[], code: any, scenes: Scene[], buffers: DataView[]}} Table
 */

/** Show a page out of what Python has packed: base64 of a gzip of a JSON and its buffers. @param {HTMLElement} el @param {string} text */
export async function open(el, text) {
  if (typeof DecompressionStream === "undefined") return; // which the page has said already
  let table;
  try {
    table = await read(text);
  } catch {
    el.append(make("p", "", { textContent: BROKEN, role: "alert" }));
    return;
  }
  const model = new Baked(table);
  model.follow(); // so that what the address asks for is what is drawn first
  render({ model, el });
  model.page = el.querySelector(".rx-page").explorer;
  model.on("change:_guessed", () => model.tellTitle()); // after the page has heard of it
  model.tellTitle();
  model.page.tools.offerCopy("Link", "leads to what you see", () => location.href);
  new ResizeObserver(() => tellAround({ height: height() })).observe(document.documentElement);
}

const height = () => document.documentElement.getBoundingClientRect().height;

/** Tell the page around this one, if there is one, how high this is, what it shows and what it opened with.
 *
 * @param {{height?: number, address?: string, opened?: string}} said
 */
function tellAround(said) {
  if (window.parent !== window) window.parent.postMessage({ explorer: said }, "*"); // it may be anybody's
}

/** @param {string} text @returns {Promise<Table>} */
async function read(text) {
  const packed = Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
  const bytes = await new Response(new Blob([packed]).stream().pipeThrough(new DecompressionStream("gzip"))).arrayBuffer();
  const length = new DataView(bytes).getUint32(0, true), start = 4 + length;
  const table = JSON.parse(new TextDecoder().decode(new Uint8Array(bytes, 4, length)));
  const buffers = table.buffers.map(([at, size]) => new DataView(bytes, start + at, size));
  const shared = [];
  const whole = (tree) => {
    if (Array.isArray(tree)) return tree.map(whole);
    if (tree === null || typeof tree !== "object") return tree;
    if (tree.$shared !== undefined) return shared[tree.$shared];
    return Object.fromEntries(Object.entries(tree).map(([name, entry]) => [name, whole(entry)]));
  };
  for (const tree of table.shared) shared.push(whole(tree)); // a part comes after those that it holds
  const scenes = table.scenes.map((scene) => ({ ...scene, tree: whole(scene.tree), aside: whole(scene.aside) }));
  return { ...table, scenes, buffers };
}

/** The view for a state: of those that have what was just asked, the one that differs least. undefined where there is none.
 *
 * One that doesn't depend on what was asked would answer anything, so it has to fit in all else.
 *
 * @param {Scene[]} scenes @param {any} state @param {string[]} asked fields that were just set
 */
export function nearest(scenes, state, asked) {
  let best, least = Infinity;
  for (const scene of scenes) {
    const other = Object.keys(scene.made_for).filter((name) => !same(scene.made_for[name], state[name]));
    if (other.some((name) => asked.includes(name))) continue;
    if (other.length && scene.unused.some((name) => asked.includes(name))) continue;
    if (other.length < least) [best, least] = [scene, other.length];
  }
  return best;
}

/** What a page needs of a model, over a table. */
class Baked {
  /** @param {Table} table */
  constructor(table) {
    this.table = table;
    this.page = null;
    this.handlers = {};
    this.count = 0;
    this.start = { ...table.scenes[0].state };
    this.opened = undefined; // the address of what was shown first
    this.state = { ...this.start }; // what is shown
    this.values = { _busy: "", _problem: "", _heard: 0, _said: {}, _guessed: {}, _counts: {}, ...this.state };
    this.take(table.scenes[0]);
  }

  get(name) {
    return this.values[name];
  }

  set(name, each) {
    this.values[name] = each;
    for (const handler of this.handlers[`change:${name}`] ?? []) handler();
  }

  on(name, handler) {
    (this.handlers[name] ??= []).push(handler);
  }

  off(name, handler) {
    this.handlers[name] = (this.handlers[name] ?? []).filter((each) => each !== handler);
  }

  /** What the page has chosen is looked up. */
  save_changes() {
    const asked = this.table.fields.filter((name) => !same(this.values[name], this.state[name]));
    if (asked.length) this.go(Object.fromEntries(this.table.fields.map((name) => [name, this.values[name]])), asked, NOT_HERE);
  }

  send({ act, detail }) {
    if (act === "save") saved(this.page, detail, this.table.code.name, this.code()).catch((problem) => this.set("_problem", problem.message));
    else if (act === "guess") this.countGuess(...detail);
    else this.set("_problem", NOT_HERE);
  }

  /** Count an answer among those that were given in this page. @param {string} key @param {string | number} answer */
  countGuess(key, answer) {
    const before = this.values._counts, counts = before[key] ?? {};
    this.set("_counts", { ...before, [key]: { ...counts, [answer]: (counts[answer] ?? 0) + 1 } });
  }

  /** Show a state, or say why not and stay. @param {any} wanted @param {string[]} asked fields that were just set @param {string} refusal */
  go(wanted, asked, refusal) {
    const scene = nearest(this.table.scenes, wanted, asked);
    if (scene) {
      this.state = this.fitting(scene, { ...wanted, ...scene.made_for });
      if (scene !== this.scene) this.take(scene);
    }
    const there = scene && asked.every((name) => same(this.state[name], wanted[name]));
    this.set("_problem", there ? "" : refusal);
    this.values._heard = Math.max(this.values._heard, ...Object.values(this.values._said).map(([count]) => count));
    for (const name of this.table.fields) this.set(name, this.state[name]);
    this.values._code = this.code();
    this.tellTitle();
    this.tellAddress();
  }

  /** A title tells nothing as long as something is asked. */
  tellTitle() {
    const asked = this.page?.guess.asked?.text;
    document.title = asked || this.page?.root.querySelector(".rx-headline").textContent || document.title;
  }

  /** What the page follows by itself has to be there; else it is as it was when the view was made. */
  fitting(scene, state) {
    for (const name of scene.unused) if (!this.exists(name, state[name])) state[name] = scene.state[name];
    const content = [scene.tree.panels, scene.tree.headline, scene.tree.sliders];
    for (let again = 0; again < 4; again++) {
      const lacking = new Set();
      picked(content, state, (name) => lacking.add(name));
      if (!lacking.size) break;
      for (const name of lacking) state[name] = scene.state[name];
    }
    return state;
  }

  /** Whether some view is of this value of a field: an address may hold anything. */
  exists(field, asked) {
    return this.table.scenes.some(({ state }) => same(state[field], asked));
  }

  /** Put a view where the page finds it. @param {Scene} scene */
  take(scene) {
    this.scene = scene;
    const { schema, fields, buffers } = this.table;
    this.set("_call", scene.call);
    this.set("_aside", { tree: scene.aside, buffers });
    this.set("_view", { count: ++this.count, schema, fields, made_for: scene.made_for, formats: scene.formats, tree: scene.tree, buffers });
  }

  code() {
    const { name, given, between, notes, first } = this.table.code;
    const own = Object.entries(this.state).filter(([each, now]) => !same(now, first[each])).map(([each, now]) => `${each}=${python(now)}`);
    const lines = between.length
      ? [`explorer = rx.${name}(${given.join(", ")})`, ...between, ...(own.length ? [`explorer.update(${own.join(", ")})`] : []), "explorer"]
      : [`rx.${name}(${[...given, ...own].join(", ")})`];
    return ["import resnet_explore as rx", "", ...notes.map((note) => `# ${note}`), ...lines].join("\n");
  }

  /** What differs from how the page opens, so that a link leads to what is seen. */
  address() {
    return toAddress(Object.fromEntries(Object.entries(this.state).filter(([name, now]) => !same(now, this.start[name]))));
  }

  tellAddress() {
    const address = this.address();
    this.opened ??= address;
    tellAround({ address, opened: this.opened });
    setAddress(address);
  }

  /** Who comes by a link has come to see what it leads to. */
  skipQuestions() {
    const keys = this.table.scenes.flatMap(({ tree, state }) => {
      const question = picked(tree.question, state);
      return question && !question.insists ? [question.key] : [];
    });
    this.set("_guessed", { ...Object.fromEntries(keys.map((key) => [key, null])), ...this.values._guessed });
  }

  /** Begin where the address says, and go where it says later. */
  follow() {
    const arrive = () => {
      const { guess, ...asked } = fromAddress(location.hash), known = Object.keys(asked).filter((name) => this.table.fields.includes(name));
      const refusal = `The link asks for something that this page does not have: ${location.hash.slice(1, 80)}`;
      if (!guess) this.skipQuestions();
      this.go({ ...this.start, ...Object.fromEntries(known.map((name) => [name, asked[name]])) }, known, refusal);
      if (known.length < Object.keys(asked).length) this.set("_problem", refusal);
    };
    if (location.hash.length > 1) arrive();
    else {
      this.values._code = this.code();
      this.tellAddress();
    }
    window.addEventListener("hashchange", arrive);
    window.addEventListener("message", ({ source, data }) => {
      if (source !== window.parent || data?.explorer !== "again") return;
      tellAround({ height: height(), address: this.address(), opened: this.opened });
    });
  }
}
