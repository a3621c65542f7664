/* Where a digit is drawn, and beside it what the networks see of it. */

import { clamp, control, make } from "../../../widgets/browser/dom.js";
import { DRAW, STROKES } from "./captions.js";
import { painted } from "./pixels.js";
import { showSeen } from "./seen.js";

const SIDE = 200, PEN = 15, STEP = 0.05; // pixels, and the share of the side that an arrow key moves the pen

/** `props`: {input}, with `input.strokes` null where a sample is shown.
 *
 * @type {import("../../../widgets/browser/page.js").Component}
 */
export function pad(page, props) {
  const canvas = control("canvas", "rx-pad-canvas", { width: SIDE * 2, height: SIDE * 2, tabIndex: 0, title: STROKES });
  const clear = control("button", "", { type: "button", textContent: "Clear" }), hint = make("span", "rx-facts", { textContent: DRAW });
  const seen = make("canvas", "rx-seen", { width: 96, height: 96 }), words = make("span", "rx-facts");
  const node = make("div", "rx-given", {}, canvas, make("div", "rx-given-side", {}, hint, seen, words, clear));
  canvas.setAttribute("role", "application");
  canvas.setAttribute("aria-roledescription", "drawing pad");
  canvas.setAttribute("aria-label", `Draw a digit. ${STROKES}`);
  seen.setAttribute("role", "img");
  let strokes = [], drawing = false, pen = null; // the pen's place, where keys move it

  const at = (event) => {
    const box = canvas.getBoundingClientRect();
    return [clamp((event.clientX - box.left) / box.width, 0, 1), clamp((event.clientY - box.top) / box.height, 0, 1)];
  };

  /** A new stroke; the first begins a new drawing. */
  function begin(point) {
    if (!props.input.strokes) strokes = [];
    strokes = [...strokes, [point]];
    drawing = true;
    tell();
  }

  function go(point) {
    strokes.at(-1).push(point);
    tell();
  }

  function tell() {
    page.act("drew", strokes.map((line) => [...line]));
    draw(strokes);
  }

  canvas.addEventListener("pointerdown", (event) => {
    if (event.button !== 0 || !event.isPrimary) return; // a palm draws nothing
    canvas.setPointerCapture(event.pointerId);
    pen = null;
    begin(at(event));
    event.preventDefault();
  });
  canvas.addEventListener("pointermove", (event) => {
    if (!drawing || pen || !event.isPrimary) return;
    const events = event.getCoalescedEvents?.() ?? [];
    for (const each of events.length ? events : [event]) strokes.at(-1).push(at(each));
    tell();
  });
  for (const end of ["pointerup", "pointercancel"]) canvas.addEventListener(end, () => { drawing = false; });
  canvas.addEventListener("keydown", (event) => {
    const move = { ArrowRight: [STEP, 0], ArrowLeft: [-STEP, 0], ArrowDown: [0, STEP], ArrowUp: [0, -STEP] }[event.key];
    if (!move && event.key !== " ") return;
    event.preventDefault();
    event.stopPropagation();
    pen ??= [0.5, 0.2];
    if (move) pen = pen.map((place, axis) => clamp(place + move[axis], 0.02, 0.98));
    if (event.key === " ") {
      if (drawing) drawing = false;
      else begin(pen);
      page.say(drawing ? "Pen down." : "Pen up.");
    } else if (drawing) go(pen);
    draw(shownStrokes());
  });
  canvas.addEventListener("blur", () => { [pen, drawing] = [null, false]; draw(shownStrokes()); });
  clear.addEventListener("click", () => {
    strokes = [];
    page.act("drew", []);
    canvas.focus();
  });

  const shownStrokes = () => (drawing ? strokes : props.input.strokes);

  function draw(lines) {
    const context = canvas.getContext("2d"), size = canvas.width;
    context.fillStyle = "#000";
    context.fillRect(0, 0, size, size);
    context.imageSmoothingEnabled = false;
    if (!lines) context.drawImage(painted(props.input.pixels), 0, 0, size, size);
    Object.assign(context, { lineCap: "round", lineJoin: "round", lineWidth: PEN * 2, strokeStyle: "#fff" });
    for (const line of lines ?? []) {
      context.beginPath();
      line.forEach(([x, y], k) => (k ? context.lineTo(x * size, y * size) : context.moveTo(x * size, y * size)));
      if (line.length === 1) context.lineTo(line[0][0] * size + 0.1, line[0][1] * size);
      context.stroke();
    }
    if (!pen) return;
    context.beginPath();
    context.arc(pen[0] * size, pen[1] * size, PEN, 0, 2 * Math.PI);
    Object.assign(context, { lineWidth: 4, strokeStyle: drawing ? "#ff9750" : "#56b4e9" });
    context.stroke();
  }

  function show() {
    const { strokes: lines } = props.input;
    if (!drawing) strokes = lines ?? [];
    draw(drawing ? strokes : lines);
    showSeen(seen, words, props.input);
    hint.hidden = Boolean(lines);
    for (const each of [seen, words, clear]) each.hidden = !lines;
  }

  show();
  return {
    node,
    update(next) {
      const before = props;
      props = next;
      if (before.input !== next.input) show();
    },
  };
}
