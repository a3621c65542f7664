/* What the networks are shown: samples, what is drawn, photos. */

import { digitOf, painted, photoOf, png, standardised } from "./pixels.js";

const MAP_SIDE = 256, LARGE = 8; // pixels of the picture that maps lie over; what enlarged channels lie over is so many times as large

export class Inputs {
  constructor(facts) {
    this.facts = facts;
    this.samples = new Map(Object.entries(facts.kinds).flatMap(([kind, { samples }]) => samples.map((sample) => [sample.value, { ...sample, kind }])));
    this.photos = []; // what a person gave, the newest first
    this.drawn = null;
    this.drawings = 0;
    this.ready = new Map(); // inputs as networks take them; few, as most are drawings on their way
  }

  /** Take strokes and return the value of the state that stands for them. */
  draw(strokes) {
    this.drawn = { value: `drawing-${++this.drawings}`, label: "your digit", kind: "digits", pixels: digitOf(strokes), strokes };
    return this.drawn.value;
  }

  /** Take a photo and return the value of the state that stands for it. Raises what the browser does where it can't be read. */
  async take(file, name) {
    const photo = await createImageBitmap(file, { imageOrientation: "from-image" });
    const pixels = photoOf(photo, this.facts.kinds.cifar10.side);
    photo.close();
    const value = `photo-${this.photos.length + 1}`;
    this.photos.unshift({ value, label: name, kind: "cifar10", pixels, picture: await png(pixels, 104) });
    return value;
  }

  uploads(kind) { return kind === "cifar10" ? this.photos : []; }

  /** The input as networks and panels take it. */
  async find(value) {
    if (this.ready.has(value)) return this.ready.get(value);
    const all = [...this.photos, ...(this.drawn ? [this.drawn] : [])];
    const one = this.samples.get(value) ?? all.find((each) => each.value === value) ?? this.drawn;
    const { kind, pixels, label, strokes = null, is } = one, form = this.facts.kinds[kind];
    const large = painted(pixels), [wide, high] = [large.width * LARGE, large.height * LARGE];
    const canvas = new OffscreenCanvas(wide, high), context = canvas.getContext("2d");
    context.imageSmoothingEnabled = false;
    context.drawImage(large, 0, 0, wide, high);
    const rgba = context.getImageData(0, 0, wide, high).data, rgb = new Uint8Array(wide * high * 3);
    for (let k = 0; k < wide * high; k++) rgb.set(rgba.subarray(4 * k, 4 * k + 3), 3 * k);
    const input = {
      key: one.value, about: kind === "digits" ? label[0].toLowerCase() + label.slice(1) : `“${label}”`, truth: is === undefined ? "" : form.classes[is], pixels, strokes,
      values: standardised(pixels, form), png: await png(pixels, MAP_SIDE), enlarged: { data: rgb, shape: [high, wide, 3] },
    };
    this.ready.set(one.value, input);
    if (this.ready.size > 24) this.ready.delete(this.ready.keys().next().value);
    return input;
  }
}
