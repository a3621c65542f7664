/* What stands behind the page in place of Python: a state, both networks, and a view made of what they give.
 *
 * It is what anywidget calls a model. The newest state is answered; what was asked meanwhile is not.
 */

import { setAddress } from "../../../widgets/browser/address.js";
import { addressOf, stateOf } from "./address.js";
import { loading, NO_PHOTO, NO_SUCH, RUNNING, WAITING } from "./captions.js";
import { Inputs } from "./inputs.js";
import { Network, Trouble } from "./networks.js";
import { present } from "./present.js";

const SCHEMA = 1, LATE_MS = 400, MOST_KEPT = 24;
// What is seen first makes the point: without one block the plain network errs.
const FIRST = { kind: "digits", depth: 20, input: "digit-7", deleted: [5], cut: [], skip: 1, block: 5 };
const LOOKS = { order: "mean", tile_page: 0, own_scale: true, channel: -1, opacity: 0.6 }; // of the tiles, which follow them alone
const ASKED = Object.keys(FIRST);

export class Kernel {
  constructor(facts) {
    this.facts = facts;
    this.values = { ...FIRST, ...LOOKS, _view: null, _aside: {}, _busy: "", _problem: "", _code: "", _said: {}, _heard: 0, _opened: 0 };
    this.handlers = {};
    this.count = 0;
    this.asked = this.answering = this.loaded = false;
    this.inputs = new Inputs(facts);
    this.last = { [FIRST.kind]: FIRST.input }; // what was last looked at of each kind
    this.networks = Object.fromEntries(Object.entries(facts.twins).map(([name, twins]) => [name, twins.map((about) => new Network(about, facts.kinds[name.split("-")[0]]))]));
    this.given = new Map(); // what networks gave, by network, input and edit
    this.untouched = true; // whether nothing has been changed in the networks
    this.refused = ""; // what is to be said of files that were none, until something else is chosen
  }

  // --- the model that the page sees -------------------------------------------------------------------------

  get(name) { return this.values[name]; }
  on(name, handler) { (this.handlers[name] ??= new Set()).add(handler); }
  off(name, handler) { this.handlers[name]?.delete(handler); }
  save_changes() {}

  set(name, value) {
    if (this.values[name] === value) return;
    const before = this.values[name];
    this.values[name] = value;
    if (name === "_said") this.values._heard = Math.max(...Object.values(value).map(([count]) => count)); // at once, unlike Python
    if (["deleted", "cut", "skip"].includes(name)) this.untouched = false;
    if (name === "input") this.last[this.values.kind] = value;
    if (name === "kind") this.turn();
    if (name === "depth") this.put({ deleted: [], cut: [], block: this.carried(before, value) });
    if (ASKED.includes(name)) {
      this.refused = "";
      this.ask();
    }
    for (const handler of this.handlers[`change:${name}`] ?? []) handler();
  }

  send({ act, detail }) {
    if (act === "drew") this.draw(detail);
    if (act === "photos") this.take(detail);
    if (act === "reset") this.put({ deleted: [], cut: [], skip: 1 });
  }

  put(fields) { for (const [name, value] of Object.entries(fields)) this.set(name, value); }

  // --- what a person does -----------------------------------------------------------------------------------

  /** Other networks: with their own images, and nothing changed. */
  turn() {
    const { depths, samples } = this.facts.kinds[this.values.kind];
    this.put({ depth: depths[0], input: this.last[this.values.kind] ?? samples[0].value, deleted: [], cut: [], skip: 1, block: 1, channel: -1 });
  }

  /** The block at the same share of the way. */
  carried(from, to) {
    const counts = [from, to].map((depth) => this.facts.twins[`${this.values.kind}-${depth}`]?.[0].blocks.length ?? 1);
    return Math.max(1, Math.round((this.values.block / counts[0]) * counts[1]));
  }

  /** Begin where the address says, and go where it says later. */
  follow() {
    const arrive = () => {
      const state = stateOf(location.hash, FIRST, this.facts);
      if (state) for (const name of ["kind", "depth", ...ASKED]) this.set(name, state[name]); // networks first, which undo the rest
      else this.refused = NO_SUCH;
      this.ask();
    };
    if (location.hash.length > 1) arrive();
    window.addEventListener("hashchange", arrive);
  }

  /** The first view has a block out; what somebody draws is asked of whole networks first. */
  draw(strokes) {
    if (this.untouched) this.put({ deleted: [] });
    this.put({ input: strokes.length ? this.inputs.draw(strokes) : this.facts.kinds.digits.samples[7].value });
  }

  /** Take files; the last that is a photo is shown. @param {File[]} files */
  async take(files) {
    const refused = [];
    let taken = "";
    for (const file of files) {
      const name = file.name || "What was pasted";
      try {
        taken = await this.inputs.take(file, name);
      } catch {
        refused.push(`${name} ${NO_PHOTO}`);
      }
    }
    if (taken) {
      this.put({ kind: "cifar10" });
      this.put({ input: taken });
    }
    this.refused = refused.join(" ");
    this.ask();
  }

  // --- the answer -------------------------------------------------------------------------------------------

  /** Answer the present state: at once, or after the one that is being answered. */
  async ask() {
    this.asked = true;
    if (this.answering) return;
    this.answering = true;
    await Promise.resolve(); // until all that is set together is
    try {
      while (this.asked) {
        this.asked = false;
        await this.answer();
      }
    } finally {
      this.answering = false;
    }
  }

  async answer() {
    const state = Object.fromEntries(ASKED.map((name) => [name, this.values[name]]));
    const late = setTimeout(() => this.set("_busy", RUNNING), LATE_MS);
    let input = null;
    try {
      input = await this.inputs.find(state.input);
      const pair = this.networks[`${state.kind}-${state.depth}`];
      if (!pair.every((network) => network.there)) {
        const sentence = loading(pair.reduce((sum, { about }) => sum + about.bytes, this.loaded ? 0 : this.facts.runtime_bytes));
        clearTimeout(late);
        this.set("_busy", sentence);
        if (this.values._view?.made_for.kind !== state.kind) this.show(state, { input, now: null, before: null, waiting: sentence });
      }
      const none = { deleted: [], cut: [], skip: 1 };
      const before = await this.run(pair, input, none), now = await this.run(pair, input, state);
      this.show(state, { input, now, before });
      this.loaded = true; // the runtime, and these
      setAddress(addressOf(this.values, FIRST, this.facts));
      this.set("_problem", this.refused);
    } catch (problem) {
      this.set("_problem", problem instanceof Trouble ? problem.message : `Something went wrong here (${problem.message}).`);
      if (input) this.show(state, { input, now: null, before: null, waiting: WAITING });
    } finally {
      clearTimeout(late);
      this.set("_busy", "");
    }
  }

  /** What both networks give. */
  async run(pair, input, edit) {
    const found = [];
    for (const network of pair) found.push(await this.runOne(network, input, edit));
    return found;
  }

  /** What one network gives, or gave lately: a dial on the skips leaves the plain one as it was. */
  async runOne(network, input, edit) {
    const { skip, branch } = network.factors(edit), name = [network.about.file, input.key, skip, branch].join(" ");
    const given = this.given.get(name) ?? (await network.run(input.values, edit));
    this.given.delete(name); // and set again: the last used stay longest
    this.given.set(name, given);
    if (this.given.size > MOST_KEPT) this.given.delete(this.given.keys().next().value);
    return given;
  }

  show(state, found) {
    const tree = present(state, this.facts, { uploads: this.inputs.uploads(state.kind), ...found });
    this.count += 1;
    this.set("_view", { count: this.count, schema: SCHEMA, fields: [...ASKED, ...Object.keys(LOOKS)], made_for: state, formats: [], tree, buffers: [] });
  }
}
