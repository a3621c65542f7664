/* What two networks make of an edit, side by side: the error with its whisker, and the first answers to one image. */

import { make, same } from "../dom.js";

const of = (share) => `${100 * share}%`;

const percent = (share) => `${(100 * share).toFixed(1)} %`;

/** All that a bar shows. */
function sentence({ label, share, low, high, before }) {
  const ends = low === null ? "" : `, 95 % interval ${percent(low)} to ${percent(high)}`;
  return `${label}: ${percent(share)}${ends}${before === null ? "" : `; before ${percent(before)}`}`;
}

function bar(color) {
  const fill = make("span", `rx-fill rx-fill-${color}`), whisker = make("span", "rx-whisker"), before = make("span", "rx-before");
  const label = make("span", "rx-outcome-label"), text = make("span", "rx-outcome-text");
  const groove = make("span", "rx-outcome-groove", {}, fill, whisker, before);
  const node = make("div", "rx-outcome-bar", {}, label, groove, text);
  groove.setAttribute("role", "img");
  return {
    node,
    tell(props) {
      label.textContent = props.label;
      text.textContent = props.text;
      fill.style.width = of(props.share);
      whisker.hidden = props.low === null;
      if (props.low !== null) Object.assign(whisker.style, { left: of(props.low), width: of(props.high - props.low) });
      before.hidden = props.before === null;
      if (props.before !== null) before.style.left = of(props.before);
      node.title = sentence(props);
      groove.setAttribute("aria-label", node.title);
    },
  };
}

/** `props`: {sides: [{name, color, error, answers, note}], asked, reference, missing, picture, picture_key}.
 *
 * @type {import("../page.js").Component}
 */
export function outcome(page, props) {
  const meaning = make("span"), key = make("p", "rx-facts", {}, make("span", "rx-before-sample", { ariaHidden: "true" }), meaning);
  const grid = make("div", "rx-outcome"), missing = make("p", "rx-facts"), node = make("div", "", {}, grid, key, missing);
  let columns = [], shown = null, source = "";

  /** Give the picture an address; the one before is given back. */
  function address() {
    URL.revokeObjectURL(source);
    source = props.picture_key ? URL.createObjectURL(new Blob([props.picture], { type: "image/png" })) : "";
  }

  function column(side) {
    const bars = make("div", "rx-outcome-bars"), asked = make("p", "rx-facts"), answers = make("div", "rx-outcome-bars");
    const heading = make("p", `rx-subtitle rx-ink-${side.color}`), note = make("p", "rx-note rx-outcome-note");
    const parts = { bars: [], answers: [] }, image = make("img", "rx-outcome-image", { alt: "" });
    const fill = (holder, list, wanted) => {
      while (list.length < wanted.length) list.push(bar(side.color));
      holder.replaceChildren(...list.slice(0, wanted.length).map((each) => each.node));
      wanted.forEach((each, k) => list[k].tell(each));
    };
    return {
      node: make("section", "", {}, heading, bars, note, asked, make("div", "rx-outcome-answers", {}, image, answers)),
      tell(next, question) {
        if (source && image.src !== source) image.src = source;
        image.hidden = !source;
        heading.textContent = next.name;
        note.textContent = next.note;
        asked.textContent = question;
        fill(bars, parts.bars, next.error ? [next.error] : []);
        fill(answers, parts.answers, next.answers);
      },
    };
  }

  function show() {
    if (shown && shown.sides === props.sides && shown.asked === props.asked && shown.picture_key === props.picture_key) return;
    if (shown?.sides.length !== props.sides.length || !same(shown.sides.map((s) => s.color), props.sides.map((s) => s.color))) {
      columns = props.sides.map(column);
      grid.replaceChildren(...columns.map((each) => each.node));
    }
    if (props.picture_key !== shown?.picture_key) address();
    props.sides.forEach((side, k) => columns[k].tell(side, props.asked));
    missing.textContent = props.missing;
    meaning.textContent = props.sides.some(({ error }) => error && error.low !== null) ? `${props.reference}; the thin line across is a 95 % interval` : props.reference;
    key.hidden = props.sides.every((side) => (side.error ?? side.answers[0] ?? { before: null }).before === null);
    shown = props;
  }

  show();
  return {
    node,
    update(next) {
      props = next;
      show();
    },
    leave: () => URL.revokeObjectURL(source),
  };
}
