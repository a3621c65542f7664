/* One residual block, drawn: what comes in, what its layers make of it, and the sum that goes on, value by value. */

import { clamp, control, make, onWidth, svg } from "../dom.js";
import { SIDE, color, signed } from "../panels/heat_colors.js";

const GAP = 20, HIGH = 104, WIRE = 78, TOP = 20, ROUND = 16, RADIUS = 11, BOX = 24, ROOMY = 560, LETTER = 6.6; // pixels
const POINT = "Point at a place to read its three numbers. Arrow keys walk.";

/** The three maps: what the skip carries, what the layers add, and what goes on. @param {any} props */
export function mapsOf({ x, branch, joined }) {
  const total = joined ? Float32Array.from(x.data, (value, k) => value + branch.data[k]) : branch.data;
  return [x, branch, { data: total, shape: x.shape }];
}

const names = (joined) => [
  ["x", "what comes in"], ["F(x)", "what the layers add"], joined ? ["x + F(x)", "what goes on"] : ["F(x) alone", "what goes on"],
];

/** `props`: {x, branch: {data, shape: [h, w]}, scale, layers, colors: {data}, picture, meaning, joined}.
 *
 * @type {import("../page.js").Component}
 */
export function sum(page, props) {
  const wires = svg("svg", { class: "rx-sum-wires", role: "img" }), read = make("p", "rx-read"), grid = make("div", "rx-sum-maps");
  const node = control("div", "rx-sum", { tabIndex: 0 }, wires, grid, make("p", "rx-facts", { textContent: props.meaning }), read);
  node.setAttribute("role", "application");
  node.setAttribute("aria-roledescription", "picture");
  const cells = [0, 1, 2].map(() => {
    const canvas = make("canvas", "rx-sum-map", { width: SIDE, height: SIDE }), spot = make("span", "rx-sum-spot"), title = make("b"), heading = make("span");
    return { canvas, spot, title, heading, node: make("div", "", {}, make("p", "", {}, title, " ", heading), make("div", "rx-sum-picture", {}, canvas, spot)) };
  });
  const source = URL.createObjectURL(new Blob([props.picture], { type: "image/png" }));
  const photo = make("img", "rx-sum-map rx-sum-photo", { alt: "", src: source });
  const before = make("div", "", {}, make("p", "", {}, make("b", "", { textContent: "the photo" }), " ", make("span", "", { textContent: "then the first layers" })), make("div", "rx-sum-picture", {}, photo));
  grid.append(before, ...cells.map((cell) => cell.node));
  let at = null, room = 0, shown = null;

  function paint() {
    const maps = mapsOf(props), words = names(props.joined);
    cells.forEach(({ canvas, title, heading }, k) => {
      const context = canvas.getContext("2d"), image = context.createImageData(SIDE, SIDE);
      color(image.data, maps[k], props.scale, props.colors.data, true);
      context.putImageData(image, 0, 0);
      [title.textContent, heading.textContent] = words[k];
    });
    node.setAttribute("aria-label", `A block ${props.joined ? "with" : "without"} its skip: ${words.map(([name, what]) => `${name}, ${what}`).join("; ")}. Arrow keys read the values.`);
    tell();
  }

  /** Show the place that is read in all three, with its numbers. */
  function tell() {
    const [h, w] = props.x.shape;
    for (const { spot } of cells) {
      spot.hidden = !at;
      if (at) Object.assign(spot.style, { left: `${(100 * at[1]) / w}%`, top: `${(100 * at[0]) / h}%`, width: `${100 / w}%`, height: `${100 / h}%` });
    }
    read.textContent = at ? sentence() : POINT;
  }

  function sentence() {
    const [a, b, c] = mapsOf(props).map(({ data }) => signed(data[at[0] * props.x.shape[1] + at[1]]));
    const result = props.joined ? `x ${a} and F(x) ${b} make ${c}` : `x ${a} is lost, F(x) ${b} goes on`;
    return `Row ${at[0] + 1}, column ${at[1] + 1}: ${result}.`;
  }

  function lay() {
    const each = (room - 3 * GAP) / 4, middle = [1, 2, 3].map((k) => each / 2 + k * (each + GAP)), plus = (middle[1] + middle[2]) / 2;
    const { joined } = props, path = (d, className) => svg("path", { d, class: className });
    const rise = ROUND, skip = `M${middle[0]} ${WIRE}V${TOP + rise}Q${middle[0]} ${TOP} ${middle[0] + rise} ${TOP}H${plus - rise}Q${plus} ${TOP} ${plus} ${TOP + rise}V${WIRE - RADIUS}`;
    const half = (middle[0] + plus) / 2;
    wires.setAttribute("viewBox", `0 0 ${room} ${HIGH}`);
    wires.setAttribute("height", String(HIGH));
    wires.replaceChildren(
      path(`M${each / 2} ${HIGH}V${WIRE}H${room}`, "rx-sum-wire"), path(`M${room - 9} ${WIRE - 5}l8 5l-8 5`, "rx-sum-wire"),
      ...middle.map((px) => path(`M${px} ${WIRE}V${HIGH}`, "rx-sum-tap")),
      path(skip, `rx-sum-skip${joined ? "" : " rx-off"}`),
      ...(joined ? [] : [path(`M${half - 7} ${TOP - 7}l14 14m0 -14l-14 14`, "rx-sum-cross")]),
      text(half, TOP - 7, joined ? "the skip carries x unchanged" : "", "rx-sum-words"),
      ...boxes(middle[0] + 14, middle[1] - 14),
      svg("circle", { cx: plus, cy: WIRE, r: RADIUS, class: `rx-sum-plus${joined ? "" : " rx-off"}` }),
      text(plus, WIRE + 5, joined ? "+" : "", "rx-sum-sign"),
    );
    wires.setAttribute("aria-label", joined ? "The skip leads past the layers to a plus sign." : "The skip is cut.");
  }

  /** The layers of the branch, or one box for all of them where there is no room for their names. */
  function boxes(from, to) {
    const wanted = props.layers.map((name) => name.length * LETTER + 10), whole = wanted.reduce((a, b) => a + b, 4 * (wanted.length - 1));
    const list = room >= ROOMY && whole <= to - from ? props.layers : ["F"], wide = list === props.layers ? wanted : [Math.min(34, to - from)];
    let px = (from + to - wide.reduce((a, b) => a + b, 4 * (wide.length - 1))) / 2;
    return list.flatMap((name, k) => {
      const left = px;
      px += wide[k] + 4;
      return [svg("rect", { x: left, y: WIRE - BOX / 2, width: wide[k], height: BOX, rx: 5, class: "rx-sum-box" }), text(left + wide[k] / 2, WIRE + 4, name, "rx-sum-layer")];
    });
  }

  function text(x, y, words, className) {
    const element = svg("text", { x, y, class: className, "text-anchor": "middle" });
    element.textContent = words;
    return element;
  }

  function draw() {
    const now = [props.x, props.branch, props.scale, props.joined];
    if (!shown || now.some((value, k) => value !== shown[k])) paint();
    if (room) lay();
    shown = now;
  }

  grid.addEventListener("pointermove", (event) => {
    const cell = cells.find(({ canvas }) => canvas.contains(event.target));
    if (!cell) return;
    const box = cell.canvas.getBoundingClientRect(), [h, w] = props.x.shape;
    const place = (share, count) => clamp(Math.floor(share * count), 0, count - 1);
    at = [place((event.clientY - box.top) / box.height, h), place((event.clientX - box.left) / box.width, w)];
    tell();
  });
  grid.addEventListener("pointerleave", (event) => { if (event.pointerType === "mouse" && document.activeElement !== node) { at = null; tell(); } });
  node.addEventListener("blur", () => { at = null; tell(); });
  node.addEventListener("keydown", (event) => {
    const step = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] }[event.key];
    if (!step || event.ctrlKey || event.altKey || event.metaKey) return;
    event.preventDefault();
    event.stopPropagation();
    const [h, w] = props.x.shape, [row, column] = at ?? [h >> 1, (w >> 1) - 1];
    at = [clamp(row + step[0], 0, h - 1), clamp(column + step[1], 0, w - 1)];
    tell();
    page.say(read.textContent);
  });
  const leaveWidth = onWidth(node, (width) => {
    room = width;
    lay();
  });
  draw();
  return {
    node,
    update(next) {
      props = next;
      draw();
    },
    leave() {
      leaveWidth();
      URL.revokeObjectURL(source);
    },
  };
}
