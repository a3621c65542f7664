/* One block of an edited network: its box on the way, its skip as an arc, what is taken out or cut; and its stage. */

import { clamp, svg } from "../dom.js";

const GAP = 8, WIDEST = 104, NARROWEST = 22, LOWEST = 14, PER_OCTAVE = 7, ABOVE = 34, BARE = 8, NUMBER = 13, STAGE = 22, BELOW = 38, EDGE = 6, RISE = 30, BAR = 56, BAR_WIDE = 40, LETTER = 6.2;

/** Where everything stands in a row; twins' blocks lie below each other. */
export function measured(rows, room, row) {
  const above = row.blocks.some((each) => each.skip) ? ABOVE : BARE;
  const most = Math.max(...rows.map((each) => each.blocks.length));
  const width = clamp((room - 2 * EDGE) / most - GAP, NARROWEST, WIDEST);
  const tallest = Math.max(...rows.flatMap((each) => each.blocks.map(heightOf)));
  const below = row.blocks.some((each) => each.error !== null) ? BELOW + BAR + 22 : BELOW;
  return { width, tallest, pitch: width + GAP, above, below, edge: EDGE };
}

const heightOf = ({ shape }) => LOWEST + PER_OCTAVE * Math.log2((shape.length > 2 ? shape.at(-1) : 1) + 1);

/** `look`: {out: taken out, cut: its skip is, asked: to be taken out, away: it stood elsewhere}. */
export function block(each, color, place, { width, tallest, pitch, above }, look) {
  const x = EDGE + place * pitch, high = heightOf(each), middle = above + tallest / 2, top = middle - high / 2;
  const node = svg("g", { class: `rx-cut-block${look.out ? " rx-out" : ""}${look.cut ? " rx-severed" : ""}${each.stays ? " rx-stays" : ""}`, role: "button" });
  node.dataset.lmSuppressShortcuts = "true";
  const way = (from, to) => svg("path", { d: `M ${from} ${middle} H ${to}`, class: "rx-cut-way" });
  node.append(svg("rect", { x, y: above - 6, width, height: tallest + NUMBER + 11, fill: "transparent" }));
  if (!look.out || !each.skip) node.append(way(x - GAP, look.out ? x + width + GAP : x));
  else node.append(way(x - GAP, x - GAP / 2));
  node.append(svg("rect", { x, y: top, width, height: high, rx: 3, class: `rx-cut-box rx-${color}` }));
  if (each.skip) node.append(...skip(each, x, width, top, look.cut));
  node.append(words(x + width / 2, above + tallest + NUMBER, String(each.number), look.away ? "rx-cut-number rx-away-number" : "rx-cut-number"));
  if (look.asked && each.stays) node.append(words(x + width / 2, middle + 4, "stays", "rx-cut-stays"));
  return node;
}

/** A bracket below the blocks of each stage, with its name and, where there is room, how many channels it has. */
export function stages(blocks, { width, tallest, pitch, above }) {
  const ends = blocks.map((_, k) => k).filter((k) => blocks[k].stage !== blocks[k + 1]?.stage), y = above + tallest + STAGE;
  return ends.flatMap((end, k) => {
    const from = EDGE + (k ? ends[k - 1] + 1 : 0) * pitch, to = EDGE + end * pitch + width, { stage, shape } = blocks[end];
    const full = shape.length === 3 ? `${stage} · ${shape[0]} channels` : stage, fits = (text) => text.length * LETTER < to - from + GAP;
    const name = [full, stage].find(fits) ?? "";
    return [svg("path", { d: `M ${from} ${y - 4} V ${y} H ${to} V ${y - 4}`, class: "rx-cut-stage" }), words((from + to) / 2, y + 12, name, "rx-cut-stage-name")];
  });
}

/** The error without a block as a bar below it; nothing where it is not known. The block's own name says it, too. */
export function bar({ error }, color, place, { width, tallest, pitch, above }) {
  if (error === null) return [];
  const x = EDGE + place * pitch, foot = above + tallest + BELOW + BAR + 16;
  const wide = Math.min(BAR_WIDE, width - 4), high = (BAR * error) / 100, left = x + (width - wide) / 2;
  const text = error < 9.95 && width > NARROWEST + 8 ? error.toFixed(1) : error.toFixed(0);
  return [
    svg("g", { "aria-hidden": "true" },
      svg("rect", { x: left, y: foot - high, width: wide, height: high, class: `rx-${color}` }),
      words(x + width / 2, foot - high - 4, width > 44 ? `${text} %` : text, "rx-cut-error")),
  ];
}

function skip(each, x, width, top, cut) {
  const [from, to] = [x - GAP / 2, x + width + GAP / 2], crest = top - RISE;
  const d = `M ${from} ${top + 6} C ${from} ${crest}, ${to} ${crest}, ${to} ${top + 6}`, middle = (from + to) / 2, y = top - RISE * 0.72;
  const parts = [svg("path", { d, class: `rx-arc rx-${each.skip} rx-cut-arc` })];
  if (cut) parts.push(svg("path", { d: `M ${middle - 4} ${y - 4} l 8 8 m 0 -8 l -8 8`, class: "rx-cut-cross" }));
  parts.push(svg("path", { d, class: "rx-cut-hit" }));
  return parts;
}

function words(x, y, text, className) {
  const node = svg("text", { x, y, class: className });
  node.textContent = text;
  return node;
}
