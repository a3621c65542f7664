/* Blueprint: networks as rows of boxes, skips as arcs. Needs only model.get / set / on / save_changes, so it also
 * runs in a page without a kernel.
 */

const SVG = "http://www.w3.org/2000/svg";
const WIDTH = 908, GAP = 3, WIDEST = 40, NARROWEST = 6, ARC = 15, LOWEST = 10, PER_OCTAVE = 7, LABELS = 18;
const STEP_W = 96, SMALL_W = 44, STEP_H = 46, STEP_GAP = 14;
const SKIP_WORDS = {
  identity: "the input itself is added",
  projection: "a projection of the input is added",
  padding: "the input, padded with zero channels, is added",
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

/** One network's row. Calls `say` with a box's sentence when it is looked at and `open` when it is chosen. */
function drawNetwork(network, most, say, open) {
  const boxes = network.boxes;
  const heights = boxes.map((box) => LOWEST + PER_OCTAVE * Math.log2(side(box) + 1));
  const tallest = Math.max(...heights);
  const far = Math.max(1, ...boxes.map((box, i) => i - Math.min(i, ...box.from.filter((s) => s >= 0))));
  const above = ARC + 6 + (far > 1 ? Math.min(70, 6 * far) : 0);
  // One width for all networks, so that lengths compare, unless that would be too narrow to be hit.
  const shared = WIDTH / most - GAP;
  const width = Math.min(WIDEST, Math.max(NARROWEST, shared < NARROWEST ? WIDTH / boxes.length - GAP : shared));
  const extent = Math.max(WIDTH, boxes.length * (width + GAP));
  const x = boxes.map((_, i) => i * (width + GAP));
  const middle = above + tallest / 2;
  const picture = svg("svg", {
    viewBox: `0 0 ${extent} ${above + tallest + LABELS}`,
    class: "rx-blueprint",
    role: "group",
    "aria-label": `${network.title}: ${boxes.length} boxes`,
  });
  picture.style.minWidth = `${Math.round((extent / WIDTH) * 100)}%`;
  const nodes = boxes.map((box, i) => {
    const top = middle - heights[i] / 2;
    const weighted = box.layers > 0;
    const node = svg("g", { class: "rx-box", role: "button", tabindex: i ? -1 : 0, "aria-label": sentence(box) });
    node.dataset.lmSuppressShortcuts = "true";
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
      const from = x[source] + width / 2, to = x[i] + width / 2;
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
  picture.append(...nodes, ...sizes(boxes, x, width, above + tallest + 13));
  return { picture, nodes };
}

/** Labels below a row: the size of the maps, once for each stretch of boxes that share it. */
function sizes(boxes, x, width, y) {
  const labels = [];
  for (let start = 0, end; start < boxes.length; start = end) {
    end = start + 1;
    while (end < boxes.length && side(boxes[end]) === side(boxes[start])) end++;
    const room = (end - start) * (width + GAP);
    const text = side(boxes[start]) > 1 ? boxes[start].shape.slice(-2).join("×") : "";
    if (room < text.length * 5.6) continue;
    const label = svg("text", { x: (x[start] + x[end - 1] + width) / 2, y, class: "rx-size" });
    label.textContent = text;
    labels.push(label);
  }
  return labels;
}

/** What a box holds: its layers in order, every other way as an arc. */
function drawInside(box) {
  const steps = box.inside;
  const widths = steps.map((step) => (step.macs || step.label.length > 8 ? STEP_W : SMALL_W));
  const lefts = [];
  let right = STEP_GAP;
  for (const width of widths) {
    lefts.push(right);
    right += width + STEP_GAP;
  }
  const middle = (k) => lefts[k] + widths[k] / 2;
  const exit = (k) => (k < 0 ? 4 : lefts[k] + widths[k]);
  const arcs = steps.flatMap((step, k) => step.from.filter((s) => k - s > 1).map((s) => [s, k]));
  const above = arcs.length ? 44 : 8, y = above + STEP_H / 2;
  const picture = svg("svg", {
    width: right, height: above + STEP_H + 24, viewBox: `0 0 ${right} ${above + STEP_H + 24}`,
    role: "img", "aria-label": `Inside ${box.name}: ${steps.map((s) => `${s.label} ${s.detail}`).join(", ")}`,
  });
  for (const [k, step] of steps.entries()) {
    if (step.from.includes(k - 1)) picture.append(svg("path", { d: `M ${exit(k - 1)} ${y} H ${lefts[k]}`, class: "rx-way" }));
  }
  for (const [from, to] of arcs) {
    const begin = exit(from) + (from < 0 ? 0 : STEP_GAP / 2), end = middle(to), high = above - 40;
    picture.append(svg("path", { d: `M ${begin} ${y} C ${begin} ${high}, ${end} ${high}, ${end} ${above}`, class: "rx-way rx-skip" }));
  }
  for (const [k, step] of steps.entries()) picture.append(drawStep(step, lefts[k], above, widths[k]));
  return picture;
}

function drawStep(step, left, top, width) {
  const group = svg("g", {}, svg("title")), middle = left + width / 2;
  group.firstChild.textContent = `${step.name}: output ${size(step.shape)}` + (step.macs ? `, ${short(step.macs)} multiply-adds` : "");
  group.append(svg("rect", { x: left, y: top, width, height: STEP_H, rx: 6, class: step.macs ? "rx-step rx-weighted" : "rx-step" }));
  const lines = [[step.label.length > 15 ? `${step.label.slice(0, 14)}…` : step.label, "rx-label"], [step.detail, "rx-detail"]];
  lines.filter(([text]) => text).forEach(([text, className], i, all) => {
    const line = svg("text", { x: middle, y: top + STEP_H / 2 + 4 + (i - (all.length - 1) / 2) * 15, class: className });
    line.textContent = text;
    group.append(line);
  });
  if (step.macs || width === STEP_W) {
    const shape = svg("text", { x: middle, y: top + STEP_H + 15, class: "rx-detail" });
    shape.textContent = size(step.shape);
    group.append(shape);
  }
  return group;
}

function render({ model, el }) {
  const card = html("div", "rx-card rx-drawing");
  const rows = html("div", "rx-rows"), words = html("p", "rx-caption"), inside = html("div", "rx-inside");
  inside.tabIndex = 0;
  inside.dataset.lmSuppressShortcuts = "true";
  card.append(rows, words, inside);
  el.append(card);
  const hint = "Each box is a block or a layer, as high as its maps are large; arcs are skips. Click one to see inside.";
  words.setAttribute("aria-live", "polite");
  let drawn = [];

  const open = (network, box) => {
    model.set("selected", [network, box]);
    model.save_changes();
  };

  function showNetworks() {
    const networks = model.get("networks");
    rows.replaceChildren(html("p", "rx-title", model.get("title")));
    if (!networks.length) rows.append(html("p", "rx-message", model.get("message")));
    const most = Math.max(1, ...networks.map((network) => network.boxes.length));
    drawn = networks.map((network, i) => {
      const head = html("p", "rx-subtitle", network.title);
      head.style.color = network.color;
      const { picture, nodes } = drawNetwork(network, most, (text) => { words.textContent = text; }, (box) => open(i, box));
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
    inside.append(html("p", "rx-subtitle", `Inside ${box.name}, ${box.kind}${box.count > 1 ? ` (${box.count} alike)` : ""}`), drawInside(box));
  }

  model.on("change:networks", showNetworks);
  model.on("change:message", showNetworks);
  model.on("change:selected", showInside);
  showNetworks();
}

export default { render };
