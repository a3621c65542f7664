/* The pictures of a filmstrip, decoded beside the page. */

function decode(source) {
  const first = new Uint8Array(source.buffer, source.byteOffset, 1)[0];
  const type = { 0x89: "image/png", 0xff: "image/jpeg", 0x52: "image/webp" }[first] ?? "";
  return createImageBitmap(new Blob([source], { type }));
}

/** Encoded pictures and their bitmaps, decoded from the wanted step outwards. */
export class Reel {
  constructor(sources) {
    this.sources = sources;
    this.bitmaps = sources.map(() => undefined);
    this.closed = false;
  }

  /** The bitmap of a step; undefined while it is being decoded, null if there is none to be had. */
  at(step) {
    const position = this.sources.length === 1 ? 0 : step;
    return position < this.sources.length ? this.bitmaps[position] : null;
  }

  nearestMissing(step) {
    let best = -1;
    this.bitmaps.forEach((bitmap, at) => {
      if (bitmap === undefined && (best < 0 || Math.abs(at - step) < Math.abs(best - step))) best = at;
    });
    return best;
  }

  async decodeAll(currentStep, onDecoded) {
    for (let at = this.nearestMissing(currentStep()); at >= 0; at = this.nearestMissing(currentStep())) {
      const bitmap = await decode(this.sources[at]).catch(() => null);
      if (this.closed) return bitmap?.close();
      this.bitmaps[at] = bitmap;
      onDecoded();
    }
  }

  /** Largest width and height among the decoded pictures. */
  extent() {
    const known = this.bitmaps.filter(Boolean);
    return [Math.max(0, ...known.map((b) => b.width)), Math.max(0, ...known.map((b) => b.height))];
  }

  get complete() {
    return !this.bitmaps.includes(undefined);
  }

  close() {
    this.closed = true;
    this.bitmaps.forEach((bitmap) => bitmap?.close());
  }
}
