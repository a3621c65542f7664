/* Losses over a plane of weights as surfaces that turn together, or as maps with level lines; both can be read point by point. */

import { clamp, lowEnough, make, onResolution, onWidth, same, write } from "../../dom.js";
import { numeral } from "../axis.js";
import { Glide } from "../glide.js";
import { colorBar } from "../matrices.js";
import { USUAL, turned } from "./camera.js";
import { levelsOf, scaleFor } from "./grid.js";
import { Picture } from "./picture.js";
import { hint, sentence } from "./words.js";

const NARROWEST = 330, GAP = 20; // pixels
const FLATNESS = 0.78, LOWEST = 250, HIGHEST = 430; // of a picture: its height over its width, and that in pixels
const KEY_DEGREES = 10;
const MOVES = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] };

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
  let room = 0;

  const row = {
    props, scale: scaleFor(props), angle: USUAL, reading: null,
    turns: () => row.props.look === "surface",
    turn(angle) {
      row.angle = angle;
      later();
    },
    point(at) {
      if (same(at, row.reading)) return;
      row.reading = at;
      write(read, at ? sentence(row.props, at) : hint(row.props));
      for (const picture of pictures) if (picture.camera) picture.mark();
    },
    key(event) {
      const move = MOVES[event.key];
      if (event.key === "Home" && row.turns()) row.turn(USUAL);
      else if (event.key === "Escape" && row.reading) row.point(null);
      else if (!move || event.ctrlKey || event.altKey || event.metaKey) return false;
      else if (row.turns() && !event.shiftKey) row.turn(turned(row.angle, KEY_DEGREES * move[0], KEY_DEGREES * move[1]));
      else walk(move);
      return true;
    },
  };

  function walk([right, up]) {
    const [height, width] = row.props.surfaces[0].loss.shape, [column, line] = row.reading ?? [(width - 1) >> 1, (height - 1) >> 1];
    const next = row.reading ? [clamp(column + right, 0, width - 1), clamp(line + up, 0, height - 1)] : [column, line];
    row.point(next);
    page.say(sentence(row.props, next));
  }

  const glide = new Glide(() => pictures.forEach((picture, k) => picture.draw(glide.now[k])));

  let frame = 0;
  /** Draw anew in the next frame, once for all moves until then. */
  function later() {
    cancelAnimationFrame(frame);
    frame = requestAnimationFrame(() => pictures.forEach((picture) => picture.draw(picture.now)));
  }

  function fill() {
    const shown = row.props.surfaces;
    while (pictures.length < shown.length) pictures.push(new Picture(row));
    pictures.length = shown.length;
    if (grid.childNodes.length !== shown.length) {
      grid.replaceChildren(...pictures.map((picture) => picture.node));
      lay();
    }
    row.scale = scaleFor(row.props);
    if (row.reading?.some((at, k) => at >= shown[0].loss.shape[1 - k])) row.reading = null; // of a finer grid
    node.classList.toggle("rx-turns", row.turns());
    shown.forEach((each, k) => pictures[k].name(each, row.props));
    legend();
    write(read, row.reading ? sentence(row.props, row.reading) : hint(row.props));
    const goals = shown.map(({ loss }) => levelsOf(loss, row.scale));
    if (pictures.every((picture) => picture.now)) glide.to(goals);
    else glide.set(goals);
  }

  function legend() {
    const { low, high, cut, middle, way, dent } = row.props;
    const end = (value) => make("span", "", { textContent: numeral(Number(value.toPrecision(2))) });
    const sample = (look, text) => (text ? [make("span", "rx-surface-key", {}, make("span", `rx-surface-sample ${look}`, { ariaHidden: "true" }), text)] : []);
    key.replaceChildren("loss: ", end(low), colorBar(), end(high), ...sample("rx-surface-swatch", cut), ...sample("rx-surface-dot", middle), ...sample("rx-surface-dent", dent), ...sample("rx-surface-dot rx-surface-red", way));
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
      row.props = next;
      if (!only) fill();
      else if (walked !== step) for (const picture of pictures) if (picture.camera) picture.mark();
    },
    leave() {
      leaveWidth();
      leaveResolution();
      glide.stop();
      cancelAnimationFrame(frame);
    },
  };
}
