/* Blueprint: what a box holds. */

import { svg } from "../dom.js";
import { EDGE, short, size } from "./blueprint_row.js";

const STEP_H = 46, STEP_GAP = 18, TRACK = 16, CORNER = 8;

/** Where the layers of a box stand: `column` from left to right, each after what feeds it, and `lane`.
 *
 * Lane 0 is the longest way through. Whatever else leads from one place to another, a shortcut with layers
 * of its own or a bare skip, is a run that gets the lowest lane that is free there.
 */
export function lanes(steps) {
  const column = [], feeds = [];
  steps.forEach((step) => {
    feeds.push([...step.from].sort((a, b) => (column[b] ?? -1) - (column[a] ?? -1))); // the longest way first
    column.push(1 + Math.max(-1, ...step.from.map((s) => column[s] ?? -1)));
  });
  const lane = steps.map(() => null);
  for (let k = steps.length - 1; k >= 0; k = feeds[k][0] ?? -1) lane[k] = 0;
  const runs = [];
  for (let k = steps.length - 1; k >= 0; k--) { // from the end on, so that a run is known before its own feeds
    for (const first of lane[k] === null ? [] : feeds[k].slice(1)) {
      const members = [];
      let at = first;
      while (at >= 0 && lane[at] === null) {
        members.unshift(at);
        lane[at] = -1; // a lane comes later
        at = feeds[at][0] ?? -1;
      }
      runs.push({ from: at, members, to: k });
    }
  }
  // Shorter runs lie nearer to the longest way, so that lines don't cross.
  const reach = (run) => [run.from < 0 ? -1 : column[run.from], column[run.to]];
  const span = (run) => reach(run)[1] - reach(run)[0];
  const taken = [];
  for (const run of [...runs].sort((a, b) => span(a) - span(b))) {
    const [begin, end] = reach(run);
    run.lane = 1;
    while (taken[run.lane]?.some(([b, e]) => begin < e && b < end)) run.lane++;
    (taken[run.lane] ??= []).push([begin, end]);
    for (const member of run.members) lane[member] = run.lane;
  }
  return { column, lane, runs, feeds };
}

/** What a box holds: the longest way below, each other way in a lane of its own above, down to where they meet. */
export function drawInside(box) {
  const steps = box.inside;
  const widths = steps.map((step) => Math.max(44, 7.4 * step.label.length + 16, 6.2 * step.detail.length + 16));
  const { column, lane, runs, feeds } = lanes(steps);
  const columns = Array.from({ length: Math.max(0, ...column) + 1 }, () => 0);
  column.forEach((c, k) => { columns[c] = Math.max(columns[c], widths[k]); });
  const starts = [];
  let right = STEP_GAP + EDGE;
  for (const width of columns) {
    starts.push(right);
    right += width + STEP_GAP;
  }
  const left = steps.map((_, k) => starts[column[k]] + (columns[column[k]] - widths[k]) / 2);
  // A lane that holds layers is as high as they are, one of bare lines is narrow.
  const most = Math.max(0, ...runs.map((run) => run.lane));
  const full = (n) => n === 0 || lane.includes(n);
  const centers = [];
  let top = 4;
  for (let n = most; n >= 0; n--) {
    const high = full(n) ? STEP_H + (n ? 30 : 0) : TRACK;
    centers[n] = top + (full(n) ? STEP_H : TRACK) / 2;
    top += high;
  }
  const y = (k) => centers[lane[k]];
  const out = (k) => (k < 0 ? [EDGE, centers[0]] : [left[k] + widths[k], y(k)]);
  const height = top + 22;
  const picture = svg("svg", {
    width: right, height, viewBox: `0 0 ${right} ${height}`, role: "img",
    "aria-label": `Inside ${box.name}: ${steps.map((s) => `${s.label} ${s.detail}`.trim()).join(", ")}`,
  });
  const line = (d, skips) => picture.append(svg("path", { d, class: skips ? "rx-way rx-skip" : "rx-way" }));
  steps.forEach((_, k) => { // along the longest way
    const source = feeds[k][0] ?? null;
    if (lane[k] === 0 && source !== null) line(`M ${out(source)[0]} ${y(k)} H ${left[k]}`, false);
  });
  const landings = new Map();
  for (const run of runs) {
    const [begin, base] = out(run.from), level = centers[run.lane];
    const turn = begin + (run.from < 0 ? 2 : STEP_GAP / 2), rise = level < base ? -CORNER : CORNER;
    const landed = landings.get(run.to) ?? 0;
    landings.set(run.to, landed + 1);
    const down = left[run.to] + widths[run.to] / 2 + 5 * landed, fall = level < y(run.to) ? CORNER : -CORNER;
    const last = run.members.at(-1), first = run.members[0];
    line(`M ${begin} ${base} H ${turn} V ${level - rise} q 0 ${rise} ${CORNER} ${rise}`
      + ` H ${first === undefined ? down - CORNER : left[first]}`, true);
    run.members.slice(1).forEach((k, i) => line(`M ${out(run.members[i])[0]} ${level} H ${left[k]}`, true));
    line(`M ${last === undefined ? down - CORNER : out(last)[0]} ${level} H ${down - CORNER}`
      + ` q ${CORNER} 0 ${CORNER} ${fall} V ${y(run.to) - Math.sign(fall) * STEP_H / 2}`, true);
  }
  for (const [k, step] of steps.entries()) picture.append(drawStep(step, left[k], y(k) - STEP_H / 2, widths[k]));
  return picture;
}

function drawStep(step, left, top, width) {
  const group = svg("g", {}, svg("title")), middle = left + width / 2;
  group.firstChild.textContent = `${step.name}: output ${size(step.shape)}` + (step.macs ? `, ${short(step.macs)} multiply-adds` : "");
  group.append(svg("rect", { x: left, y: top, width, height: STEP_H, rx: 6, class: step.macs ? "rx-step-box rx-weighted" : "rx-step-box" }));
  const lines = [[step.label, "rx-name"], [step.detail, "rx-detail"]];
  lines.filter(([text]) => text).forEach(([text, className], i, all) => {
    const line = svg("text", { x: middle, y: top + STEP_H / 2 + 4 + (i - (all.length - 1) / 2) * 15, class: className });
    line.textContent = text;
    group.append(line);
  });
  if (step.macs) {
    const shape = svg("text", { x: middle, y: top + STEP_H + 15, class: "rx-detail" });
    shape.textContent = size(step.shape);
    group.append(shape);
  }
  return group;
}
