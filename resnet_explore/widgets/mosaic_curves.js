/* Mosaics: the statistics through depth, with a line at the block that is shown. */

const MEASURING = "Measuring the curves …";

class Curves {
  constructor(model) {
    this.model = model;
    this.charts = make("div", "rx-chart", { role: "img" });
    this.node = make("div", "rx-curves", {}, this.charts, make("p", "rx-measuring", { textContent: MEASURING }));
    this.take();
  }

  /** While new curves are measured the old ones keep their place, pale and without their line. */
  take() {
    this.shown = -1;
    const late = !this.model.get("charts")?.pictures;
    this.node.classList.toggle("rx-late", late);
    if (late) this.charts.setAttribute("aria-label", MEASURING);
  }

  /** Put the line where block `index` of `blocks` is, in the curves of one depth. */
  show(depth, index, blocks) {
    const charts = this.model.get("charts");
    if (!charts?.pictures) return;
    const at = clamp(depth, 0, charts.pictures.length - 1);
    if (this.shown !== at) this.draw(charts, at);
    charts.places[at].forEach(([first, end, top, bottom], k) => {
      const { style } = this.charts.children[k].lastChild;
      style.left = `${100 * (first + ((end - first) * index) / Math.max(1, blocks - 1))}%`;
      style.top = `${100 * top}%`;
      style.height = `${100 * (bottom - top)}%`;
    });
  }

  /** One picture, cut into its panels, which go into several rows where there is less room. */
  draw({ pictures, alts, places }, at) {
    const { length } = places[at];
    this.release();
    this.url = URL.createObjectURL(new Blob([pictures[at]], { type: "image/png" }));
    this.charts.setAttribute("aria-label", alts[at]);
    this.charts.replaceChildren(...places[at].map((_, k) => {
      const picture = make("img", "rx-chart-picture", { src: this.url, alt: "" });
      Object.assign(picture.style, { width: `${100 * length}%`, marginLeft: `${-100 * k}%` });
      return make("div", "", {}, picture, make("span"));
    }));
    this.charts.style.setProperty("--wide", length);
    this.charts.style.setProperty("--narrow", Math.ceil(length / 2));
    this.shown = at;
  }

  /** Let go of the picture's bytes, once those are done who may still be reading them. */
  release() {
    const { url } = this;
    setTimeout(() => URL.revokeObjectURL(url), 10_000);
  }
}
