/* Which module draws which kind of control or panel. */

import { button, check, menu, number, slider, tabs, text } from "./controls/choosing.js";
import { group } from "./controls/group.js";
import { blueprint } from "./panels/blueprint.js";
import { charts } from "./panels/chart.js";
import { progress } from "./panels/progress.js";
import { code, prose } from "./panels/prose.js";
import { table } from "./panels/table.js";

/** @type {{[kind: string]: import("./page.js").Component}} */
export const KINDS = { blueprint, button, charts, check, code, group, menu, number, progress, prose, slider, table, tabs, text };
