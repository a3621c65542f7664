/* A photo by button, drop or paste, made small enough here to reach the kernel.
 *
 * A message above 10 MiB closes the kernel's websocket without a word, so whatever is large is shrunk in the
 * browser first, and what the browser can neither read nor send is refused with a sentence. Bytes travel as a
 * message and not as a value, so that the same file chosen twice counts twice.
 */

import { control, freshId, make, same } from "../dom.js";
import { receives } from "./files.js";

const MB = 1e6;
const SEND_AS_IS = { bytes: 4 * MB, side: 2048 };
const SHRUNK = { bytes: 6 * MB, side: 1600, short: 256, long: 16_000 }; // pixels
const UNREADABLE_MOST = 8 * MB; // bytes of a file that only Python may understand (HEIC, TIFF)
const HINT = "Drop or paste photos of yours here";
const PATIENCE_MS = 1000;

const megabytes = (bytes) => `${(bytes / MB).toFixed(1)} MB`;

class Refusal extends Error {}

/** Turn a File into what is sent: { name, note, buffer }. */
async function prepare(file) {
  const name = file.name || "pasted photo";
  const bitmap = await createImageBitmap(file, { imageOrientation: "from-image" }).catch(() => null);
  if (!bitmap) {
    if (file.size <= UNREADABLE_MOST) return { name, note: "", buffer: await file.arrayBuffer() };
    throw new Refusal(
      `${name} has ${megabytes(file.size)} and this browser cannot read it to shrink it: ` +
        `please save it as JPEG or PNG, or choose a file below ${megabytes(UNREADABLE_MOST)}.`,
    );
  }
  try {
    const fits = Math.max(bitmap.width, bitmap.height) <= SEND_AS_IS.side || shrinkage(bitmap) === 1;
    if (fits && file.size <= SEND_AS_IS.bytes) return { name, note: "", buffer: await file.arrayBuffer() };
    const { blob, width, height } = await shrink(bitmap, file.type);
    const note =
      `${name}, ${bitmap.width}×${bitmap.height}, ` +
      (width === bitmap.width
        ? `was compressed from ${megabytes(file.size)} to ${megabytes(blob.size)} before sending.`
        : `was shrunk to ${width}×${height} before sending.`) +
      (file.type === "image/gif" ? " Of an animation only its first frame is used." : "");
    return { name, note, buffer: await blob.arrayBuffer() };
  } finally {
    bitmap.close();
  }
}

/** By how much sides are shortened: a strip's only as far as its short side bears.
 *
 * @param {{width: number, height: number}} size
 */
export function shrinkage({ width, height }) {
  const [short, long] = [width, height].sort((a, b) => a - b);
  return Math.min(1, Math.max(SHRUNK.side / long, Math.min(SHRUNK.short / short, SHRUNK.long / long)));
}

/** Draw at most 1600 pixels a side, unless a strip's short side would be lost; JPEG for what was JPEG or stays too big as PNG. */
async function shrink(bitmap, type) {
  const factor = shrinkage(bitmap);
  const [width, height] = [bitmap.width, bitmap.height].map((side) => Math.max(1, Math.round(side * factor)));
  const canvas = make("canvas", "", { width, height });
  const context = canvas.getContext("2d");
  context.imageSmoothingQuality = "high";
  context.drawImage(bitmap, 0, 0, width, height);
  const encode = (...how) => new Promise((done) => { canvas.toBlob(done, ...how); });

  let blob = type === "image/jpeg" ? null : await encode("image/png");
  if (!blob || blob.size > SHRUNK.bytes) {
    context.globalCompositeOperation = "destination-over"; // JPEG has no transparency: white shows through
    context.fillStyle = "#fff";
    context.fillRect(0, 0, width, height);
    blob = await encode("image/jpeg", 0.92);
  }
  if (!blob) throw new Refusal("This browser could not shrink the picture: please choose a smaller one.");
  return { blob, width, height };
}

/** @type {import("../page.js").Component} */
export function upload(page, props) {
  const input = control("input", "", { type: "file", accept: "image/*", multiple: true });
  const pick = make("label", "rx-pick", { htmlFor: input.id }, "Choose files", input);
  const hint = make("span", "rx-hint", { textContent: HINT });
  const status = make("span", "rx-status");
  // Focusable by a click, so that Ctrl+V then lands here and not in JupyterLab's command mode.
  const forget = control("button", "rx-forget", { type: "button", textContent: "✕", title: "Close this message", ariaLabel: "Close this message" });
  const node = control("div", "rx-control rx-upload", { tabIndex: -1 }, make("div", "rx-drop", {}, hint, status, forget, pick));
  const serial = freshId();
  let turn = 0, refused = "", waitingFor = 0, waiting = 0;
  node.setAttribute("role", "group");
  node.setAttribute("aria-label", "Photo upload: drop, paste or choose files");
  status.setAttribute("role", "status");

  /** What is said stands in the hint's room, so that nothing below moves. */
  function say(sentence, wrong = false) {
    clearTimeout(waiting);
    status.classList.toggle("rx-bad", wrong);
    forget.hidden = !wrong;
    node.classList.toggle("rx-says", Boolean(sentence));
    status.title = sentence;
    if (status.textContent !== sentence) status.textContent = sentence;
  }

  const answer = () => say([refused, props.said].filter(Boolean).join(" "), Boolean(refused) || props.wrong);

  /** @param {File[]} files */
  async function take(files) {
    if (!files.length) return;
    const mine = ++turn, refusals = [];
    refused = "";
    for (const [k, file] of files.entries()) {
      say(`Reading ${file.name || "the photo"} …`);
      try {
        const { name, note, buffer } = await prepare(file);
        if (mine !== turn) return; // newer photos came while this one was being read
        say(`Sending ${name} …`);
        waitingFor = Math.max(waitingFor, props.taken) + 1;
        const count = files.length > 1 ? `${k + 1} of ${files.length} photos arrived.` : "";
        page.act(props.key, { name, note, count, batch: `${serial}-${mine}` }, [buffer]);
        waiting = setTimeout(() => say(`Waiting for Python, which is still busy. ${name} comes next.`), PATIENCE_MS);
      } catch (problem) {
        if (mine !== turn) return;
        refusals.push(problem instanceof Refusal ? problem.message : `${file.name || "The photo"} could not be read: ${problem}.`);
      }
    }
    refused = refusals.join(" ");
    if (refused) answer();
  }

  forget.addEventListener("click", () => {
    refused = "";
    say("");
    input.focus();
  });
  input.addEventListener("change", () => {
    const files = [...input.files];
    input.value = ""; // choosing the same file again is a change again
    take(files);
  });
  const leave = receives(node, take);

  answer();
  return {
    node,
    update(next) {
      const before = props;
      props = next;
      if (!next.said && !next.wrong && before.said) refused = "";
      if (same(before, next) || next.taken < waitingFor) return;
      answer();
    },
    leave() {
      clearTimeout(waiting);
      leave();
    },
  };
}
