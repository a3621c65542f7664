/* What the scripts of all widgets share; it stands before each of them, see filmstrip.py. */

const REST_MS = 150;   // this long without a move, and the kernel is told where the person is
const NARROW_PX = 460; // below this the sliders get a line of their own

const clamp = (value, low, high) => Math.min(Math.max(value, low), high);

/** A number keeps its percent sign beside it where a line ends. */
const whole = (text) => text.replaceAll(" %", "\u00a0%");

/** The entry for a step: a single entry serves every step, a missing one is undefined. */
const entry = (list, step) => (list.length === 1 ? list[0] : list[step]);

function make(tag, className = "", properties = {}, ...children) {
  const node = Object.assign(document.createElement(tag), properties);
  node.className = className;
  node.append(...children);
  return node;
}

/** An element that takes keys. JupyterLab leaves them alone only where the focused element itself says so. */
function control(tag, className = "", properties = {}, ...children) {
  const node = make(tag, className, { id: `rx-${Math.random().toString(36).slice(2)}`, ...properties }, ...children);
  node.dataset.lmSuppressShortcuts = "true";
  return node;
}

/** Bytes of a message on a buffer of their own: numbers in it have to lie at multiples of their size. */
function owned(view) {
  return view.buffer.slice(view.byteOffset, view.byteOffset + view.byteLength);
}

/** The same handler for changes of several values. */
const changes = (names, handler) => Object.fromEntries(names.map((name) => [`change:${name}`, handler]));

/** Hear what the model says, until the returned function is called. */
function hear(model, handlers) {
  for (const [name, handler] of Object.entries(handlers)) model.on(name, handler);
  return () => {
    for (const [name, handler] of Object.entries(handlers)) model.off?.(name, handler);
  };
}

/** A handler for values that the kernel changes together: one update, after all of them are there. */
function gathered(update) {
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
class Stack {
  constructor(className) {
    this.node = make("div", `rx-stack ${className}`);
  }

  fill(items) {
    this.node.replaceChildren(...items);
    this.node.hidden = items.every((item) => !item.textContent);
  }

  show(step) {
    const items = [...this.node.children], shown = entry(items, step);
    for (const item of items) item.classList.toggle("rx-now", item === shown);
  }
}
