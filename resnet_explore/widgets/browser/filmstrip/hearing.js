/* What the model says, heard together, and texts of which one is shown. */

import { make } from "../dom.js";

/** The entry for a step: a single entry serves every step, a missing one is undefined. */
export const entry = (list, step) => (list.length === 1 ? list[0] : list[step]);

/** The same handler for changes of several values. */
export const changes = (names, handler) => Object.fromEntries(names.map((name) => [`change:${name}`, handler]));

/** Hear what the model says, until the returned function is called. */
export function hear(model, handlers) {
  for (const [name, handler] of Object.entries(handlers)) model.on(name, handler);
  return () => {
    for (const [name, handler] of Object.entries(handlers)) model.off?.(name, handler);
  };
}

/** A handler for values that the kernel changes together: one update, after all of them are there. */
export function gathered(update) {
  let waiting = false;
  return () => {
    if (waiting) return;
    waiting = true;
    queueMicrotask(() => {
      waiting = false;
      update();
    });
  };
}

/** Texts of all steps in one place, one visible: the tallest and widest sets the size, so nothing jumps. */
export class Stack {
  constructor(className) {
    this.node = make("div", `rx-film-stack ${className}`);
  }

  fill(items) {
    this.node.replaceChildren(...items);
    this.node.hidden = items.every((item) => !item.textContent);
  }

  show(step) {
    const items = [...this.node.children], shown = entry(items, step);
    for (const item of items) item.classList.toggle("rx-film-now", item === shown);
  }
}
