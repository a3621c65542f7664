/* A chart to draw a guess on, by pointer or keys, before the measured lines appear. */

import { clamp, control, lowEnough, make, onWidth, svg } from "../dom.js";
import { labelOf, numeral } from "../panels/axis.js";
import { Plot } from "../panels/plot.js";

const LOWEST = 220, HIGHEST = 330, FLATNESS = 0.6; // of the picture: its height, and that over its width
const BEGIN = "Start at the dot and drag to the right edge, or use the arrow keys.";
const ON = "Go on to the right edge.", DONE = "Done? You can still draw over it.";
const READ = "Point at the lines to read them.", CUE = "drag from here →";

/** Values at the stops after a stroke from one place to the next, each [x in pixels, y in units]; what it passes is set.
 *
 * @param {(number | null)[]} values @param {number[]} at the stops, in pixels @param {[number, number]} from @param {[number, number]} to
 */
export function stroked(values, at, [x0, y0], [x1, y1]) {
  const near = at.map((_, k) => k).reduce((best, k) => (Math.abs(at[k] - x1) < Math.abs(at[best] - x1) ? k : best), 0);
  const next = values.map((value, k) => {
    const passed = at[k] >= Math.min(x0, x1) && at[k] <= Math.max(x0, x1) && x0 !== x1;
    if (!passed && k !== near) return value;
    return passed ? y0 + ((at[k] - x0) / (x1 - x0)) * (y1 - y0) : y1;
  });
  return bridged([values[0], ...next.slice(1)]);
}

/** Gaps between two values become straight. @param {(number | null)[]} values */
export function bridged(values) {
  const known = values.map((value, k) => (value === null ? -1 : k)).filter((k) => k >= 0);
  return values.map((value, k) => {
    const before = known.findLast((j) => j < k), after = known.find((j) => j > k);
    if (value !== null || before === undefined || after === undefined) return value;
    return values[before] + ((k - before) / (after - before)) * (values[after] - values[before]);
  });
}

/** `props`: {chart, stops, start, step, drawn, shown}.
 *
 * @type {import("../page.js").Component}
 */
export function sketch(page, props) {
  const hint = make("p", "rx-sketch-hint"), button = control("button", "rx-button", { type: "button" });
  const again = control("button", "rx-button", { type: "button", textContent: "Draw again" });
  const holder = make("div", "rx-sketch"), node = make("div", "", {}, make("div", "rx-sketch-line", {}, hint, button, again), holder);
  /** @type {import("../panels/plot.js").Row} */
  const row = { read: (plot, at) => plot.read(at), choose() {}, chooses: () => false, say: (text) => page.say(text) };
  const plot = new Plot(row);
  const cue = svg("text", { class: "rx-sketch-cue" });
  cue.textContent = CUE;
  plot.picture.append(cue);
  holder.append(plot.node);
  let values = blank(), here = 0, stroke = null, room = 0, known = null;

  function blank() {
    return props.stops.map((_, k) => (k ? null : props.start));
  }

  const done = () => values.every((value) => value !== null);
  const rounded = (value) => Math.round(clamp(value, 0, 100));

  function tell() {
    if (!done()) return;
    const drawn = values.map(rounded);
    page.set({ drawn, drawn_end: drawn.at(-1) }, true);
  }

  const row64 = (list) => ({ data: Float64Array.from(list), shape: [list.length] });

  /** The line as far as it is drawn, and the measured ones once they are asked for. */
  function lines() {
    const far = values.map((value, k) => [props.stops[k], value]).filter(([, value]) => value !== null);
    const kept = far.length > 1 || !props.shown;
    const own = { name: "your guess", x: row64(far.map(([x]) => x)), y: row64(far.map(([, y]) => Math.round(y))), kind: "ink", line: "dashed", marker: "circle", look: "full", low: null, high: null, tips: [] };
    return [...(kept ? [own] : []), ...(props.shown ? props.chart.series : [])];
  }

  function draw() {
    const far = values.filter((value) => value !== null).length;
    plot.take({ ...props.chart, series: lines(), note: props.shown ? props.chart.note : "", says: props.shown ? props.chart.says : `${BEGIN} Left and right walk along the depths, up and down set the error.` });
    hint.textContent = props.shown ? READ : far < 2 ? BEGIN : done() ? DONE : ON;
    holder.classList.toggle("rx-sketching", !props.shown);
    holder.classList.toggle("rx-sketch-begin", !props.shown && far < 2);
    lead(far < 2);
    button.hidden = props.shown;
    again.hidden = !props.shown;
    button.textContent = done() ? "Show what was measured" : "Show it without a guess";
    button.classList.toggle("rx-primary", done());
  }

  /** Show where to begin. */
  function lead(untouched) {
    cue.setAttribute("visibility", untouched && !props.shown && room ? "visible" : "hidden");
    if (!room) return;
    const { frame } = plot, level = frame.y.place(props.start);
    cue.setAttribute("x", String(frame.x.place(props.stops[0]) + 14));
    cue.setAttribute("y", String(level - 12));
  }

  function show(shown) {
    if (shown) {
      holder.classList.add("rx-sketch-arrives");
      page.set({ shown: true });
      again.focus({ preventScroll: true });
      return;
    }
    values = blank();
    here = 0;
    holder.classList.remove("rx-sketch-arrives");
    page.set({ shown: false, drawn: [], drawn_end: -1 });
    plot.node.focus({ preventScroll: true });
  }

  /** Where a pointer is: pixels across, and the value there. */
  function under(event) {
    const box = plot.picture.getBoundingClientRect(), { frame } = plot, { low, high } = props.chart.y;
    const across = ((event.clientX - box.left) / (box.width || 1)) * plot.width, down = ((event.clientY - box.top) / (box.height || 1)) * plot.height;
    return [across, clamp(low + ((frame.bottom - down) / (frame.bottom - frame.top)) * (high - low), 0, 100)];
  }

  function strokeTo(event) {
    const to = under(event);
    values = stroked(values, props.stops.map((x) => plot.frame.x.place(x)), stroke, to);
    stroke = to;
    draw();
    tell();
  }

  /** A key while one draws. @returns {boolean} whether it has a meaning */
  function press(key) {
    const across = { ArrowRight: 1, ArrowLeft: -1 }[key], up = { ArrowUp: 1, ArrowDown: -1, PageUp: 4, PageDown: -4 }[key];
    if (key === "Enter") show(true);
    else if (across) here = clamp(here + across, 1, props.stops.length - 1);
    else if (up) here = Math.max(1, here);
    else return false;
    if (key === "Enter") return true;
    values = values.map((value, k) => (k > here ? value : value ?? values.slice(0, k).findLast((each) => each !== null)));
    if (up) values[here] = clamp(Math.round(values[here]) + up * props.step, 0, 100);
    draw();
    tell();
    plot.read(props.stops[here]);
    const { x, y } = props.chart;
    page.say(`${labelOf(x, props.stops[here])} ${x.name}: ${numeral(rounded(values[here]))} ${y.unit}`);
    return true;
  }

  plot.picture.addEventListener("pointerdown", (event) => {
    if (props.shown || event.button !== 0) return;
    event.preventDefault();
    plot.node.focus({ preventScroll: true });
    plot.picture.setPointerCapture(event.pointerId);
    stroke = under(event);
    strokeTo(event);
  });
  plot.picture.addEventListener("pointermove", (event) => { if (stroke) strokeTo(event); });
  for (const name of ["pointerup", "pointercancel"]) plot.picture.addEventListener(name, () => { stroke = null; });
  // Before the chart hears it, which would read what stands there.
  holder.addEventListener("keydown", (event) => {
    if (props.shown || event.ctrlKey || event.altKey || event.metaKey || !press(event.key)) return;
    event.preventDefault();
    event.stopPropagation();
  }, true);
  button.addEventListener("click", () => show(true));
  again.addEventListener("click", () => show(false));

  /** Take over a line that comes from elsewhere: from Python, a link, or another page of this explorer. */
  function adopt() {
    if (known === props.drawn) return;
    known = props.drawn;
    if (props.drawn.length === props.stops.length) values = [...props.drawn];
    else if (!props.drawn.length && done()) values = blank();
  }

  const leaveWidth = onWidth(holder, (width) => {
    room = width;
    plot.size(room, Math.round(clamp(FLATNESS * room, LOWEST, Math.max(LOWEST, lowEnough(node, HIGHEST)))));
    draw();
  });
  adopt();
  draw();
  return {
    node,
    update(next) {
      props = next;
      if (!stroke) adopt();
      draw();
    },
    leave() {
      leaveWidth();
      plot.leave();
    },
  };
}
