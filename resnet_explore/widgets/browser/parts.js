/* Which module draws which kind of control or panel. */

import { button, check, menu, number, slider, tabs } from "./controls/choosing.js";
import { blueprint } from "./panels/blueprint.js";
import { charts } from "./panels/chart.js";
import { prose } from "./panels/prose.js";
import { table } from "./panels/table.js";
import { tiles } from "./panels/tiles.js";

/** @type {{[kind: string]: import("./page.js").Component}} */
export const KINDS = { blueprint, button, charts, check, menu, number, prose, slider, table, tabs, tiles };
