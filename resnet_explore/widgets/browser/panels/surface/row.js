/* What surfaces beside each other share: their scale, the angle they are seen from, and the point that is read on all of them. */

import { clamp, same } from "../../dom.js";
import { USUAL, turned } from "./camera.js";
import { scaleFor } from "./grid.js";
import { hint, sentence } from "./words.js";

const KEY_DEGREES = 10;
const MOVES = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] };

export class Row {
  /** @param {any} props of the panel
   * @param {{turned: () => void, pointed: () => void, say: (text: string) => void}} hears what follows a turn and a reading, and tells
   *   a screen reader
   */
  constructor(props, hears) {
    this.hears = hears;
    this.angle = USUAL;
    /** @type {[number, number] | null} column and row of the point that is read */
    this.reading = null;
    this.show(props);
  }

  /** Take what is shown now. A reading stays, unless it was of a finer grid. */
  show(props) {
    this.props = props;
    this.scale = scaleFor(props);
    const { shape } = props.surfaces[0].loss;
    if (this.reading?.some((at, k) => at >= shape[1 - k])) this.reading = null;
  }

  /** What is read, or what can be done. */
  get words() {
    return this.reading ? sentence(this.props, this.reading) : hint(this.props);
  }

  turns() {
    return this.props.look === "surface";
  }

  /** @param {import("./camera.js").Angle} angle */
  turn(angle) {
    this.angle = angle;
    this.hears.turned();
  }

  /** Read a point, or none. @param {[number, number] | null} at */
  point(at) {
    if (same(at, this.reading)) return;
    this.reading = at;
    this.hears.pointed();
  }

  /** Answer a key. @returns {boolean} whether it has one */
  key(event) {
    const move = MOVES[event.key];
    if (event.key === "Home" && this.turns()) this.turn(USUAL);
    else if (event.key === "Escape" && this.reading) this.point(null);
    else if (!move || event.ctrlKey || event.altKey || event.metaKey) return false;
    else if (this.turns() && !event.shiftKey) this.turn(turned(this.angle, KEY_DEGREES * move[0], KEY_DEGREES * move[1]));
    else this.walk(move);
    return true;
  }

  /** Read the next point; the first is that in the middle. */
  walk([right, up]) {
    const [height, width] = this.props.surfaces[0].loss.shape;
    const [column, line] = this.reading ? [this.reading[0] + right, this.reading[1] + up] : [(width - 1) >> 1, (height - 1) >> 1];
    this.point([clamp(column, 0, width - 1), clamp(line, 0, height - 1)]);
    this.hears.say(this.words);
  }
}
