/* Matrices as colours on one scale: a pointer or the arrow keys read a cell, a click or Enter may choose it. */

import { clamp, control, make, same, write } from "../dom.js";
import { numeral, power } from "./axis.js";

/* Viridis as a polynomial of sixth degree a channel (fitted by M. Zucker, public domain). */
const VIRIDIS = [
  [0.2777273272, 0.0054073445, 0.3340998053], [0.1050930431, 1.4046135299, 1.3845901627], [-0.3308618287, 0.2148475595, 0.0950951630],
  [-4.6342304990, -5.7991009734, -19.3324409563], [6.2282699363, 14.1799333668, 56.6905526007], [4.7763849827, -13.7451453777, -65.3530326333],
  [-5.4354558559, 4.6458526122, 26.3124352496],
];
const BELOW = [0, 0, 0], ABOVE = [255, 77, 77];

/** The colour of a place on the scale, 0 to 1. @param {number} t @returns {number[]} */
export function viridis(t) {
  return [0, 1, 2].map((channel) => Math.round(255 * clamp(VIRIDIS.reduceRight((sum, row) => sum * t + row[channel], 0), 0, 1)));
}

/** Where a value lies on the scale: below 0 or above 1 beyond a logarithmic one, at the end of a linear one, NaN for no value. */
export function placed(value, { low, high, scale }) {
  if (Number.isNaN(value)) return NaN;
  if (scale === "linear") return clamp((value - low) / (high - low), 0, 1);
  return value > 0 ? Math.log10(value / low) / Math.log10(high / low) : -1;
}

/** The colours from one end of the scale to the other; a canvas, so that a saved picture has it. */
export function colorBar() {
  const canvas = make("canvas", "rx-matrix-bar", { width: 160, height: 1, ariaHidden: "true" }), image = new ImageData(canvas.width, 1);
  for (let k = 0; k < canvas.width; k += 1) image.data.set([...viridis(k / (canvas.width - 1)), 255], 4 * k);
  canvas.getContext("2d").putImageData(image, 0, 0);
  return canvas;
}

/** @type {import("../page.js").Component} */
export function matrices(page, props) {
  const row = make("div", "rx-matrices"), scale = make("div", "rx-matrix-scale"), read = make("p", "rx-read");
  const node = make("div", "", {}, row, scale, read);
  let parts = [];

  function paint(part, matrix) {
    const { canvas, ticks, title, top } = part, [rows, columns] = matrix.values.shape, { data } = matrix.values;
    Object.assign(canvas, { width: columns, height: rows });
    const image = new ImageData(columns, rows);
    for (let r = 0; r < rows; r += 1) {
      for (let c = 0; c < columns; c += 1) {
        const t = placed(data[r * columns + c], props);
        if (Number.isNaN(t)) continue;
        image.data.set([...(t < 0 ? BELOW : t > 1 ? ABOVE : viridis(t)), 255], 4 * ((rows - 1 - r) * columns + c));
      }
    }
    canvas.getContext("2d").putImageData(image, 0, 0);
    part.node.classList.toggle("rx-matrix-square", props.square);
    title.textContent = matrix.title;
    top.textContent = `${props.row} ${rows}`;
    title.className = `rx-subtitle${matrix.kind ? ` rx-ink-${matrix.kind}` : ""}`;
    const every = Math.ceil(columns / 8);
    ticks.replaceChildren(...matrix.columns.map((name, k) => {
      const tick = make("span", k % every ? "rx-out" : "", { textContent: name });
      tick.style.setProperty("--at", String((k + 0.5) / columns));
      return tick;
    }));
    part.across.textContent = props.column;
    const choosing = props.chooses ? " Enter chooses a cell." : "";
    canvas.setAttribute("aria-label", `${matrix.title}: ${props.label} by ${props.column} and ${props.row}. Arrow keys read the values.${choosing}`);
  }

  function fresh(k) {
    const canvas = control("canvas", "rx-matrix", { tabIndex: 0 }), title = make("p"), ticks = make("div", "rx-matrix-ticks");
    canvas.setAttribute("role", "application"); // screen readers keep the arrow keys of an image to themselves
    const mark = make("span", "rx-matrix-mark", { hidden: true, ariaHidden: "true" }), across = make("p", "rx-plot-x");
    const top = make("span"), side = make("div", "rx-matrix-side", { ariaHidden: "true" }, top, make("span", "", { textContent: "1" }));
    const grid = make("div", "rx-matrix-rows", {}, side, make("div", "rx-matrix-box", {}, canvas, mark), make("span"), ticks);
    const part = { canvas, title, ticks, top, mark, across, cell: null, node: make("div", "", {}, title, grid, across) };
    canvas.addEventListener("pointermove", (event) => look(k, event));
    canvas.addEventListener("pointerdown", (event) => look(k, event));
    canvas.addEventListener("pointerleave", (event) => { if (event.pointerType !== "touch") rest(); }); // a finger leaves as it lifts
    canvas.addEventListener("blur", rest);
    canvas.addEventListener("click", (event) => { look(k, event); choose(k); });
    canvas.addEventListener("keydown", (event) => {
      const step = { ArrowUp: [1, 0], ArrowDown: [-1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] }[event.key];
      if (!step && !(event.key === "Enter" && props.chooses)) return;
      event.preventDefault();
      event.stopPropagation();
      if (step) page.say(move(k, step));
      else choose(k);
    });
    return part;
  }

  const chosen = (k) => (props.chosen?.[0] === k ? props.chosen.slice(1) : null);
  const hint = () => `Point at a cell to read it. ${props.tip}`.trim();

  function look(k, event) {
    const box = parts[k].canvas.getBoundingClientRect(), [rows, columns] = props.matrices[k].values.shape;
    const at = (share, count) => clamp(Math.floor(share * count), 0, count - 1);
    tell(k, [rows - 1 - at((event.clientY - box.top) / box.height, rows), at((event.clientX - box.left) / box.width, columns)]);
  }

  function move(k, [up, right]) {
    const [rows, columns] = props.matrices[k].values.shape, [r, c] = parts[k].cell ?? chosen(k) ?? [0, 0];
    return tell(k, [clamp(r + up, 0, rows - 1), clamp(c + right, 0, columns - 1)]);
  }

  function choose(k) {
    if (props.chooses) page.choose(props.chooses, [k, ...(parts[k].cell ?? chosen(k) ?? [0, 0])]);
  }

  function tell(k, cell) {
    const { title, values, columns, rows_named: rowNames, columns_named: names } = props.matrices[k], [r, c] = cell;
    parts[k].cell = cell;
    frame(k);
    const across = names.length ? names[c] : `${props.column} ${columns[c]}`, along = rowNames.length ? rowNames[r] : `${props.row} ${r + 1}`;
    write(read, `${title}, ${along}, ${across}: ${numeral(values.data[r * values.shape[1] + c])}`);
    return read.textContent;
  }

  /** Nothing is pointed at any more: the frames go back to the cell that is chosen. */
  function rest() {
    for (const part of parts) part.cell = null;
    parts.forEach((_, k) => frame(k));
    write(read, hint());
  }

  const inside = (k, [r, c]) => r < props.matrices[k].values.shape[0] && c < props.matrices[k].values.shape[1];

  function frame(k) {
    const { mark, cell } = parts[k], [rows, columns] = props.matrices[k].values.shape, at = cell ?? chosen(k);
    mark.hidden = !at || !inside(k, at);
    if (mark.hidden) return;
    const places = { "--top": (rows - 1 - at[0]) / rows, "--left": at[1] / columns, "--high": 1 / rows, "--wide": 1 / columns };
    for (const [name, share] of Object.entries(places)) mark.style.setProperty(name, String(share));
  }

  function fill() {
    while (parts.length < props.matrices.length) parts.push(fresh(parts.length));
    parts = parts.slice(0, props.matrices.length);
    if (row.childNodes.length !== parts.length) row.replaceChildren(...parts.map((part) => part.node));
    parts.forEach((part, k) => paint(part, props.matrices[k]));
    const linear = props.scale === "linear";
    const end = (value) => make("span", "", { textContent: linear ? numeral(value) : power(Math.round(Math.log10(value))) });
    const beyond = make("span", "rx-matrix-beyond", { textContent: linear ? "" : "black, red: beyond" });
    scale.replaceChildren(`${props.label}: `, end(props.low), colorBar(), end(props.high), beyond);
    const held = parts.findIndex(({ cell }, k) => cell && inside(k, cell));
    if (held < 0) return rest();
    parts.forEach((_, k) => frame(k));
    return tell(held, parts[held].cell);
  }

  fill();
  return {
    node,
    update(next) {
      const bare = (all) => ({ ...all, matrices: null });
      if (next === props || (next.matrices === props.matrices && same(bare(next), bare(props)))) return;
      props = next;
      fill();
    },
  };
}
