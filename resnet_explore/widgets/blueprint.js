/* Blueprint: networks as rows of boxes, skips as arcs. Needs only model.get / set / on / save_changes, so it also
 * runs in a page without a kernel.
 */

const SVG = "http://www.w3.org/2000/svg";
const GAP = 3, WIDEST = 54, NARROWEST = 9, STACKED = 42, ARC = 15, LOWEST = 12, PER_OCTAVE = 8, LABELS = 18, EDGE = 2;
const STEP_H = 46, STEP_GAP = 18, TRACK = 16, CORNER = 8;
const ROOMY = 12, BACK_AND_FORTH = 8; // how often maps grow again before a row each is worth it
const SKIP_WORDS = {
  identity: "the input itself is added",
  projection: "a projection of the input is added",
  padding: "the input, padded with zero channels, is added",
  gated: "the input is added, weighed by a gate",
  concatenation: "the input is put beside the output",
};

function html(tag, className, text = "") {
  const node = document.createElement(tag);
  node.className = className;
  node.textContent = text;
  return node;
}

function svg(tag, attributes = {}, ...children) {
  const node = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  node.append(...children);
  return node;
}

/** 25,557,032 -> "25.6 M" */
function short(value) {
  for (const [size, unit] of [[1e9, "G"], [1e6, "M"], [1e3, "k"]]) {
    if (value >= size) return `${(value / size).toPrecision(3)} ${unit}`;
  }
  return String(value);
}

const times = (box) => (box.count > 1 ? `${box.count} × ` : "");
const size = (shape) => shape.join("×") || "1";
const side = (box) => (box.shape.length > 2 ? box.shape[box.shape.length - 1] : 1);

function sentence(box) {
  const parts = [`${times(box)}${box.kind} ${box.name}: output ${size(box.shape)}`];
  if (box.parameters) parts.push(`${short(box.parameters)} parameters`);
  if (box.macs) parts.push(`${short(box.macs)} multiply-adds`);
  if (box.skip) parts.push(SKIP_WORDS[box.skip]);
  return parts.join(", ");
}

const MARKS = [
  ["identity", "the input itself is added"], ["projection", "a projection of it is added"],
  ["padding", "it is added, padded with zero channels"], ["gated", "it is added, weighed by a gate"],
  ["concatenation", "it is put beside the output"], ["far", "a skip past several boxes"],
  ["link", "what feeds what"],
];

/** What the lines of these drawings mean, those that occur. */
function legend(pictures) {
  const line = html("p", "rx-key rx-marks");
  for (const [name, words] of MARKS) {
    if (!pictures.some((picture) => picture.querySelector(`.rx-${name}`))) continue;
    const sample = svg("svg", { width: 34, height: 20, "aria-hidden": "true" }, arc(2, 32, 18, `rx-arc rx-${name}`));
    const item = html("span", "rx-mark");
    item.append(sample, words);
    line.append(item);
  }
  return line;
}

/** A drawing that scrolls where it has no room, and a line that says so. */
function across(picture, ends) {
  const whole = html("div", ""), more = html("p", "rx-more"), scroll = html("div", "rx-across");
  const hint = () => {
    const hidden = ends.filter((end) => end > scroll.scrollLeft + scroll.clientWidth + 2).length;
    more.hidden = scroll.scrollWidth <= scroll.clientWidth + 1;
    more.textContent = hidden ? `${hidden} more box${hidden > 1 ? "es" : ""}: scroll →` : "← scroll back";
  };
  more.setAttribute("aria-hidden", "true"); // for the eye alone: keys lead to all boxes
  scroll.append(picture);
  scroll.addEventListener("scroll", hint);
  whole.append(more, scroll);
  return { whole, hint };
}

/** Where boxes stand: `x`, `middle` and `widths` of each, the picture's `extent`, `above` and `high`, `labels`.
 *
 * One after the other in one row; or, where maps grow and shrink all the time as in a network that keeps several
 * resolutions side by side, a row for each size of maps, and what doesn't wait for each other in one column.
 */
function place(boxes, width) {
  const widths = boxes.map((box) => (box.count > 1 ? Math.max(STACKED, width) : width));
  const heights = boxes.map((box) => LOWEST + PER_OCTAVE * Math.log2(side(box) + 1));
  const { column, row } = grid(boxes);
  const far = Math.max(1, ...boxes.map((box, i) => i - Math.min(i, ...box.from.filter((s) => s >= 0))));
  const rows = Math.max(...row) + 1;
  const above = rows > 1 ? ARC + 20 : ARC + 6 + (far > 1 ? Math.min(70, 6 * far) : 0);
  const gap = rows > 1 ? ROOMY : GAP;
  const broad = [];
  boxes.forEach((_, i) => { broad[column[i]] = Math.max(broad[column[i]] ?? 0, widths[i]); });
  const starts = [];
  let extent = EDGE;
  for (const each of broad) {
    starts.push(extent);
    extent += each + gap;
  }
  const x = column.map((c) => starts[c]), centers = [], labels = [];
  let high = 0;
  for (let r = 0; r < rows; r++) {
    const members = boxes.map((_, i) => i).filter((i) => row[i] === r);
    const tallest = Math.max(...members.map((i) => heights[i]));
    centers.push(high + above + tallest / 2);
    high += above + tallest + LABELS;
    const named = rows > 1 ? members.slice(0, 1) : members; // a row of its own is named where it begins
    labels.push(...sizes(named, boxes, x, widths, high - LABELS + 13));
  }
  extent = Math.max(extent, ...labels.map((label) => label.end)) + EDGE;
  return { x, widths, heights, row, column, above, high, extent, labels, middle: row.map((r) => centers[r]) };
}

/** The column and row of each box. */
function grid(boxes) {
  const grown = boxes.filter((box, i) => i && side(box) > side(boxes[i - 1])).length;
  if (grown < BACK_AND_FORTH || !boxes.every((box) => [1, 3].includes(box.shape.length))) {
    return { column: boxes.map((_, i) => i), row: boxes.map(() => 0) };
  }
  const levels = [...new Set(boxes.map(side))].sort((a, b) => b - a);
  const row = boxes.map((box) => levels.indexOf(side(box))), column = [], taken = new Set();
  boxes.forEach((box, i) => {
    let at = 1 + Math.max(-1, ...box.from.map((s) => column[s] ?? -1));
    while (taken.has(`${at},${row[i]}`)) at++;
    taken.add(`${at},${row[i]}`);
    column.push(at);
  });
  return { column, row };
}

/** One network's picture; it scrolls if its boxes need more than the room.
 *
 * Calls `say` with a box's sentence when it is looked at and `open` when it is chosen.
 */
function drawNetwork(network, width, say, open) {
  const boxes = network.boxes, placed = place(boxes, width);
  const { x, widths, heights, row, column, above, high, extent, labels, middle } = placed;
  const picture = svg("svg", {
    width: extent, height: high, viewBox: `0 0 ${extent} ${high}`, class: "rx-blueprint",
    role: "group", "aria-label": `${network.title}, ${boxes.length} boxes: ${network.facts}`,
  });
  const rows = Math.max(...row) + 1;
  const lines = rows > 1 ? boxes.flatMap((box, i) => box.from.map((s) => between(placed, s, i))) : [];
  const nodes = boxes.map((box, i) => {
    const top = middle[i] - heights[i] / 2;
    const weighted = box.layers > 0;
    const node = svg("g", { class: "rx-box", role: "button", tabindex: i ? -1 : 0, "aria-label": sentence(box) });
    node.dataset.lmSuppressShortcuts = "true";
    const width = widths[i];
    const reach = rows > 1 ? [top - ARC, heights[i] + ARC] : [0, middle[i] + Math.max(...heights) / 2];
    node.append(svg("rect", { x: x[i], y: reach[0], width: width + GAP, height: reach[1], fill: "transparent" }));
    node.append(svg("rect", {
      x: x[i], y: top, width, height: heights[i], rx: Math.min(3, width / 3),
      fill: weighted ? network.color : "#b7bdc7", "fill-opacity": box.kind.startsWith("Conv") ? 0.55 : 0.85,
    }));
    if (box.count > 1) {
      node.append(svg("text", { x: x[i] + width / 2, y: middle[i] + 4, class: "rx-times" }));
      node.lastChild.textContent = `×${box.count}`;
    }
    if (box.skip) node.append(arc(x[i] - GAP / 2, x[i] + width + GAP / 2, top + 7, `rx-arc rx-${box.skip}`));
    for (const source of rows > 1 ? [] : box.from.filter((s) => s >= 0 && i - s > 1)) {
      const from = x[source] + widths[source] / 2, to = x[i] + width / 2;
      const high = above - Math.min(70, 6 * (i - source)) - 4;
      node.append(svg("path", {
        d: `M ${from} ${middle[source] - heights[source] / 2} C ${from} ${high}, ${to} ${high}, ${to} ${top}`,
        class: "rx-arc rx-far",
      }));
    }
    const look = () => say(sentence(box));
    node.addEventListener("mouseenter", look);
    node.addEventListener("focus", look);
    node.addEventListener("click", () => open(i));
    node.addEventListener("keydown", (event) => {
      const step = { ArrowRight: 1, ArrowLeft: -1, Home: -boxes.length, End: boxes.length }[event.key];
      if (event.key === "Enter" || event.key === " ") open(i);
      else if (step) nodes[Math.min(Math.max(i + step, 0), boxes.length - 1)].focus();
      else return;
      event.preventDefault();
      event.stopPropagation();
    });
    return node;
  });
  picture.append(...lines.filter(Boolean), ...nodes, ...labels.map((label) => label.node));
  return { picture, nodes, ends: x.map((left, i) => left + widths[i]) };
}

const arc = (from, to, y, className) => svg("path", {
  d: `M ${from} ${y} C ${from} ${y - ARC - 7}, ${to} ${y - ARC - 7}, ${to} ${y}`, class: className,
});

/** A line from one box to another where boxes stand in rows: straight between neighbours, else past those between. */
function between({ x, widths, heights, row, column, middle }, source, i) {
  if (source < 0) return null;
  const from = x[source] + widths[source], to = x[i], above = middle[i] - heights[i] / 2 - 12;
  const past = row[source] === row[i] && column[i] - column[source] > 1
    && column.some((c, k) => row[k] === row[i] && c > column[source] && c < column[i]);
  const d = past
    ? `M ${from - 2} ${middle[source] - heights[source] / 2} C ${from} ${above}, ${to} ${above}, ${to + 2} ${above + 12}`
    : `M ${from} ${middle[source]} C ${from + ROOMY} ${middle[source]}, ${to - ROOMY} ${middle[i]}, ${to} ${middle[i]}`;
  return svg("path", { d, class: "rx-arc rx-link" });
}

/** Labels below a row: the size of the maps, once for each stretch of boxes that share it and has room. */
function sizes(members, boxes, x, widths, y) {
  const labels = [];
  for (let start = 0, end; start < members.length; start = end) {
    const first = boxes[members[start]];
    end = start + 1;
    while (end < members.length && side(boxes[members[end]]) === side(first)) end++;
    if (side(first) === 1) continue;
    const text = first.shape.slice(-2).join("×"), half = text.length * 3.1;
    const center = Math.max((x[members[start]] + x[members[end - 1]] + widths[members[end - 1]]) / 2, half + EDGE);
    const before = labels.length ? labels[labels.length - 1].end + 6 : 0;
    if (center - half < before) continue;
    const node = svg("text", { x: center, y, class: "rx-size" });
    node.textContent = text;
    labels.push({ node, end: center + half });
  }
  return labels;
}

/** How wide boxes are where the longest network fills the room; all share it, so that lengths compare. */
function shareOut(networks, room) {
  const fitting = networks.map(({ boxes }) => {
    const { column, row } = grid(boxes), gap = Math.max(...row) ? ROOMY : GAP;
    const stacked = new Set(column.filter((_, i) => boxes[i].count > 1)).size, columns = new Set(column).size;
    return (room - 2 * EDGE - stacked * STACKED) / Math.max(1, columns - stacked) - gap;
  });
  return Math.min(WIDEST, Math.max(NARROWEST, Math.min(...fitting)));
}

/** Where the layers of a box stand: `column` from left to right, each after what feeds it, and `lane`.
 *
 * Lane 0 is the longest way through. Whatever else leads from one place to another, a shortcut with layers
 * of its own or a bare skip, is a run that gets the lowest lane that is free there.
 */
function arrange(steps) {
  const column = [], feeds = [];
  steps.forEach((step, k) => {
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
function drawInside(box) {
  const steps = box.inside;
  const widths = steps.map((step) => Math.max(44, 7.4 * step.label.length + 16, 6.2 * step.detail.length + 16));
  const { column, lane, runs, feeds } = arrange(steps);
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
  const lanes = Math.max(0, ...runs.map((run) => run.lane));
  const full = (n) => n === 0 || lane.includes(n);
  const centers = [];
  let top = 4;
  for (let n = lanes; n >= 0; n--) {
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
    const last = run.members[run.members.length - 1], first = run.members[0];
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
  group.append(svg("rect", { x: left, y: top, width, height: STEP_H, rx: 6, class: step.macs ? "rx-step rx-weighted" : "rx-step" }));
  const lines = [[step.label, "rx-label"], [step.detail, "rx-detail"]];
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

function render({ model, el }) {
  const card = html("div", "rx-card rx-drawing");
  const rows = html("div", "rx-rows"), words = html("p", "rx-caption rx-words"), inside = html("div", "rx-inside");
  inside.tabIndex = 0;
  inside.dataset.lmSuppressShortcuts = "true";
  const status = html("p", "rx-message");
  status.setAttribute("role", "status");
  card.append(status, rows, words, inside);
  el.append(card);
  const hint = "Each box is a block or a layer, as high as its maps are large. Click a box to see inside.";
  const rowsHint = " Where maps grow and shrink all the time, there is a row for each of their sizes.";
  words.setAttribute("aria-live", "polite");
  let drawn = [], room = 0;

  const open = (network, box) => { // once more closes it
    const now = model.get("selected");
    model.set("selected", now[0] === network && now[1] === box ? [] : [network, box]);
    model.save_changes();
  };

  function showNetworks() {
    const networks = model.get("networks");
    rows.replaceChildren(html("p", "rx-title", model.get("title")));
    const width = shareOut(networks, room || 908);
    drawn = networks.map((network, i) => {
      const head = html("p", "rx-subtitle", network.title);
      head.style.color = network.color;
      const { picture, nodes, ends } = drawNetwork(network, width, (text) => { words.textContent = text; }, (box) => open(i, box));
      const { whole, hint } = across(picture, ends);
      rows.append(head, html("p", "rx-caption", network.facts), whole);
      hint();
      return nodes;
    });
    rows.append(legend([...rows.querySelectorAll(".rx-blueprint")]));
    const several = rows.querySelector(".rx-link") ? rowsHint : "";
    words.textContent = networks.length ? hint + several : "";
    showInside();
  }

  function showInside() {
    const [network, index] = model.get("selected");
    const box = model.get("networks")[network]?.boxes[index];
    drawn.forEach((nodes, i) => nodes.forEach((node, k) => node.classList.toggle("rx-open", i === network && k === index)));
    inside.replaceChildren();
    inside.hidden = !box;
    if (!box) return;
    inside.append(html("p", "rx-subtitle", `Inside ${box.name}, ${box.kind}${box.count > 1 ? ` (${box.count} alike)` : ""}`));
    if (box.note) inside.append(html("p", "rx-caption", box.note));
    if (box.inside.length) inside.append(drawInside(box));
  }

  /** What is about to be replaced is dimmed while the kernel works. */
  function showMessage() {
    status.textContent = model.get("message");
    status.hidden = !status.textContent;
    card.classList.toggle("rx-reading", Boolean(status.textContent));
  }

  const resized = new ResizeObserver(([entry]) => {
    const wide = Math.floor(entry.contentRect.width);
    if (!wide || wide === room) return;
    room = wide;
    showNetworks();
  });
  resized.observe(rows);
  model.on("change:networks", showNetworks);
  model.on("change:message", showMessage);
  model.on("change:selected", showInside);
  showNetworks();
  showMessage();
  return () => resized.disconnect();
}

export default { render };
