/* Heatmaps: the place under the pointer, framed on the picture and read out. */

const MARK_PX = 10; // a single pixel is framed as if it were so large
const MOVES = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1], Escape: null };

class Pointing {
  constructor(view) {
    this.view = view;
    this.place = null; // shares of the sides, { x, y }
    view.canvas.addEventListener("pointermove", (event) => this.follow(event));
    view.canvas.addEventListener("click", () => this.ask());
    view.canvas.addEventListener("pointerleave", () => this.moveTo(null));
    view.canvas.addEventListener("blur", () => this.moveTo(null));
    view.canvas.addEventListener("keydown", (event) => this.onKey(event));
  }

  follow(event) {
    const { photo, canvas, steps } = this.view;
    if (!photo || !steps.length) return;
    const box = canvas.getBoundingClientRect(), { width, height } = photo;
    const x = ((event.clientX - box.left) / box.width) * canvas.width;
    const y = ((event.clientY - box.top) / box.height) * canvas.height;
    const across = x % (width + this.view.gap);
    this.moveTo(across < width ? { x: across / width, y: clamp(y / height, 0, 0.9999) } : null);
  }

  /** Arrow keys move a cell at a time; Escape lets go. */
  onKey(event) {
    if (event.key === "Enter" && this.place) return this.ask();
    if (!(event.key in MOVES) || !this.view.steps.length) return;
    event.preventDefault();
    event.stopPropagation();
    const move = MOVES[event.key], { h, w } = this.view.now.maps.at(-1);
    const { x, y } = this.place ?? { x: 0.5, y: 0.5 };
    const along = (at, by, count) => (clamp(Math.floor(at * count) + by, 0, count - 1) + 0.5) / count;
    this.moveTo(move && { x: along(x, move[0], w), y: along(y, move[1], h) });
  }

  moveTo(place) {
    if (!place && !this.place) return;
    this.place = place;
    if (this.view.photo && this.view.steps.length) this.view.draw();
  }

  /** Ask about the place, where the networks answer for places. */
  ask() {
    const { model } = this.view;
    if (this.place && model.get("askable")) model.send({ ask: [this.place.y, this.place.x] });
  }

  cell({ at, h, w }) {
    const row = Math.floor(this.place.y * h), column = Math.floor(this.place.x * w);
    return { row, column, value: this.view.numbers[at + row * w + column] };
  }

  /** What is read out: the place and its values, or how to get there. */
  get words() {
    const { model, now, series } = this.view;
    if (!this.place) {
      const ask = model.get("askable") ? " Click, or press Enter, to ask about that place." : "";
      return `Point at the picture, or focus it and use the arrow keys, to read a value.${ask}`;
    }
    const last = now.maps.at(-1), { row, column } = this.cell(last), { field, h, w } = last;
    const values = now.maps.map((entry, k) => `${series.names[k]} ${signed(this.cell(entry).value)}`);
    const reach = field && (field.size >= 2 ? "the whole picture" : `${field.pixels}×${field.pixels} pixels of the input`);
    const seen = field ? ` It can depend on ${reach} (dashed).` : "";
    return `Row ${row}, column ${column} of ${h}×${w}, counted from 0: ${values.join(", ")} ${model.get("unit")}.${seen}`;
  }

  // ---- frames on the picture -------------------------------------------------------------------------------

  /** What the network was asked about, where that is a part of the picture. */
  drawMark(context, mark, left) {
    if (!mark) return;
    const { width, height } = this.view.photo;
    const [x0, y0, x1, y1] = mark.map((share, i) => share * (i % 2 ? height : width));
    const [wider, taller] = [Math.max(0, MARK_PX - (x1 - x0)) / 2, Math.max(0, MARK_PX - (y1 - y0)) / 2];
    this.frame(context, left, [x0 - wider, y0 - taller, x1 + wider, y1 + taller], [2, 3]);
  }

  /** The cell under the pointer and, dashed, what of the picture its value can depend on. */
  drawCell(context, entry, left) {
    if (!this.place) return;
    const { width, height } = this.view.photo, { row, column } = this.cell(entry), { h, w, field } = entry;
    this.frame(context, left, [(column * width) / w, (row * height) / h, ((column + 1) * width) / w, ((row + 1) * height) / h], []);
    if (!field) return;
    const { start, jump, size } = field; // shares of the side
    const [x, y] = [start + column * jump, start + row * jump];
    this.frame(context, left, [(x - size / 2) * width, (y - size / 2) * height, (x + size / 2) * width, (y + size / 2) * height], [6, 4]);
  }

  frame(context, left, [x0, y0, x1, y1], dash) {
    const { width, height } = this.view.photo;
    const [a, b] = [clamp(x0, 0, width), clamp(y0, 0, height)];
    const size = [clamp(x1, 0, width) - a, clamp(y1, 0, height) - b];
    for (const [style, line, pattern] of [["#fff", 3, []], ["#1b1d21", 1.5, dash]]) {
      Object.assign(context, { strokeStyle: style, lineWidth: line });
      context.setLineDash(pattern);
      context.strokeRect(left + a, b, ...size);
    }
    context.setLineDash([]);
  }
}
