/* Which module draws which kind of control or panel. */

import { button, check, menu, number, slider, tabs, text } from "./controls/choosing.js";
import { choices } from "./controls/choices.js";
import { group } from "./controls/group.js";
import { more } from "./controls/more.js";
import { thumbs } from "./controls/thumbs.js";
import { upload } from "./controls/upload.js";
import { sketch } from "./lesson/sketch.js";
import { sum } from "./lesson/sum.js";
import { ways } from "./lesson/ways.js";
import { blueprint } from "./panels/blueprint.js";
import { charts } from "./panels/chart.js";
import { cuts } from "./panels/cuts.js";
import { heatmaps } from "./panels/heatmaps.js";
import { matrices } from "./panels/matrices.js";
import { outcome } from "./panels/outcome.js";
import { progress } from "./panels/progress.js";
import { code, prose } from "./panels/prose.js";
import { surfaces } from "./panels/surface/surfaces.js";
import { table } from "./panels/table.js";
import { tiles } from "./panels/tiles.js";
import { verdict } from "./panels/verdict.js";

/** @type {{[kind: string]: import("./page.js").Component}} */
export const KINDS = {
  blueprint, button, charts, check, choices, code, cuts, group, heatmaps, matrices, menu, more, number, outcome, progress, prose, sketch, slider,
  sum, surfaces, table, tabs, text, thumbs, tiles, upload, verdict, ways,
};
