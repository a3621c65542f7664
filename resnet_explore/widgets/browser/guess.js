/* Guess first: a question in the place of the view until it is answered or skipped, then a verdict above the view. */

import { arrange, control, freshId, make, same, whole, write } from "./dom.js";
import { glossed } from "./glossary.js";

/** @typedef {{key: string, text: string, choices: any[], right: any, rule: string, told: string, why: string, replies: {[answer: string]: string}}} Question */

const FEW = 6; // choices that all stand below each other
const TWICE_MS = 500; // within which a second click is meant for the button that is gone

export class Guess {
  /** @param {import("./page.js").Page} page */
  constructor(page) {
    this.page = page;
    this.question = null; // the one that is asked, or whose verdict stands there
    this.tab = null; // that was open with it
    this.answer = null; // what was said to it
    this.asked = null; // what of a question the form shows
    this.pending = null; // {key, answer, before} of an answer that is not counted yet, and how often it was given before
    this.away = ""; // the key of a verdict that was put away
    this.again = ""; // the key of a question that another person is asked
    this.unsaid = false; // whether the verdict is yet to be said
    this.legend = make("legend", "rx-asked");
    this.bars = null; // how often each was given, as it stands there
    this.results = {}; // whether a question's answer was right, {key: boolean}
    this.timer = 0;
    this.build();
  }

  build() {
    const quiet = (text, press) => {
      const button = control("button", "rx-quiet", { type: "button", textContent: text });
      button.addEventListener("click", press);
      return button;
    };
    this.judged = make("b");
    this.told = make("span");
    this.why = make("p");
    this.verdict = control("div", "rx-verdict-told", { tabIndex: -1 }, make("p", "rx-judged", {}, this.judged, this.told), this.why);
    this.verdict.setAttribute("role", "group");
    this.total = make("p", "rx-facts");
    this.distribution = make("ul", "rx-distribution");
    const again = quiet("Another person guesses", () => this.askAgain()), close = quiet("Put this away", () => this.putAway());
    this.side = make("div", "rx-guess-side", {}, this.total, this.distribution, again, close);
    this.node = make("div", "rx-guess", { hidden: true });
  }

  /** What was answered here, {key: answer}, null for a question that was skipped. */
  guessed() {
    return this.page.model.get("_guessed") ?? {};
  }

  /** Show what is asked, or what came of it. Returns whether the view has to be kept back.
   *
   * Who has gone on from what was asked about, to another depth or another edit, keeps the verdict: its end would
   * move the picture. It ends with the tab.
   *
   * @param {Question?} asked @param {any} tab the one that is open
   */
  show(asked, tab) {
    const stays = same(tab, this.tab) && this.question && (this.answer !== null || this.again === this.question.key);
    this.question = asked ?? (stays ? this.question : null);
    this.tab = tab;
    const key = this.question?.key, asks = Boolean(this.question) && !(key in this.guessed());
    this.answer = this.question && !asks ? this.guessed()[key] : null;
    this.node.hidden = !asks && (this.answer === null || this.away === key);
    this.node.classList.toggle("rx-told", !asks);
    if (asks) this.ask();
    else this.asked = null;
    if (!asks && !this.node.hidden) this.tell();
    else if (!asks) this.node.replaceChildren();
    return asks;
  }

  /** Put a text into a node; all its words of the glossary explain themselves: who is asked should know what about. */
  explained(node, text) {
    glossed(node, whole(text), this.page.view.glossary, Infinity);
  }

  // --- before ---------------------------------------------------------------------------------------------

  /** Show the question. What is measured meanwhile must not take back what is ticked. */
  ask() {
    const { key, text, choices, rule } = this.question;
    this.explained(this.legend, text);
    if (same(this.asked, { key, text, choices, rule })) return;
    this.asked = { key, text, choices, rule };
    const name = freshId();
    const inputs = choices.map(() => {
      const input = control("input", "", { type: "radio", name, required: true });
      input.addEventListener("keydown", (event) => event.stopPropagation()); // arrows go on to the next one
      input.addEventListener("change", () => go.setAttribute("aria-disabled", "false"));
      return input;
    });
    const go = control("button", "rx-button rx-go", { type: "submit", textContent: "Show me" });
    go.setAttribute("aria-disabled", "true");
    const skip = control("button", "rx-quiet", { type: "button", textContent: "Skip the question" });
    skip.addEventListener("click", () => this.settle(null));
    const list = make("div", "rx-answers", {}, ...choices.map((choice, k) => make("label", "", { title: choice.tip ?? "" }, inputs[k], ` ${choice.label}`)));
    list.classList.toggle("rx-many", choices.length > FEW);
    const form = make("form", "", { noValidate: true },
      make("fieldset", "", { ariaLabel: text }, this.legend, list), // without what the legend's words explain
      make("p", "rx-note", { textContent: rule }), make("div", "rx-group", {}, go, skip));
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      const k = inputs.findIndex((input) => input.checked);
      if (k >= 0) this.settle(choices[k].value);
      else {
        this.page.say("Choose an answer first.");
        inputs[0].focus();
      }
    });
    this.node.replaceChildren(form);
  }

  /** Take an answer, null for none wanted. */
  settle(answer) {
    const { key, right } = this.question;
    this.away = "";
    this.unsaid = right === null; // else the focus is where it is read
    if (answer !== null) this.pending = { key, answer, before: this.given(key)[answer] ?? 0 };
    this.shield();
    this.remember({ ...this.guessed(), [key]: answer });
    this.again = ""; // only now is it no longer asked
    if (answer === null) return;
    this.page.act("guess", [key, answer]);
    this.verdict.focus({ preventScroll: true });
    this.node.scrollIntoView({ block: "nearest" });
  }

  /** A double click must not cut the block that has come under the pointer. */
  shield() {
    clearTimeout(this.timer);
    this.page.root.classList.add("rx-fresh");
    this.timer = setTimeout(() => this.page.root.classList.remove("rx-fresh"), TWICE_MS);
  }

  /** Keep what was answered, of which the page is told by the model. @param {{[key: string]: any}} guessed */
  remember(guessed) {
    this.page.model.set("_guessed", guessed);
    this.page.model.save_changes();
  }

  leave() {
    clearTimeout(this.timer);
  }

  // --- after ----------------------------------------------------------------------------------------------

  tell() {
    const { key, choices, right, told, why, replies } = this.question, { answer } = this;
    const label = (value) => choices.find((choice) => same(choice.value, value))?.label ?? String(value);
    const known = right !== null, is = same(answer, right);
    if (known) this.results[key] = is;
    const wrong = known ? `Not quite: you said “${label(answer)}”, it is “${label(right)}”.` : `You said “${label(answer)}”. Measuring ...`;
    write(this.judged, is ? "Right." : wrong);
    this.judged.classList.toggle("rx-passed", is);
    const rest = known ? [told, is ? "" : replies[answer], this.score()].filter(Boolean).join(" ") : "";
    this.explained(this.told, rest && ` ${rest}`);
    this.explained(this.why, known ? why : "");
    this.verdict.ariaLabel = this.judged.textContent + this.told.textContent;
    this.count(known);
    arrange(this.node, [this.verdict, this.side]);
    if (known && this.unsaid) this.page.say(this.judged.textContent + this.told.textContent);
    this.unsaid &&= !known;
  }

  /** How many answers were right, once there are several. */
  score() {
    const results = Object.values(this.results);
    return results.length > 1 ? `${results.filter(Boolean).length} of ${results.length} right so far.` : "";
  }

  /** How often each answer to a question was given, as far as that is known here. @param {string} key @returns {{[answer: string]: number}} */
  given(key) {
    return this.page.model.get("_counts")?.[key] ?? {};
  }

  /** Answers were counted: the one that was on its way among them, or others. */
  counted() {
    const { key, answer, before } = this.pending ?? {};
    if (this.pending && this.given(key)[answer] > before) this.pending = null;
  }

  /** Show how often each answer was given, once there is more than one's own; of many those that were, and the right one. */
  count(known) {
    const { key, choices, right } = this.question, counts = this.given(key);
    const own = (value) => Number(this.pending?.key === key && same(this.pending.answer, value));
    const bars = choices.map(({ value, label }) => ({ label, n: (counts[value] ?? 0) + own(value), right: same(value, right) }));
    const total = bars.reduce((sum, { n }) => sum + n, 0);
    this.total.hidden = this.distribution.hidden = !known || total < 2;
    write(this.total, `All ${total} answers`);
    if (same([known, bars], this.bars)) return; // as while a slider is moved
    this.bars = [known, bars];
    const shown = this.total.hidden ? [] : bars.filter((bar) => bars.length <= FEW || bar.n || bar.right);
    this.distribution.replaceChildren(...shown.map((bar) => {
      const fill = make("span", bar.right ? "rx-fill rx-fill-right" : "rx-fill");
      fill.style.width = `${(100 * bar.n) / total}%`;
      const groove = make("span", "rx-groove", { ariaHidden: "true" }, fill), n = make("span", "rx-count", { textContent: bar.right ? `${bar.n} ✓ right` : String(bar.n) });
      return make("li", "", {}, make("span", "", { textContent: bar.label }), groove, n);
    }));
  }

  askAgain() {
    const { [this.question.key]: _, ...others } = this.guessed();
    this.again = this.question.key;
    this.results = {}; // they are of the person before
    this.remember(others);
    this.node.querySelector("input")?.focus();
  }

  putAway() {
    this.away = this.question.key;
    this.page.show();
  }
}
