/* Which module draws which kind of control or panel. */

import { button, check, menu, number, slider, tabs } from "./controls/choosing.js";
import { choices } from "./controls/choices.js";
import { more } from "./controls/more.js";
import { thumbs } from "./controls/thumbs.js";
import { upload } from "./controls/upload.js";
import { blueprint } from "./panels/blueprint.js";
import { charts } from "./panels/chart.js";
import { heatmaps } from "./panels/heatmaps.js";
import { prose } from "./panels/prose.js";
import { table } from "./panels/table.js";
import { tiles } from "./panels/tiles.js";
import { verdict } from "./panels/verdict.js";

/** @type {{[kind: string]: import("./page.js").Component}} */
export const KINDS = {
  blueprint, button, charts, check, choices, heatmaps, menu, more, number, prose, slider, table, tabs, thumbs, tiles, upload, verdict,
};
