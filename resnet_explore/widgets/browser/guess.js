/* Guess first: a question in the place of the view until it is answered or skipped, then a verdict above the view. */

import { control, freshId, make, same, whole } from "./dom.js";

/** @typedef {{key: string, text: string, choices: any[], right: any, rule: string, told: string, why: string, replies: {[answer: string]: string}}} Question */

const FEW = 6; // choices that all stand below each other
const TWICE_MS = 500; // within which a second click is meant for the button that is gone

export class Guess {
  /** @param {import("./page.js").Page} page */
  constructor(page) {
    this.page = page;
    this.node = make("div", "rx-guess");
    this.node.hidden = true;
    this.shown = null; // what stands there
    this.pending = null; // [key, answer] that is not counted yet
    this.away = ""; // the key of a verdict that was put away
    this.spoken = true; // whether the verdict has been said
    this.timer = 0;
    this.results = {}; // whether a question's answer was right, {key: boolean}
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
    const question = asked ?? (this.shown?.answer !== null && same(this.shown?.tab, tab) ? this.shown?.question : null) ?? null;
    const asks = question !== null && !(question.key in this.guessed());
    const answer = question && !asks ? this.guessed()[question.key] : null;
    const next = { question, tab, asks, answer, counts: this.counts(question), away: this.away };
    if (!same(next, this.shown)) {
      this.shown = next;
      this.node.hidden = !asks && (answer === null || this.away === question?.key);
      this.node.classList.toggle("rx-told", !asks);
      if (!this.node.hidden) this.node.replaceChildren(...(asks ? this.ask(question) : this.tell(question, answer, next.counts)));
      else this.node.replaceChildren();
    }
    return asks;
  }

  // --- before ---------------------------------------------------------------------------------------------

  /** @param {Question} question */
  ask(question) {
    const name = freshId();
    const inputs = question.choices.map(() => {
      const input = control("input", "", { type: "radio", name, required: true });
      input.addEventListener("keydown", (event) => event.stopPropagation()); // arrows go on to the next one
      input.addEventListener("change", () => go.setAttribute("aria-disabled", "false"));
      return input;
    });
    const go = control("button", "rx-button rx-go", { type: "submit", textContent: "Show me" });
    go.setAttribute("aria-disabled", "true");
    const skip = control("button", "rx-quiet", { type: "button", textContent: "Skip the question" });
    skip.addEventListener("click", () => this.settle(question, null));
    const list = make("div", "rx-options-list", {}, ...question.choices.map((choice, k) => make("label", "", { title: choice.tip ?? "" }, inputs[k], ` ${choice.label}`)));
    list.classList.toggle("rx-many", question.choices.length > FEW);
    const form = make("form", "", { noValidate: true },
      make("fieldset", "rx-options", {}, make("legend", "rx-asked", { textContent: whole(question.text) }), list),
      make("p", "rx-note", { textContent: question.rule }), make("div", "rx-group", {}, go, skip));
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      const k = inputs.findIndex((input) => input.checked);
      if (k >= 0) this.settle(question, question.choices[k].value);
      else {
        this.page.say("Choose an answer first.");
        inputs[0].focus();
      }
    });
    return [form];
  }

  /** Take an answer, null for none wanted. @param {Question} question */
  settle(question, answer) {
    this.away = "";
    this.shield();
    if (answer !== null) this.pending = [question.key, answer];
    this.spoken = answer === null || question.right !== null;
    this.remember({ ...this.guessed(), [question.key]: answer });
    if (answer === null) return;
    this.page.act("guess", [question.key, answer]);
    this.focusVerdict();
  }

  /** A double click must not cut the block that has come under the pointer. */
  shield() {
    clearTimeout(this.timer);
    this.page.root.classList.add("rx-fresh");
    this.timer = setTimeout(() => this.page.root.classList.remove("rx-fresh"), TWICE_MS);
  }

  leave() {
    clearTimeout(this.timer);
  }

  /** @param {{[key: string]: any}} guessed */
  remember(guessed) {
    this.page.model.set("_guessed", guessed);
    this.page.model.save_changes();
    this.page.show();
  }

  // --- after ----------------------------------------------------------------------------------------------

  /** How often each answer was given, with the one that is just on its way. @param {Question?} question */
  counts(question) {
    if (!question) return {};
    const counts = { ...this.page.model.get("_counts")?.[question.key] };
    const [key, answer] = this.pending ?? [];
    if (key === question.key) counts[answer] = (counts[answer] ?? 0) + 1;
    return counts;
  }

  /** The answer that was on its way is counted. */
  counted() {
    this.pending = null;
  }

  tell(question, answer, counts) {
    const label = (value) => question.choices.find((choice) => same(choice.value, value))?.label ?? String(value);
    const known = question.right !== null, right = same(answer, question.right);
    const judged = known ? (right ? "Right." : `Not quite: you said “${label(answer)}”, it is “${label(question.right)}”.`) : `You said “${label(answer)}”. Measuring ...`;
    if (known) this.results[question.key] = right;
    const parts = known ? [question.told, right ? "" : question.replies[answer] ?? "", this.score()].filter(Boolean).join(" ") : "";
    const sentence = make("p", "rx-judged", { id: freshId() }, make("b", known ? (right ? "rx-passed" : "") : "", { textContent: judged }), whole(parts ? ` ${parts}` : ""));
    if (known && !this.spoken) {
      this.spoken = true;
      this.page.say(sentence.textContent);
    }
    const again = control("button", "rx-quiet", { type: "button", textContent: "Another person guesses" });
    again.addEventListener("click", () => this.askAgain(question));
    const close = control("button", "rx-quiet", { type: "button", textContent: "Put this away" });
    close.addEventListener("click", () => {
      this.away = question.key;
      this.page.show();
    });
    this.verdict = control("div", "rx-verdict-told", { tabIndex: -1 }, sentence, ...(known ? [make("p", "", { textContent: whole(question.why) })] : []));
    this.verdict.setAttribute("role", "group");
    this.verdict.setAttribute("aria-labelledby", sentence.id);
    return [this.verdict, make("div", "rx-guess-side", {}, ...this.bars(question, counts, known), again, close)];
  }

  /** How many answers were right, once there are several. */
  score() {
    const results = Object.values(this.results);
    return results.length > 1 ? `${results.filter(Boolean).length} of ${results.length} right so far.` : "";
  }

  /** A bar for each answer, once there is more than one's own; of many those that were given, and the right one. */
  bars(question, counts, known) {
    const total = Object.values(counts).reduce((sum, n) => sum + n, 0);
    if (!known || total < 2) return [];
    const shown = question.choices.filter(({ value }) => question.choices.length <= FEW || counts[value] || same(value, question.right));
    const rows = shown.map((choice) => {
      const n = counts[choice.value] ?? 0, right = same(choice.value, question.right);
      const fill = make("span", right ? "rx-fill rx-fill-right" : "rx-fill");
      fill.style.width = `${(100 * n) / total}%`;
      return make("li", "", {}, make("span", "", { textContent: choice.label }), make("span", "rx-groove", { ariaHidden: "true" }, fill), make("span", "rx-count", { textContent: right ? `${n} ✓ right` : String(n) }));
    });
    return [make("p", "rx-facts", { textContent: `All ${total} answers` }), make("ul", "rx-distribution", {}, ...rows)];
  }

  askAgain(question) {
    const { [question.key]: _, ...others } = this.guessed();
    this.remember(others);
    this.node.querySelector("input")?.focus();
  }

  focusVerdict() {
    this.verdict?.focus({ preventScroll: true });
    this.node.scrollIntoView({ block: "nearest" });
  }
}
