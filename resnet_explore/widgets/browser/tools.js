/* The corner of every explorer: save what is seen, and copy what leads back to it. */

import { control, copied, download, foldsByEscape, make, same, summary } from "./dom.js";
import { filled } from "./python.js";

const SAVED_MS = 6000, COPIED_MS = 1500;
const FORMATS = { ".png": "PNG, the picture", ".svg": "SVG, the picture", ".pdf": "PDF, the picture", ".csv": "CSV, its numbers", ".npz": "NPZ, the arrays" };

/** A list that unfolds below a word, until the focus leaves it. @param {string} word @param {string} className @param {HTMLElement} list */
function fold(word, className, list) {
  const node = make("details", `rx-fold ${className}`, {}, summary(word), list);
  foldsByEscape(node);
  node.addEventListener("focusout", (event) => { if (!node.contains(event.relatedTarget)) node.open = false; });
  return node;
}

export class Tools {
  /** @param {import("./page.js").Page} page */
  constructor(page) {
    this.page = page;
    this.formats = make("div", "rx-formats");
    this.copies = make("div", "rx-formats");
    this.saving = fold("Save", "rx-save", this.formats);
    this.copying = fold("Copy", "rx-copy", this.copies);
    this.told = make("p", "rx-saved");
    this.told.setAttribute("role", "status");
    this.node = make("div", "rx-tools", {}, this.saving, this.copying, this.told);
    this.timer = 0;
    this.shown = null;
    this.offerCopy("Code", "opens what you see", () => page.model.get("_code"));
    this.call = this.offerCopy("Call", "gives these numbers", () => filled(page.model.get("_call"), page.state));
  }

  /** Offer a text to be copied. @param {string} label @param {string} use what it does @param {() => string} text */
  offerCopy(label, use, text) {
    const button = control("button", "", { type: "button", textContent: `${label}: ${use}` });
    button.addEventListener("click", async () => {
      const now = text(), done = await copied(now);
      this.page.say(done ? "Copied." : now);
      this.copying.open = false;
      this.tell(done ? `${label} copied.` : "The browser does not allow copying here.", COPIED_MS);
    });
    this.copies.append(button);
    return button;
  }

  /** @param {string[]} formats endings that what is shown can be saved with */
  fill(formats) {
    if (same(formats, this.shown)) return;
    this.shown = formats;
    const buttons = formats.map((format) => {
      const button = control("button", "", { type: "button", textContent: FORMATS[format] ?? format });
      button.addEventListener("click", () => {
        this.saving.open = false;
        this.page.act("save", format);
      });
      return button;
    });
    this.formats.replaceChildren(...(buttons.length ? buttons : ["Nothing here makes a file."]));
  }

  /** Give the person a file, and say where it is. @param {string} name @param {BlobPart} data */
  offer(name, data) {
    download(name, data);
    this.tell(`${name} is in your browser's downloads.`, SAVED_MS);
  }

  tell(sentence, time) {
    this.told.textContent = sentence;
    clearTimeout(this.timer);
    this.timer = setTimeout(() => { this.told.textContent = ""; }, time);
  }

  leave() {
    clearTimeout(this.timer);
  }
}
