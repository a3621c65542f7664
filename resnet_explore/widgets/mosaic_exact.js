/* Mosaics: the exact values of an enlarged map, which the kernel is asked for once the person rests there. */

class Exact {
  constructor(model) {
    this.model = model;
    this.forget();
  }

  forget() {
    this.maps = [];
    this.place = this.asked = "";
  }

  /** For each panel the map of `place`, as far as it has come. */
  at(place) {
    return this.place === place ? this.maps : [];
  }

  ask(place) {
    if (this.asked === place || this.place === place) return;
    clearTimeout(this.asking);
    this.asking = setTimeout(() => {
      this.asked = place;
      this.model.send?.({ want: place.split("/") });
    }, REST_MS);
  }

  /** Take an answer; whether it is what is wanted at `place`. */
  take(content, buffers, place) {
    this.asked = "";
    if (content.place.join("/") !== place) return false;
    this.place = place;
    this.maps = content.shapes.map(
      (shape, k) => shape && { rows: shape[0], columns: shape[1], values: new Float32Array(owned(buffers[k])) },
    );
    return true;
  }
}
