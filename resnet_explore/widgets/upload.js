/* UploadZone: a photo by button, drop or paste, made small enough here to reach the kernel.
 *
 * A message above 10 MiB closes the kernel's websocket without a word, so whatever is large is shrunk in the
 * browser first, and what the browser can neither read nor send is refused with a sentence. Bytes travel as a
 * custom message (not as a trait), so that the same file chosen twice counts twice.
 */

const MB = 1e6;
const SEND_AS_IS = { bytes: 4 * MB, side: 2048 };
const SHRUNK = { bytes: 6 * MB, side: 1600, short: 256, long: 16_000 }; // pixels
const UNREADABLE_MOST = 8 * MB; // bytes of a file that only Python may understand (HEIC, TIFF)

let serial = 0; // of what is sent

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

/** By how much sides are shortened: a strip's only as far as its short side bears. */
function shrinkage({ width, height }) {
  const [short, long] = [width, height].sort((a, b) => a - b);
  return Math.min(1, Math.max(SHRUNK.side / long, Math.min(SHRUNK.short / short, SHRUNK.long / long)));
}

/** Draw at most 1600 pixels a side, unless a strip's short side would be lost; JPEG for what was JPEG or stays too big as PNG. */
async function shrink(bitmap, type) {
  const factor = shrinkage(bitmap);
  const [width, height] = [bitmap.width, bitmap.height].map((side) => Math.max(1, Math.round(side * factor)));
  const canvas = Object.assign(document.createElement("canvas"), { width, height });
  const context = canvas.getContext("2d");
  context.imageSmoothingQuality = "high";
  context.drawImage(bitmap, 0, 0, width, height);
  const encode = (...how) => new Promise((done) => canvas.toBlob(done, ...how));

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

const EDITORS = `textarea, select, [contenteditable]:not([contenteditable=false]),
  input:not([type=range], [type=file], [type=button], [type=checkbox], [type=radio])`;

/** Is the person typing into something that wants the pasted thing itself? */
const isEditor = (node) => node instanceof Element && node.closest(EDITORS) !== null;

function isVisible(node) {
  const box = node.getBoundingClientRect();
  const onScreen = box.bottom > 0 && box.right > 0 && box.top < innerHeight && box.left < innerWidth;
  return onScreen && box.width > 0 && box.height > 0;
}

const hasFiles = (transfer) => [...(transfer?.types ?? [])].includes("Files");

class UploadView {
  constructor(model, el) {
    this.model = model;
    this.build();
    this.listen();
    this.showStatus();
    el.append(this.root);
  }

  build() {
    this.input = control("input", "", { type: "file", accept: "image/*", multiple: this.model.get("many") });
    this.pick = make("label", "rx-pick", { htmlFor: this.input.id }, this.model.get("many") ? "Choose files" : "Choose a file", this.input);
    const hint = make("span", "", {}, this.model.get("many")
      ? "Drop photos here, paste one (Ctrl+V), or" : "Drop a photo here, paste one (Ctrl+V), or");
    // Focusable by a click, so that Ctrl+V then lands here and not in JupyterLab's command mode.
    this.zone = control("div", "rx-zone", { tabIndex: -1 }, hint, this.pick);
    this.zone.setAttribute("role", "group");
    this.zone.setAttribute("aria-label", "Photo upload: drop, paste or choose a file");
    this.status = make("p", "rx-status");
    this.status.setAttribute("role", "status");
    this.root = make("div", "rx-card rx-upload", {}, this.zone, this.status);
  }

  listen() {
    this.input.addEventListener("change", () => {
      const files = [...this.input.files];
      this.input.value = ""; // choosing the same file again is a change again
      this.take(files);
    });

    this.zone.addEventListener("dragover", (event) => {
      if (!hasFiles(event.dataTransfer)) return;
      event.preventDefault();
      event.stopPropagation();
      event.dataTransfer.dropEffect = "copy";
      this.zone.classList.add("rx-over");
    });
    this.zone.addEventListener("dragleave", (event) => {
      if (!this.zone.contains(event.relatedTarget)) this.zone.classList.remove("rx-over");
    });
    this.zone.addEventListener("drop", (event) => {
      this.zone.classList.remove("rx-over");
      if (!hasFiles(event.dataTransfer)) return;
      event.preventDefault();
      event.stopPropagation();
      this.take([...event.dataTransfer.files]);
    });

    this.leaving = new AbortController();
    document.addEventListener("paste", (event) => this.onPaste(event), { signal: this.leaving.signal });

    this.leave = hear(this.model, {
      "change:status": () => this.showStatus(),
      "change:error": () => this.showStatus(),
      "msg:custom": (content) => content.answered === this.sent && this.showStatus(),
    });
  }

  onPaste(event) {
    if (event.defaultPrevented || !hasFiles(event.clipboardData)) return;
    const here = this.zone.contains(event.target) || this.zone.matches(":hover");
    if (!here && (isEditor(event.target) || !isVisible(this.zone))) return;
    event.preventDefault();
    this.take([...event.clipboardData.files]);
  }

  async take(files) {
    if (!files.length) return;
    const images = files.filter(({ type }) => type.startsWith("image/"));
    const chosen = this.model.get("many") ? files : [images[0] ?? files[0]];
    const batch = `${this.input.id}-${serial++}`, turn = (this.turn = (this.turn ?? 0) + 1);
    const only = files.length > chosen.length ? `Of ${files.length} files, only ${chosen[0].name} was used. ` : "";
    const refused = [];
    this.refused = "";
    for (const [k, file] of chosen.entries()) {
      this.say(`Reading ${file.name || "the photo"} …`);
      try {
        const { name, note, buffer } = await prepare(file);
        if (turn !== this.turn) return; // newer photos came while this one was being read
        this.say(`Sending ${name} …`);
        this.sent = `${batch}-${k}`;
        const words = (only + note).trim() || (chosen.length > 1 ? `${k + 1} of ${chosen.length} photos arrived.` : "");
        this.model.send({ name, note: words, id: this.sent, batch }, undefined, [buffer]);
      } catch (problem) {
        if (turn !== this.turn) return;
        refused.push(problem instanceof Refusal ? problem.message : `${file.name || "The photo"} could not be read: ${problem}.`);
      }
    }
    this.refused = refused.join(" ");
    if (refused.length) this.say(this.refused, true);
  }

  showStatus() {
    const status = this.model.get("status");
    if (!status) this.refused = "";
    this.say([this.refused, status].filter(Boolean).join(" "), Boolean(this.refused) || this.model.get("error"));
  }

  say(sentence, isError = false) {
    this.status.classList.toggle("rx-bad", isError);
    if (this.status.textContent !== sentence) this.status.textContent = sentence;
  }

  dispose() {
    this.leaving.abort();
    this.leave();
    this.root.remove();
  }
}

export default {
  render({ model, el }) {
    const view = new UploadView(model, el);
    return () => view.dispose();
  },
};
