/* Blueprint: networks as rows of boxes, skips as arcs. Needs only model.get / set / on / save_changes, so it also
 * runs in a page without a kernel.
 */

const SVG = "http://www.w3.org/2000/svg";
const GAP = 3, WIDEST = 54, NARROWEST = 9, STACKED = 42, ARC = 15, LOWEST = 12, PER_OCTAVE = 8, LABELS = 18, EDGE = 2;
const STEP_H = 46, STEP_GAP = 18, TRACK = 16, CORNER = 8;
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

/** One network's row, `room` pixels wide unless its boxes need more; then it scrolls.
 *
 * Calls `say` with a box's sentence when it is looked at and `open` when it is chosen.
 */
function drawNetwork(network, width, say, open) {
  const boxes = network.boxes;
  const heights = boxes.map((box) => LOWEST + PER_OCTAVE * Math.log2(side(box) + 1));
  const tallest = Math.max(...heights);
  const far = Math.max(1, ...boxes.map((box, i) => i - Math.min(i, ...box.from.filter((s) => s >= 0))));
  const above = ARC + 6 + (far > 1 ? Math.min(70, 6 * far) : 0);
  const widths = boxes.map((box) => (box.count > 1 ? Math.max(STACKED, width) : width));
  const x = [];
  let extent = EDGE;
  for (const each of widths) {
    x.push(extent);
    extent += each + GAP;
  }
  const labels = sizes(boxes, x, widths, above + tallest + 13);
  extent = Math.max(extent, ...labels.map((label) => label.end)) + EDGE;
  const middle = above + tallest / 2;
  const high = above + tallest + LABELS;
  const picture = svg("svg", {
    width: extent, height: high, viewBox: `0 0 ${extent} ${high}`, class: "rx-blueprint",
    role: "group", "aria-label": `${network.title}, ${boxes.length} boxes: ${network.facts}`,
  });
  const nodes = boxes.map((box, i) => {
    const top = middle - heights[i] / 2;
    const weighted = box.layers > 0;
    const node = svg("g", { class: "rx-box", role: "button", tabindex: i ? -1 : 0, "aria-label": sentence(box) });
    node.dataset.lmSuppressShortcuts = "true";
    const width = widths[i];
    node.append(svg("rect", { x: x[i], y: 0, width: width + GAP, height: above + tallest, fill: "transparent" }));
    node.append(svg("rect", {
      x: x[i], y: top, width, height: heights[i], rx: Math.min(3, width / 3),
      fill: weighted ? network.color : "#b7bdc7", "fill-opacity": box.kind.startsWith("Conv") ? 0.55 : 0.85,
    }));
    if (box.count > 1) {
      node.append(svg("text", { x: x[i] + width / 2, y: middle + 4, class: "rx-times" }));
      node.lastChild.textContent = `×${box.count}`;
    }
    if (box.skip) {
      const from = x[i] - GAP / 2, to = x[i] + width + GAP / 2;
      node.append(svg("path", {
        d: `M ${from} ${top + 7} C ${from} ${top - ARC}, ${to} ${top - ARC}, ${to} ${top + 7}`,
        class: `rx-arc rx-${box.skip}`,
      }));
    }
    for (const source of box.from.filter((s) => s >= 0 && i - s > 1)) {
      const from = x[source] + widths[source] / 2, to = x[i] + width / 2;
      const high = above - Math.min(70, 6 * (i - source)) - 4;
      node.append(svg("path", {
        d: `M ${from} ${middle - heights[source] / 2} C ${from} ${high}, ${to} ${high}, ${to} ${top}`,
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
  picture.append(...nodes, ...labels.map((label) => label.node));
  return { picture, nodes };
}

/** Labels below a row: the size of the maps, once for each stretch of boxes that share it and has room. */
function sizes(boxes, x, widths, y) {
  const labels = [];
  for (let start = 0, end; start < boxes.length; start = end) {
    end = start + 1;
    while (end < boxes.length && side(boxes[end]) === side(boxes[start])) end++;
    if (side(boxes[start]) === 1) continue;
    const text = boxes[start].shape.slice(-2).join("×"), half = text.length * 3.1;
    const center = Math.max((x[start] + x[end - 1] + widths[end - 1]) / 2, half + EDGE);
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
    const stacked = boxes.filter((box) => box.count > 1).length;
    return (room - 2 * EDGE - stacked * STACKED) / Math.max(1, boxes.length - stacked) - GAP;
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
  card.append(rows, words, inside);
  el.append(card);
  const hint = "Each box is a block or a layer, as high as its maps are large. Arcs are skips; thin ones lead past several boxes. Click a box to see inside.";
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
    if (!networks.length) rows.append(html("p", "rx-message", model.get("message")));
    const width = shareOut(networks, room || 908);
    drawn = networks.map((network, i) => {
      const head = html("p", "rx-subtitle", network.title);
      head.style.color = network.color;
      const { picture, nodes } = drawNetwork(network, width, (text) => { words.textContent = text; }, (box) => open(i, box));
      const scroll = html("div", "rx-across");
      scroll.append(picture);
      rows.append(head, html("p", "rx-caption", network.facts), scroll);
      return nodes;
    });
    words.textContent = networks.length ? hint : "";
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

  const resized = new ResizeObserver(([entry]) => {
    const wide = Math.floor(entry.contentRect.width);
    if (!wide || wide === room) return;
    room = wide;
    showNetworks();
  });
  resized.observe(rows);
  model.on("change:networks", showNetworks);
  model.on("change:message", showNetworks);
  model.on("change:selected", showInside);
  showNetworks();
  return () => resized.disconnect();
}

export default { render };
