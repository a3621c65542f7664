/* What a block of an edited network hears of pointer and keys. */

import { clamp } from "../dom.js";

const DRAG = 6; // pixels from where a press is a drag

/** Take a block out where it is pressed, and move it where it is dragged, if there is a `move`.
 *
 * @param {number} pitch from one block to the next, in pixels
 * @param {(down: boolean) => void} pressed hears when a press begins and ends
 */
export function pointing(element, row, block, pitch, { takeOut, move, cutSkip }, pressed) {
  let start = null, dragging = false;

  function end() {
    start = null;
    element.removeAttribute("transform");
  }

  element.addEventListener("pointerdown", (event) => {
    if (event.button !== 0 || event.target.classList.contains("rx-cut-hit")) return;
    [start, dragging] = [event.clientX, false];
    element.setPointerCapture(event.pointerId);
    pressed(true);
  });
  element.addEventListener("lostpointercapture", () => pressed(false)); // after the press, however it ends
  element.addEventListener("pointermove", (event) => {
    if (start === null) return;
    const by = event.clientX - start;
    dragging ||= Math.abs(by) > DRAG;
    if (dragging && move && block.partners.length > 1) element.setAttribute("transform", `translate(${by} 0)`);
  });
  element.addEventListener("mousedown", (event) => { if (event.shiftKey) event.preventDefault(); }); // else it selects text
  element.addEventListener("pointercancel", end);
  element.addEventListener("pointerup", (event) => {
    if (start === null) return;
    const by = event.clientX - start;
    end();
    if (dragging && move) move(row, block, Math.round(by / pitch));
    else takeOut(block.number, event.shiftKey);
  });
  element.querySelector(".rx-cut-hit")?.addEventListener("click", () => cutSkip(block));
}

/** Walk along a row and edit its blocks by keys. `nodes` are the elements of the row in their order, by number. */
export function keys(element, row, block, nodes, { takeOut, move, cutSkip }) {
  element.addEventListener("focus", () => { // the way back to the row by Tab leads to where one was
    for (const other of nodes.values()) other.setAttribute("tabindex", other === element ? "0" : "-1");
  });
  element.addEventListener("keydown", (event) => {
    const step = { ArrowRight: 1, ArrowLeft: -1, Home: -nodes.size, End: nodes.size }[event.key], standing = [...nodes.values()];
    if (step && event.shiftKey) move?.(row, block, step);
    else if (step) standing[clamp(standing.indexOf(element) + step, 0, standing.length - 1)].focus();
    else if (["Enter", " ", "Delete", "Backspace"].includes(event.key)) takeOut(block.number, event.shiftKey);
    else if (event.key.toLowerCase() === "x") cutSkip(block);
    else return;
    event.preventDefault();
    event.stopPropagation();
  });
}
