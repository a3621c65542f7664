/* What the live page shows, in its address: networks, edit and sample. Drawings and photos stay on the page. */

import { fromAddress, toAddress } from "../../../widgets/browser/address.js";
import { same } from "../../../widgets/browser/dom.js";

const MOST = 1.5; // of the dial

const samplesOf = (kind) => kind.samples.map((sample) => sample.value);

/** What differs from how the page opens. @param {any} values @param {any} first @param {any} facts */
export function addressOf(values, first, facts) {
  const kept = Object.keys(first).filter((name) => !same(values[name], first[name]));
  const shared = kept.filter((name) => name !== "input" || samplesOf(facts.kinds[values.kind]).includes(values.input));
  return toAddress(Object.fromEntries(shared.map((name) => [name, values[name]])));
}

/** The state that an address asks for, undefined where it makes no sense. @param {string} hash @param {any} first @param {any} facts */
export function stateOf(hash, first, facts) {
  const asked = fromAddress(hash), state = { ...first, ...asked }, kind = facts.kinds[state.kind];
  if (!kind || Object.keys(asked).some((name) => !(name in first))) return undefined;
  if (asked.input === undefined && state.kind !== first.kind) [state.input] = samplesOf(kind);
  const count = kind.depths.includes(state.depth) ? facts.twins[`${state.kind}-${state.depth}`][0].blocks.length : 0;
  const isBlock = (number) => Number.isInteger(number) && number >= 1 && number <= count;
  const areBlocks = (list) => Array.isArray(list) && list.every(isBlock) && new Set(list).size === list.length;
  const dialled = typeof state.skip === "number" && state.skip >= 0 && state.skip <= MOST;
  const whole = areBlocks(state.deleted) && areBlocks(state.cut) && isBlock(state.block) && dialled && samplesOf(kind).includes(state.input);
  return whole ? state : undefined;
}
