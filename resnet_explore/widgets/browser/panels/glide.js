/* Numbers that move to new values in 150 ms, the first step at once, so that a key is answered in its own event. */

const LASTS_MS = 150;
const FIRST_MS = 16; // how far the first step goes: as far as a frame later

const calm = globalThis.matchMedia?.("(prefers-reduced-motion: reduce)");
const eased = (t) => 1 - (1 - t) ** 3;

export class Glide {
  /** @param {() => void} draw called for every step, with the numbers in `now` */
  constructor(draw) {
    this.draw = draw;
    /** @type {Float64Array[]} */
    this.now = [];
    this.frame = 0;
  }

  /** Be at once at new numbers. @param {Float64Array[]} goals */
  set(goals) {
    cancelAnimationFrame(this.frame);
    this.now = goals;
    this.draw();
  }

  /** Go to new numbers; at once where motion is not wanted, out of sight, or where their counts differ. */
  to(goals) {
    const alike = goals.length === this.now.length && goals.every((goal, i) => goal.length === this.now[i].length);
    if (!alike || calm?.matches || document.hidden) {
      this.set(goals);
      return;
    }
    cancelAnimationFrame(this.frame);
    const from = this.now, began = performance.now() - FIRST_MS;
    this.now = goals.map((goal) => new Float64Array(goal.length));
    const step = (time) => {
      const t = Math.min(1, (time - began) / LASTS_MS), share = eased(Math.max(0, t));
      goals.forEach((goal, i) => {
        for (let k = 0; k < goal.length; k += 1) {
          const way = goal[k] - from[i][k];
          this.now[i][k] = t === 1 || Number.isNaN(way) ? goal[k] : from[i][k] + share * way;
        }
      });
      this.draw();
      if (t < 1) this.frame = requestAnimationFrame(step);
    };
    step(performance.now());
  }

  stop() {
    cancelAnimationFrame(this.frame);
  }
}
