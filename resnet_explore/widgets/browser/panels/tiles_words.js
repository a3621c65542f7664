/* Tiles: what is read out below them. */

import { isColored, largestOf, markOf, meanOf, sizeOf } from "./tiles_paint.js";
import { number } from "./tiles_sheet.js";

const MARKS = ["", ", dead", ", saturated"];

/** What can be done, as long as nothing is pointed at. */
export const howTo = (view) =>
  "Click a tile, or choose one with the arrow keys and press Enter, "
  + `${view.props.picture ? "to see it over the image" : "to see it large and read its weights"}.`;

/** What a channel is in every sheet that has it. */
export function tileWords(view, channel) {
  const parts = view.sheets.filter(({ sheet }) => channel < sizeOf(sheet).count).map(({ sheet }) => {
    if (isColored(sheet)) return sheet.heading;
    const mark = MARKS[markOf(sheet, channel)];
    return `${sheet.heading}: mean ${number(meanOf(sheet, channel))}, largest magnitude ${number(largestOf(sheet, channel))}${mark}`;
  });
  return `Channel ${channel}. ${parts.join(" · ")}`;
}

/** The values of the channel that is enlarged, at the place that is pointed at. */
export function placeWords(view) {
  const { channel, sheets } = view;
  if (!view.pointed) return `${tileWords(view, channel)} · Point at a place, or move with the arrow keys, to read it.`;
  const cells = sheets.map((sheet) => sheet.cell());
  const alike = cells.every(({ x, y }) => x === cells[0].x && y === cells[0].y);
  const at = ({ x, y }) => `row ${y}, column ${x}`;
  const values = sheets.map((each, k) => `${each.sheet.heading}${alike ? "" : `, ${at(cells[k])}`}: ${each.value()}`);
  const known = sheets.filter((each) => each.field());
  const fields = known.map((each) => each.field().field.map(Math.ceil).join("×"));
  const beyond = known.some((each) => each.beyond()) ? ", as far as the image reaches" : "";
  const sees = fields.length ? ` It depends on the ${[...new Set(fields)].join(" and ")} pixels in the green box${beyond}.` : "";
  return `Channel ${channel}${alike ? `, ${at(cells[0])}` : ""} · ${values.join(" · ")}.${sees}`;
}
