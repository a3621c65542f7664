/* The live page: both twins run in the browser, below the explorers' own page. */

import { receives } from "../../../widgets/browser/controls/files.js";
import { render } from "../../../widgets/browser/page.js";
import { KINDS } from "../../../widgets/browser/parts.js";
import { Kernel } from "./kernel.js";
import { pad } from "./pad.js";
import { photo } from "./photo.js";
import { png } from "./pixels.js";

const THUMB = 104; // pixels, twice what is shown

/** Arrays out of their base64: {data, shape} everywhere. */
function unfolded(tree) {
  if (Array.isArray(tree)) return tree.map(unfolded);
  if (tree === null || typeof tree !== "object") return tree;
  if (tree.base64 !== undefined) return { data: Uint8Array.from(atob(tree.base64), (letter) => letter.charCodeAt(0)), shape: tree.shape };
  return Object.fromEntries(Object.entries(tree).map(([name, entry]) => [name, unfolded(entry)]));
}

/** Start the page. */
export async function start() {
  Object.assign(KINDS, { pad, photo });
  const facts = unfolded(JSON.parse(document.getElementById("facts").textContent));
  const samples = Object.values(facts.kinds).flatMap((kind) => kind.samples);
  await Promise.all(samples.map(async (sample) => { sample.picture = await png(sample.pixels, THUMB); }));
  const kernel = new Kernel(facts);
  kernel.follow(); // so that what a link asks for is what is drawn first
  render({ model: kernel, el: document.getElementById("live") });
  receives(document.documentElement, (files) => kernel.take(files));
  kernel.ask();
}
