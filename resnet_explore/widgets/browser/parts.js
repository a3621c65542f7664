/* Which module draws which kind of control or panel. */

import { button, check, menu, number, slider, tabs } from "./controls/choosing.js";
import { more } from "./controls/more.js";
import { options } from "./controls/options.js";
import { blueprint } from "./panels/blueprint.js";
import { charts } from "./panels/chart.js";
import { matrices } from "./panels/matrices.js";
import { prose } from "./panels/prose.js";
import { table } from "./panels/table.js";

/** @type {{[kind: string]: import("./page.js").Component}} */
export const KINDS = { blueprint, button, charts, check, matrices, menu, more, number, options, prose, slider, table, tabs };
