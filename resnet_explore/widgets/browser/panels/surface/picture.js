/* One surface with what stands around it and what is marked on it, turned by hand and read by pointer. */

import { clamp, control, make, svg, write } from "../../dom.js";
import { numeral } from "../axis.js";
import { Camera, USUAL, dragged } from "./camera.js";
import { Box } from "./frame.js";
import { drawn, levelAt, lineAt, sideOf } from "./grid.js";
import { paintMap, paintSurface } from "./paint.js";
import { ACROSS, UP } from "./words.js";

const PADS = { surface: { x: 44, y: 34 }, contours: { x: 46, y: 32 } }; // pixels for numbers and names
const NEAR_PX = 40; // so near a point has to be to be read
const APART_PX = 26; // so far labels of level lines stand from each other
const TO_EDGE = 0.6; // cells between a label and the edge of the map

export class Picture {
  constructor(row) {
    this.row = row;
    this.box = new Box();
    this.canvas = make("canvas", "rx-surface-canvas");
    this.small = make("canvas");
    this.levels = svg("g", { class: "rx-surface-lines" });
    this.labels = svg("g", { class: "rx-surface-labels" });
    this.halo = svg("path", { class: "rx-surface-halo" });
    this.ahead = svg("path", { class: "rx-surface-ahead" });
    this.walked = svg("path", { class: "rx-surface-walked" });
    this.stem = svg("path", { class: "rx-surface-stem" });
    this.here = svg("circle", { class: "rx-surface-here", r: 5.5 });
    this.network = svg("circle", { class: "rx-surface-network", r: 4 });
    this.dents = svg("g", { class: "rx-surface-dents" });
    this.point = svg("circle", { class: "rx-surface-point", r: 5 });
    this.front = svg("svg", { class: "rx-plot rx-surface-front", "aria-hidden": "true" }, this.levels, this.dents, this.halo, this.ahead, this.walked, this.stem, this.network, this.here, this.point, this.labels);
    this.title = make("p", "rx-subtitle");
    this.view = control("div", "rx-surface", { tabIndex: 0 }, this.box.node, this.canvas, this.front);
    this.view.setAttribute("role", "application"); // screen readers keep the arrow keys of an image to themselves
    this.node = make("div", "rx-surface-part", {}, this.title, this.view);
    this.hold();
  }

  hold() {
    const { view, row } = this;
    let from = null, still = true; // where a drag is, and whether it has not moved
    view.addEventListener("pointerdown", (event) => {
      if (event.button || !row.turns()) return;
      from = [event.clientX, event.clientY];
      still = true;
      view.setPointerCapture(event.pointerId);
      view.classList.add("rx-held");
    });
    view.addEventListener("pointermove", (event) => {
      if (!from) {
        row.point(this.nearest(event));
        return;
      }
      still = false;
      row.turn(dragged(row.angle, event.clientX - from[0], event.clientY - from[1]));
      from = [event.clientX, event.clientY];
    });
    const release = () => {
      from = null;
      view.classList.remove("rx-held");
    };
    view.addEventListener("pointerup", (event) => {
      if (from ? still : event.pointerType === "touch") row.point(this.nearest(event)); // a finger that taps reads
      release();
    });
    view.addEventListener("pointercancel", release);
    view.addEventListener("pointerleave", (event) => { if (!from && event.pointerType !== "touch") row.point(null); });
    view.addEventListener("dblclick", () => row.turn(USUAL));
    view.addEventListener("blur", () => row.point(null));
    view.addEventListener("keydown", (event) => {
      if (!row.key(event)) return;
      event.preventDefault();
      event.stopPropagation();
    });
  }

  /** Column and row of the point that is drawn nearest to the pointer, null where none is near. */
  nearest(event) {
    const frame = this.view.getBoundingClientRect(), share = this.width / frame.width; // large type zooms a page
    const at = [share * (event.clientX - frame.left), share * (event.clientY - frame.top)];
    const columns = this.surface.x.data.length;
    let best = null, least = NEAR_PX ** 2;
    this.now.forEach((level, k) => {
      const [column, row] = [k % columns, Math.floor(k / columns)], [x, y] = this.spot(column, row, level);
      const away = (x - at[0]) ** 2 + (y - at[1]) ** 2;
      if (away < least) [best, least] = [[column, row], away];
    });
    return best;
  }

  /** Pixels of a place between points. */
  spot(column, row, level = 0) {
    const { x, y } = this.surface;
    return this.camera.place((2 * column) / (x.data.length - 1) - 1, (2 * row) / (y.data.length - 1) - 1, drawn(level));
  }

  size(width, height) {
    Object.assign(this, { width, height });
    const sharp = devicePixelRatio * (this.view.currentCSSZoom ?? 1);
    Object.assign(this.canvas, { width: Math.round(width * sharp), height: Math.round(height * sharp) });
    this.brush = this.canvas.getContext("2d");
    this.brush.setTransform(sharp, 0, 0, sharp, 0, 0);
    this.view.style.height = `${height}px`;
    for (const node of [this.box.node, this.front]) node.setAttribute("viewBox", `0 0 ${width} ${height}`);
  }

  name(surface, props) {
    const { row } = this;
    this.surface = surface;
    write(this.title, surface.name);
    this.title.className = `rx-subtitle${surface.kind ? ` rx-ink-${surface.kind}` : ""}`;
    this.view.setAttribute("aria-roledescription", row.turns() ? "surface" : "map");
    const keys = props.look === "contours" ? "Arrow keys read values." : "Arrow keys turn it, Shift and arrow keys read values, Home turns it back.";
    this.view.setAttribute("aria-label", `${surface.name}: loss by ${ACROSS} and ${UP}. ${surface.alt} ${keys}`);
  }

  draw(levels) {
    const { row, surface, brush } = this, { props, scale } = row, flat = !row.turns(), columns = surface.x.data.length;
    this.now = levels;
    if (!this.width) return;
    this.camera = new Camera(flat ? null : row.angle, this.width, this.height, PADS[props.look]);
    this.box.lay(this.camera, surface, levels, props, scale);
    brush.clearRect(0, 0, this.width, this.height);
    if (flat) paintMap(brush, this.small, levels, columns, this.camera);
    else paintSurface(brush, levels, columns, this.camera);
    this.contours(flat, columns);
    this.mark();
  }

  /** Level lines, each with its value where it crosses the way from the middle to the upper right corner. */
  contours(flat, columns) {
    const wanted = flat ? this.row.props.levels : [];
    while (this.levels.childNodes.length < wanted.length) this.levels.append(svg("path"));
    while (this.labels.childNodes.length < wanted.length) this.labels.append(svg("text", { "text-anchor": "middle" }));
    const taken = [];
    [...this.levels.childNodes].forEach((line, k) => {
      const label = this.labels.childNodes[k], level = k < wanted.length ? this.row.scale.place(wanted[k]) : NaN;
      line.setAttribute("d", Number.isNaN(level) ? "" : lineAt(this.now, columns, level, (column, row) => this.spot(column, row)));
      const spot = this.crossing(level, columns), free = spot && taken.every(([x, y]) => Math.hypot(x - spot[0], y - spot[1]) > APART_PX);
      write(label, free ? numeral(wanted[k]) : "");
      if (!free) return;
      taken.push(spot);
      label.setAttribute("x", spot[0].toFixed(1));
      label.setAttribute("y", (spot[1] + 4).toFixed(1));
    });
  }

  /** Where a level is first met on the way from the middle to the upper right corner; null for nowhere. */
  crossing(level, columns) {
    for (let k = (columns - 1) >> 1; k + 1 < columns; k += 1) {
      const here = this.now[k * columns + k], next = this.now[(k + 1) * columns + k + 1];
      if (Number.isNaN(here + next + level) || here < level === next < level) continue;
      const at = k + (level - here) / (next - here);
      return at < columns - 1 - TO_EDGE ? this.spot(at, at) : null;
    }
    return null;
  }

  /** Put marks onto the surface: the network, the point that is read, and the way that the training took. */
  mark() {
    const { surface, now, row } = this, { x, y, path } = surface, columns = x.data.length;
    const onto = (atX, atY) => {
      const level = levelAt(now, surface, atX, atY);
      return Number.isNaN(level) ? null : this.camera.place(sideOf(x, atX), sideOf(y, atY), level);
    };
    const put = (node, spot) => {
      node.setAttribute("visibility", spot ? "visible" : "hidden");
      if (spot) for (const [name, value] of [["cx", spot[0]], ["cy", spot[1]]]) node.setAttribute(name, value.toFixed(1));
    };
    const dents = surface.dents?.data ?? [];
    while (this.dents.childNodes.length < dents.length / 2) this.dents.append(svg("circle", { r: 2.6 }));
    [...this.dents.childNodes].forEach((dot, k) => {
      const [column, line] = [dents[2 * k], dents[2 * k + 1]];
      put(dot, 2 * k < dents.length ? this.spot(column, line, now[line * columns + column]) : null);
    });
    put(this.network, onto(0, 0));
    const point = row.reading, k = point ? point[1] * columns + point[0] : -1, top = point ? this.spot(...point, now[k]) : null;
    put(this.point, top);
    const foot = point && row.turns() ? this.spot(...point, 0) : null;
    this.stem.setAttribute("d", foot ? `M${foot.map((each) => each.toFixed(1)).join(" ")}L${top.map((each) => each.toFixed(1)).join(" ")}` : "");
    const spots = path ? Array.from({ length: path.shape[0] }, (_, step) => onto(path.data[2 * step], path.data[2 * step + 1])) : [];
    const at = clamp(row.props.step < 0 ? spots.length - 1 : row.props.step, 0, Math.max(spots.length - 1, 0));
    this.halo.setAttribute("d", joined(spots));
    this.walked.setAttribute("d", joined(spots.slice(0, at + 1)));
    this.ahead.setAttribute("d", joined(spots.slice(at)));
    put(this.here, spots[at] ?? null);
  }
}

/** A line through spots, broken where there is none. */
function joined(spots) {
  let down = false;
  return spots.map((spot) => {
    const piece = spot ? `${down ? "L" : "M"}${spot[0].toFixed(1)} ${spot[1].toFixed(1)}` : "";
    down = Boolean(spot);
    return piece;
  }).join("");
}
