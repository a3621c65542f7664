/* What is said of the blocks of edited networks, and how they are edited. */

import { SKIP_WORDS } from "./blueprint_row.js";

const HINT = "Click a block to take it out of both networks, again to put it back.";
const ARC = " Click an arc to cut that skip.";
const DRAG = " Drag a block to swap it with one of its size.";
export const POINT = "Point at a block to read what it does.";
const KEYS = "Shift-click takes out all blocks in between. Keys: arrows walk, Enter takes out", CUT = ", X cuts the skip", MOVE = ", Shift and an arrow move";
const PALE = "Pale blocks change the size of the maps and can't go without a skip.";
const LINES = { padding: "Dash-dotted arcs carry a smaller x, with empty channels added.", projection: "Dashed arcs carry a projection of x." };

/** @param {{still: boolean, uncut: boolean}} props whether no block can be moved, and no skip cut */
export const hint = ({ still, uncut }) => HINT + (uncut ? "" : ARC) + (still ? "" : DRAG);

/** How all that is drawn is read, and by what keys it is edited. */
export function legend(blocks, { still, uncut }) {
  const lines = Object.keys(LINES).filter((kind) => blocks.some((block) => block.skip === kind));
  return [`${KEYS}${uncut ? "" : CUT}${still ? "" : MOVE}.`, ...(blocks.some((block) => block.stays) ? [PALE] : []), ...lines.map((kind) => LINES[kind])].join(" ");
}

/** What a block is, and what was done to it. */
export function sentence({ number, name, shape, skip, stays, error }, { deleted, cut = [] }) {
  const done = [deleted.includes(number) && !stays ? "taken out" : "", cut.includes(number) && skip ? "skip cut" : ""].filter(Boolean).join(", ");
  const carries = cut.includes(number) ? "" : SKIP_WORDS[skip] ?? "";
  const left = stays && deleted.includes(number) ? " stays" : ""; // as stands on it
  const more = [stays, carries].filter(Boolean).map((words) => `; ${words}`).join("");
  const without = error === null ? "" : ` Without it alone, the error is ${error.toFixed(1)} %.`;
  return `Block ${number}${left} (${name})${done ? `: ${done}` : ""}; gives ${shape.join("×")}${shape.length === 3 ? " (channels × height × width)" : ""}${more}.${without}`;
}
