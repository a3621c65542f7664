/* What can be done to the blocks of two networks: taken out, cut off from their skip, moved. */

import { clamp, same } from "../dom.js";

/** A list with a number in it, or out of it if it was there. @param {number[]} list @param {number} number */
export const toggled = (list, number) => (list.includes(number) ? list.filter((k) => k !== number) : [...list, number].sort((a, b) => a - b));

/** An order with one block taken to another place, the blocks between moved up; only blocks that may stand there move.
 *
 * @param {number[]} order @param {number} from place @param {number} to place @param {number[]} partners
 */
export function moved(order, from, to, partners) {
  const places = order.map((_, place) => place).filter((place) => partners.includes(order[place]));
  const nearest = places.reduce((best, place) => (Math.abs(place - to) < Math.abs(best - to) ? place : best), from);
  const numbers = places.map((place) => order[place]);
  numbers.splice(places.indexOf(nearest), 0, ...numbers.splice(places.indexOf(from), 1));
  const next = [...order];
  places.forEach((place, k) => { next[place] = numbers[k]; });
  return next;
}

const usual = (row) => row.blocks.map((block) => block.number);

/** The numbers of a row's blocks in the order in which they run. @param {number[]} asked the state's order, [] for the usual one */
export const orderOf = (row, asked) => (asked.length === row.blocks.length ? asked : usual(row));

/** What the person does. `changed` hears of which block's, `refused` why it can't be done.
 *
 * @param {import("../page.js").Page} page @param {(number: number) => void} changed @param {(sentence: string) => void} refused
 */
export function edits(page, changed, refused) {
  let last = 0; // the block that was taken out, or put back, before

  function change(fields, number) {
    page.set(fields);
    changed(number);
  }

  return {
    takeOut(number, several) {
      const { deleted } = page.state, [low, high] = [Math.min(last, number), Math.max(last, number)];
      const between = Array.from({ length: high - low + 1 }, (_, k) => low + k);
      const more = several && last && last !== number;
      change({ deleted: more ? [...new Set([...deleted, ...between])].sort((a, b) => a - b) : toggled(deleted, number) }, number);
      last = number;
    },
    cutSkip({ number, skip }) {
      if (skip) change({ cut: toggled(page.state.cut, number) }, number);
      else refused(`Block ${number} has no skip.`);
    },
    /** @param {number} by places */
    move(row, { number, partners }, by) {
      const now = orderOf(row, page.state.order), from = now.indexOf(number);
      const next = moved(now, from, clamp(from + by, 0, now.length - 1), partners);
      if (!same(next, now)) change({ order: same(next, usual(row)) ? [] : next }, number);
      else if (partners.length < 2) refused(`Block ${number} can't move: no other block of its stage takes and gives the same shapes.`);
    },
  };
}
