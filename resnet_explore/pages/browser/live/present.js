/* From the state and what both networks gave to the page: a view as Python's explorers make them. */

import { GLOSSARY, HEAT_SIGNS, conditions, headline, stays, staysNote, untouched, why } from "./captions.js";
import { activationMap, largest, ranked, sheet, softmax } from "./numbers.js";

/**
 * @typedef {{logits: Float32Array, blocks: import("./numbers.js").Values[]}} Given what one network gave
 * @typedef {{key: string, about: string, truth: string, pixels: import("./pixels.js").Pixels, png: ArrayBuffer, strokes: number[][][] | null}} Input
 * @typedef {{input: Input, now: Given[], before: Given[], waiting: string, uploads: any[]}} Found
 */

const ANSWERS = 5, DIAL = Array.from({ length: 31 }, (_, k) => Math.round(5 * k) / 100);

const TABS = { kind: "tabs", key: "kind", label: "What is shown", choices: [
  { value: "digits", label: "Digits", tip: "Draw one, or choose one that no network was trained on", missing: "", group: "" },
  { value: "cifar10", label: "Photos", tip: "Ten kinds of things in photos of 32×32 pixels", missing: "", group: "" },
] };
const ORDERS = [{ value: "mean", label: "strongest first" }, { value: "channel", label: "by number" }];

const choice = (value, label = String(value)) => ({ value, label, tip: "", missing: "", group: "" });
const slider = (key, label, choices, more = {}) => ({ kind: "slider", key, label, choices, play: false, tip: "", carries: {}, ...more });
const now = (field) => ({ $now: field });

/** The page. `found.now` is null as long as the networks are not there.
 *
 * @param {any} state @param {any} facts with arrays in place @param {Found} found
 */
export function present(state, facts, found) {
  const form = facts.kinds[state.kind], twins = facts.twins[`${state.kind}-${state.depth}`];
  const sliders = [
    slider("skip", "All skips ×", DIAL.map((value) => choice(value))),
    ...(form.depths.length > 1 ? [slider("depth", "Layers", form.depths.map((depth) => choice(depth)))] : []),
  ];
  const samples = { kind: "thumbs", key: "input", label: "Images", choices: [...form.samples, ...found.uploads].map(({ value, label, picture }) => ({ value, label, picture })) };
  const reset = { kind: "button", key: "reset", label: "Reset", tip: "Both networks as they were trained", missing: untouched(state) ? "nothing is changed" : "" };
  const given = { kind: state.kind === "digits" ? "pad" : "photo", key: "given", input: found.input };
  const page = {
    tabs: TABS, ask: [samples, reset], headline: "", why: "", sliders, below: [], conditions: [], waiting: "", glossary: GLOSSARY,
    panels: [[given], [cutsOf(twins)]],
  };
  if (!found.now) return { ...page, headline: found.waiting };
  const answers = twins.map((twin, k) => answerOf(state, twin, form, found.now[k], found.before[k]));
  return {
    ...page,
    headline: headline(state, answers, found.input.truth),
    why: why(state),
    panels: [[given, outcome(state, found, answers), mapsOf(state, facts, twins, found, answers)], [cutsOf(twins)]],
    below: [[slider("block", "Feature maps of block", twins[0].blocks.map(({ number }) => choice(number)), { play: true })], [tilesOf(state, facts, twins, found)]],
    conditions: conditions(twins, facts, state.kind, form.side),
  };
}

/** What one network answers. */
function answerOf(state, twin, form, given, before) {
  const shares = softmax(given.logits), were = softmax(before.logits), order = ranked(shares);
  const kept = state.deleted.filter((number) => !twin.blocks[number - 1].goes);
  return {
    color: twin.color, name: twin.name, kept, class: order[0], first: form.classes[order[0]], share: shares[order[0]], was: form.classes[ranked(were)[0]],
    bars: order.slice(0, ANSWERS).map((k) => ({
      label: form.classes[k], share: shares[k], text: `${Math.round(100 * shares[k])} %`, low: null, high: null, before: untouched(state) ? null : were[k],
    })),
  };
}

function outcome(state, found, answers) {
  const sides = answers.map((answer) => ({ name: answer.name, color: answer.color, error: null, answers: answer.bars, note: staysNote(answer.kept) }));
  return { kind: "outcome", key: "outcome", sides, asked: `Answers to ${found.input.about}`, picture: null, picture_key: "", missing: "" };
}

/** The class activation maps of both answers. */
function mapsOf(state, facts, twins, found, answers) {
  const maps = twins.map((twin, k) => ({
    values: activationMap(found.now[k].blocks.at(-1), twin.weight[answers[k].class]),
    name: twin.name, heading: `for ${answers[k].first}`, color: twin.color, seen_by: null, mark: null,
  }));
  const scale = Math.max(...maps.map(({ values }) => largest(values.data)));
  return {
    kind: "heatmaps", key: "maps", picture: found.input.png, picture_key: found.input.key, steps: { maps, tick: "", scale, beyond: false }, together: scale, unit: "", columns: 2,
    meaning: HEAT_SIGNS, asks: "", alt: "Where each network's answer comes from", adds: [], crisp: state.kind === "digits",
    opacity: 0.6, palette: facts.palettes[0].name, shared: false, palettes: facts.palettes,
  };
}

/** Both networks' blocks, to be taken out. */
function cutsOf(twins) {
  const rows = twins.map((twin) => ({
    title: twin.name, color: twin.color,
    blocks: twin.blocks.map((block) => ({ ...block, partners: [block.number], stays: block.goes ? "" : stays(block.takes, block.shape), error: null })),
  }));
  return { kind: "cuts", key: "cuts", rows, deleted: [], cut: [], order: [], looked: "block", still: true };
}

function tilesOf(state, facts, twins, found) {
  const sheets = twins.map((twin, k) => sheet(found.now[k].blocks[state.block - 1], { heading: twin.name, kind: twin.color }));
  const scale = Math.max(...sheets.map((each) => largest(each.channels.data.subarray(0, each.shape[0]))));
  const shown = { name: `block ${state.block}`, sheets, scale, note: `What block ${state.block} gives, channel by channel.`, scaled: "All tiles share one scale.", together: "", marked: true };
  return {
    kind: "tiles", key: "tiles", shown, orders: ORDERS, picture: found.input.enlarged, order: now("order"), tile_page: now("tile_page"), own_scale: now("own_scale"),
    channel: now("channel"), opacity: now("opacity"), lookup: facts.lookup,
  };
}
