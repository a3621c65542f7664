/* Where a point of a surface stands on the screen, seen from an angle; parallel lines stay parallel. No elements. */

import { clamp } from "../../dom.js";

/** @typedef {{yaw: number, pitch: number}} Angle degrees: round the upright axis, and how far from above */

/** @type {Angle} */
export const USUAL = { yaw: 35, pitch: 30 };
/** @type {Angle} */
const ABOVE = { yaw: 0, pitch: 90 };
const TALL = 1.05; // the height of the box, where half of its side is 1
const FLATTEST = 8, STEEPEST = 80; // degrees
const TURN_PX = 0.5; // degrees for each pixel of a drag

/** The angle after a drag by so many pixels. @param {Angle} angle */
export const dragged = (angle, right, down) => turned(angle, TURN_PX * right, TURN_PX * down);

/** The angle after a turn by so many degrees. @param {Angle} angle */
export const turned = ({ yaw, pitch }, right, down) => ({
  yaw: (((yaw - right + 180) % 360) + 360) % 360 - 180, pitch: clamp(pitch + down, FLATTEST, STEEPEST),
});

export class Camera {
  /** Look at a box whose floor goes from -1 to 1 along both sides.
   *
   * @param {Angle | null} angle null for a map, seen from right above
   * @param {number} width @param {number} height of the picture, pixels
   * @param {{x: number, y: number}} pad pixels that stay free on each side
   */
  constructor(angle, width, height, pad) {
    const { yaw, pitch } = angle ?? ABOVE, turn = (yaw * Math.PI) / 180, tilt = (pitch * Math.PI) / 180;
    this.cos = Math.cos(turn);
    this.sin = Math.sin(turn);
    const reach = angle ? Math.SQRT2 : 1; // so that it keeps its size on every turn
    this.deep = angle ? Math.sin(tilt) : 1;
    this.high = angle ? TALL * Math.cos(tilt) : 0;
    this.scale = Math.min((width - 2 * pad.x) / (2 * reach), (height - 2 * pad.y) / (2 * reach * this.deep + this.high));
    this.left = width / 2;
    this.top = (height + this.scale * this.high) / 2;
  }

  /** Pixels of a point, whose level is from 0 to 1. @returns {[number, number]} */
  place(x, y, level = 0) {
    const across = x * this.cos - y * this.sin, away = this.away(x, y);
    return [this.left + this.scale * across, this.top - this.scale * (away * this.deep + level * this.high)];
  }

  /** How far a point of the floor is from the eye. */
  away(x, y) {
    return x * this.sin + y * this.cos;
  }
}
