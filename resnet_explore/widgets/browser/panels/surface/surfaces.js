/* Losses over a plane of weights as surfaces that turn together, or as maps with level lines; both can be read point by point. */

import { clamp, lowEnough, make, onResolution, onWidth, write } from "../../dom.js";
import { numeral } from "../axis.js";
import { Glide } from "../glide.js";
import { colorBar } from "../matrices.js";
import { levelsOf } from "./grid.js";
import { Picture } from "./picture.js";
import { Row } from "./row.js";

const NARROWEST = 330, GAP = 20; // pixels
const FLATNESS = 0.78, LOWEST = 250, HIGHEST = 430; // of a picture: its height over its width, and that in pixels

/** What stands below the surfaces: the colours, and what is marked. */
function legend({ low, high, cut, middle, way, dent }) {
  const end = (value) => make("span", "", { textContent: numeral(Number(value.toPrecision(2))) });
  const sample = (look, text) => (text ? [make("span", "rx-surface-key", {}, make("span", `rx-surface-sample ${look}`, { ariaHidden: "true" }), text)] : []);
  return ["loss: ", end(low), colorBar(), end(high), ...sample("rx-surface-swatch", cut), ...sample("rx-surface-dot", middle), ...sample("rx-surface-dent", dent), ...sample("rx-surface-dot rx-surface-red", way)];
}

/** `props`: {surfaces: [{name, kind, alt, loss, error, x, y, path, dents}], look, low, high, levels, step,
 *   cut, middle, way, dent: what stands for these in the legend}.
 *
 * @type {import("../../page.js").Component}
 */
export function surfaces(page, props) {
  const grid = make("div", "rx-surfaces"), key = make("div", "rx-matrix-scale"), read = make("p", "rx-read");
  const node = make("div", "rx-surface-panel", {}, grid, key, read);
  /** @type {Picture[]} */
  const pictures = [];
  let room = 0, frame = 0;

  const glide = new Glide(() => pictures.forEach((picture, k) => picture.draw(glide.now[k])));
  const mark = () => { for (const picture of pictures) if (picture.camera) picture.mark(); };
  const row = new Row(props, {
    turned() { // drawn in the next frame, once for all moves until then
      cancelAnimationFrame(frame);
      frame = requestAnimationFrame(() => pictures.forEach((picture) => picture.draw(picture.now)));
    },
    pointed() {
      write(read, row.words);
      mark();
    },
    say: (text) => page.say(text),
  });

  function fill() {
    const shown = row.props.surfaces;
    while (pictures.length < shown.length) pictures.push(new Picture(row));
    pictures.length = shown.length;
    if (grid.childNodes.length !== shown.length) {
      grid.replaceChildren(...pictures.map((picture) => picture.node));
      lay();
    }
    node.classList.toggle("rx-turns", row.turns());
    shown.forEach((each, k) => pictures[k].name(each, row.props));
    key.replaceChildren(...legend(row.props));
    write(read, row.words);
    const goals = shown.map(({ loss }) => levelsOf(loss, row.scale));
    if (pictures.every((picture) => picture.now)) glide.to(goals);
    else glide.set(goals);
  }

  function lay() {
    if (!room || !pictures.length) return;
    const columns = clamp(Math.floor((room + GAP) / (NARROWEST + GAP)), 1, pictures.length);
    const width = Math.floor((room - GAP * (columns - 1)) / columns), highest = Math.max(LOWEST, lowEnough(node, HIGHEST));
    const height = Math.round(clamp(FLATNESS * width, LOWEST, highest));
    grid.style.gridTemplateColumns = `repeat(${columns}, ${width}px)`;
    for (const picture of pictures) {
      picture.size(width, height);
      if (picture.now) picture.draw(picture.now);
    }
  }

  const leaveWidth = onWidth(node, (width) => {
    room = width;
    lay();
  });
  const leaveResolution = onResolution(lay);
  fill();
  return {
    node,
    update(next) {
      if (next === row.props) return;
      const { step, ...others } = row.props, { step: walked, ...rest } = next;
      const only = Object.keys(rest).every((name) => rest[name] === others[name]);
      row.show(next);
      if (!only) fill();
      else if (walked !== step) mark();
    },
    leave() {
      leaveWidth();
      leaveResolution();
      glide.stop();
      cancelAnimationFrame(frame);
    },
  };
}
