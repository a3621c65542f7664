/* Making elements, and small things that all modules need. */

/** @typedef {{[name: string]: any}} Properties */

export const REST_MS = 150; // this long without a move, and the kernel is told where the person is

/** @param {number} value @param {number} low @param {number} high */
export const clamp = (value, low, high) => Math.min(Math.max(value, low), high);

/** How high a picture may be, at most `most`, so that its card is seen whole; in a frame, which is as high as what it holds, always `most`.
 *
 * @param {HTMLElement} node where it stands, as large type in a lecture hall leaves less room @param {number} most pixels
 */
export const lowEnough = (node, most) => (window === window.top ? Math.min(most, (0.4 * innerHeight) / (node.currentCSSZoom ?? 1)) : most);

/** Whether two values of the state are the same; lists are compared by what they hold. */
export const same = (a, b) => a === b || JSON.stringify(a) === JSON.stringify(b);

/** A number keeps its percent sign beside it where a line ends. @param {string} text */
export const whole = (text) => text.replaceAll(" %", "\u00a0%");

/** @param {string} tag @param {string} className @param {Properties} properties */
export function make(tag, className = "", properties = {}, ...children) {
  const node = Object.assign(document.createElement(tag), properties);
  if (className) node.className = className;
  node.append(...children);
  return node;
}

/** Put a text into a node, unless it stands there: the browser lays out anew whatever is written. */
export const write = (node, text) => { if (node.textContent !== text) node.textContent = text; };

let made = 0;

/** An id that nothing else on the page has; a notebook may show the same explorer twice. */
export const freshId = () => `rx-${Math.random().toString(36).slice(2, 8)}-${++made}`;

/** An element that takes keys. JupyterLab leaves them alone only where the focused element itself says so. */
export function control(tag, className = "", properties = {}, ...children) {
  const node = make(tag, className, { id: freshId(), ...properties }, ...children);
  node.dataset.lmSuppressShortcuts = "true";
  return node;
}

/** A summary that keeps its keys to itself. @param {string} text */
export function summary(text) {
  const node = make("summary", "", { textContent: text });
  node.dataset.lmSuppressShortcuts = "true";
  node.addEventListener("keydown", (event) => { if (event.key === "Enter" || event.key === " ") event.stopPropagation(); });
  return node;
}

/** Escape folds it, and leaves the focus on its word. @param {HTMLDetailsElement} node */
export function foldsByEscape(node) {
  node.addEventListener("keydown", (event) => {
    if (event.key !== "Escape" || !node.open) return;
    event.stopPropagation();
    node.open = false;
    node.querySelector("summary").focus();
  });
}

/** @param {string} tag @param {Properties} attributes */
export function svg(tag, attributes = {}, ...children) {
  const node = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  node.append(...children);
  return node;
}

/** Where an arrow key, Home or End leads from the k-th of several things, round and round; undefined for other keys.
 * A key that is ours goes no further: JupyterLab would leave for the next cell.
 */
export function stepped(event, k, count) {
  const step = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
  const next = step ? (k + step + count) % count : { Home: 0, End: count - 1 }[event.key];
  if (next === undefined) return undefined;
  event.preventDefault();
  event.stopPropagation();
  return next;
}

/** Call `draw` with the width of a node, in whole pixels, whenever that is another one; not while it is out of sight.
 *
 * @param {Element} node @param {(width: number) => void} draw @returns {() => void} what ends it
 */
export function onWidth(node, draw) {
  let last = 0;
  const resized = new ResizeObserver(([entry]) => {
    const width = Math.floor(entry.contentRect.width);
    if (!width || width === last) return;
    last = width;
    draw(width);
  });
  resized.observe(node);
  return () => resized.disconnect();
}

/** Call `draw` whenever a pixel of the page becomes more or fewer of the screen: the reader zooms, or takes another screen.
 *
 * @param {() => void} draw @returns {() => void} what ends it
 */
export function onResolution(draw) {
  let now = null;
  function watch() {
    now = matchMedia(`(resolution: ${devicePixelRatio}dppx)`);
    now.addEventListener("change", changed, { once: true });
  }
  function changed() {
    watch();
    draw();
  }
  watch();
  return () => now.removeEventListener("change", changed);
}

/** Put children into a node in this order. The one that holds the focus stays where it is: moved, it would lose it. */
export function arrange(node, children) {
  const wanted = new Set(children);
  [...node.childNodes].filter((child) => !wanted.has(child)).forEach((child) => child.remove());
  const held = [...node.childNodes].find((child) => child.contains(document.activeElement));
  let at = node.firstChild;
  for (const child of children) {
    const end = child === held ? held : at;
    while (at !== end) { // what still stands before the focus comes later
      const next = at.nextSibling;
      node.append(at);
      at = next;
    }
    if (child === at) at = at.nextSibling;
    else node.insertBefore(child, at);
  }
}

/** Offer a file to the person. @param {string} name @param {BlobPart} data */
export function download(name, data) {
  const link = make("a", "", { href: URL.createObjectURL(new Blob([data])), download: name });
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
}

/** Put a text where it can be pasted from, if the browser lets us: pages without https have no clipboard. */
export async function copied(text) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    return false;
  }
}
