/* Matrices as colours on one logarithmic scale: a pointer or the arrow keys read a cell. */

import { clamp, control, make, same } from "../dom.js";
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

/** Where a value lies on the scale: below 0 or above 1 beyond it, NaN for no value. */
export function placed(value, low, high) {
  if (Number.isNaN(value)) return NaN;
  return value > 0 ? Math.log10(value / low) / Math.log10(high / low) : -1;
}

/** @type {import("../page.js").Component} */
export function matrices(page, props) {
  const row = make("div", "rx-matrices"), scale = make("div", "rx-matrix-scale"), read = make("p", "rx-read");
  const node = make("div", "", {}, row, scale, read);
  let parts = [];

  function paint({ canvas, ticks, title, top }, matrix) {
    const [rows, columns] = matrix.values.shape, { data } = matrix.values;
    Object.assign(canvas, { width: columns, height: rows });
    const image = new ImageData(columns, rows);
    for (let r = 0; r < rows; r += 1) {
      for (let c = 0; c < columns; c += 1) {
        const t = placed(data[r * columns + c], props.low, props.high);
        if (Number.isNaN(t)) continue;
        image.data.set([...(t < 0 ? BELOW : t > 1 ? ABOVE : viridis(t)), 255], 4 * ((rows - 1 - r) * columns + c));
      }
    }
    canvas.getContext("2d").putImageData(image, 0, 0);
    title.textContent = matrix.title;
    top.textContent = `${props.row} ${rows}`;
    title.className = `rx-subtitle${matrix.kind ? ` rx-ink-${matrix.kind}` : ""}`;
    const every = Math.ceil(columns / 8);
    ticks.replaceChildren(...matrix.columns.map((name, k) => {
      const tick = make("span", k % every ? "rx-out" : "", { textContent: name });
      tick.style.setProperty("--at", String((k + 0.5) / columns));
      return tick;
    }));
    canvas.setAttribute("aria-label", `${matrix.title}: ${props.label} by ${props.column} and ${props.row}. Arrow keys read the values.`);
  }

  function fresh(k) {
    const canvas = control("canvas", "rx-matrix", { tabIndex: 0 }), title = make("p"), ticks = make("div", "rx-matrix-ticks");
    canvas.setAttribute("role", "img");
    const top = make("span"), side = make("div", "rx-matrix-side", { ariaHidden: "true" }, top, make("span", "", { textContent: "1" }));
    const grid = make("div", "rx-matrix-rows", {}, side, canvas, make("span"), ticks);
    const part = { canvas, title, ticks, top, cell: [0, 0], node: make("div", "", {}, title, grid, make("p", "rx-plot-x", { textContent: props.column })) };
    canvas.addEventListener("pointermove", (event) => {
      const box = canvas.getBoundingClientRect(), [rows, columns] = props.matrices[k].values.shape;
      const at = (share, count) => clamp(Math.floor(share * count), 0, count - 1);
      part.cell = [rows - 1 - at((event.clientY - box.top) / box.height, rows), at((event.clientX - box.left) / box.width, columns)];
      tell(k);
    });
    canvas.addEventListener("pointerleave", () => { read.textContent = hint(); });
    canvas.addEventListener("blur", () => { read.textContent = hint(); });
    canvas.addEventListener("keydown", (event) => {
      const [up, right] = { ArrowUp: [1, 0], ArrowDown: [-1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] }[event.key] ?? [];
      if (up === undefined) return;
      event.preventDefault();
      event.stopPropagation();
      const [rows, columns] = props.matrices[k].values.shape;
      part.cell = [clamp(part.cell[0] + up, 0, rows - 1), clamp(part.cell[1] + right, 0, columns - 1)];
      page.say(tell(k));
    });
    return part;
  }

  const hint = () => "Point at a cell to read it.";

  function tell(k) {
    const { title, values, columns } = props.matrices[k], [r, c] = parts[k].cell;
    const value = values.data[r * values.shape[1] + c];
    read.textContent = `${title}, ${props.row} ${r + 1}, ${props.column} ${columns[c]}: ${numeral(value)}`;
    return read.textContent;
  }

  function fill() {
    while (parts.length < props.matrices.length) parts.push(fresh(parts.length));
    parts = parts.slice(0, props.matrices.length);
    if (row.childNodes.length !== parts.length) row.replaceChildren(...parts.map((part) => part.node));
    parts.forEach((part, k) => paint(part, props.matrices[k]));
    const stops = Array.from({ length: 13 }, (_, k) => `rgb(${viridis(k / 12).join(" ")})`).join(", ");
    const bar = make("span", "rx-matrix-bar");
    bar.style.background = `linear-gradient(to right, ${stops})`;
    const end = (value) => make("span", "", { textContent: power(Math.round(Math.log10(value))) });
    scale.replaceChildren(`${props.label}: `, end(props.low), bar, end(props.high), make("span", "rx-matrix-beyond", { textContent: "black, red: beyond" }));
    read.textContent = hint();
  }

  fill();
  return {
    node,
    update(next) {
      if (next === props || (next.matrices === props.matrices && same(next, props))) return;
      props = next;
      fill();
    },
  };
}
