/* What the networks see of a drawing or a photo: their pixels, large, and how many there are. */

import { write } from "../../../widgets/browser/dom.js";
import { painted } from "./pixels.js";

/** @param {HTMLCanvasElement} canvas @param {HTMLElement} words @param {{pixels: any, about: string}} input */
export function showSeen(canvas, words, { pixels, about }) {
  const context = canvas.getContext("2d"), [high, wide] = pixels.shape;
  context.imageSmoothingEnabled = false;
  context.drawImage(painted(pixels), 0, 0, canvas.width, canvas.height);
  canvas.setAttribute("aria-label", `What the networks see of ${about}: ${wide}×${high} pixels`);
  write(words, `What the networks see: ${wide}×${high} pixels`);
}
