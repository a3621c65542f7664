/* Signed maps over one photo, side by side: opacity, colours, scale and the value under the pointer need no kernel. */

import { control, make, write } from "../dom.js";
import { SIDE, color, signed, underMap } from "./heat_colors.js";
import { drawCell, drawMark, movedBy, placeOf, words } from "./heat_pointing.js";

/** @type {import("../page.js").Component} */
export function heatmaps(page, props) {
  const grid = control("div", "rx-heat-grid", { tabIndex: 0 });
  const bar = make("canvas", "rx-heat-bar", { width: 256, height: 1 }), low = make("span"), high = make("span"), meaning = make("span", "rx-meaning");
  const legend = make("p", "rx-legend", {}, low, bar, high, meaning);
  const readout = make("p", "rx-heat-readout");
  const node = make("div", "rx-heatmaps", {}, grid, legend, readout);
  const layer = make("canvas", "", { width: SIDE, height: SIDE }), pixels = new ImageData(SIDE, SIDE);
  grid.setAttribute("role", "application"); // screen readers keep the arrow keys of an image to themselves
  grid.setAttribute("aria-roledescription", "heatmaps");
  readout.setAttribute("role", "status");
  const cells = []; // the elements of each map
  let photo = null, under = null, photoKey = null, wanted = null, gone = false;
  let place = null, drawn = [], count = 0;

  function makeCell() {
    const name = make("span", "rx-heat-name"), heading = make("span", "rx-heat-heading"), canvas = make("canvas", "rx-heat");
    canvas.addEventListener("pointermove", (event) => moveTo(placeOf(event)));
    canvas.addEventListener("pointerdown", (event) => moveTo(placeOf(event)));
    canvas.addEventListener("pointerleave", (event) => { if (event.pointerType === "mouse") moveTo(null); });
    canvas.addEventListener("click", (event) => { moveTo(placeOf(event)); ask(); });
    return { name, heading, canvas, node: make("div", "rx-heat-cell", {}, make("p", "", {}, name, heading), canvas) };
  }

  function ask() {
    if (place && props.asks) page.act(props.asks, [place.y, place.x]);
  }

  function moveTo(next) {
    if (!next && !place) return;
    place = next;
    draw();
  }

  grid.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && place) ask();
    const next = movedBy(event.key, place, props.steps.maps.at(-1).values.shape);
    if (next === undefined && event.key !== "Enter") return;
    event.preventDefault();
    event.stopPropagation();
    if (next !== undefined) moveTo(next);
  });
  grid.addEventListener("blur", () => moveTo(null));

  /** Show another photo once it is there: its maps wait for it. */
  async function take() {
    const { picture, picture_key: key } = props;
    if (key === wanted) return;
    wanted = key;
    const found = await createImageBitmap(new Blob([picture])).catch(() => null);
    if (gone || key !== wanted || !found) {
      found?.close();
      return;
    }
    photo?.close();
    photo = found;
    photoKey = key;
    under = underMap(photo);
    place = null;
    draw();
  }

  function draw() {
    const { steps, palettes, opacity, shared } = props;
    if (!photo || photoKey !== props.picture_key || !steps) return;
    const palette = palettes.find(({ name }) => name === props.palette) ?? palettes[0];
    const scale = shared ? props.together : steps.scale;
    const now = [steps, opacity, palette, scale, photoKey, place];
    if (now.every((value, k) => value === drawn[k])) return;
    drawn = now;
    while (cells.length < steps.maps.length) cells.push(makeCell());
    while (grid.children.length > steps.maps.length) grid.lastChild.remove();
    node.style.setProperty("--columns", String(Math.min(props.columns, steps.maps.length)));
    node.style.setProperty("--aspect", String(photo.width / photo.height));
    steps.maps.forEach((map, k) => {
      const cell = cells[k];
      if (grid.children[k] !== cell.node) grid.append(cell.node);
      head(cell, map);
      paint(cell.canvas, map, { opacity, scale, table: palette.colors.data });
    });
    writeLegend(scale, palette);
    write(readout, words(props, place));
    grid.dataset.drawn = ++count;
  }

  function head({ name, heading }, map) {
    write(name, map.name);
    name.className = `rx-heat-name${map.color ? ` rx-ink-${map.color}` : ""}`;
    write(heading, map.heading);
    heading.title = map.heading;
  }

  function paint(canvas, map, { opacity, scale, table }) {
    if (canvas.width !== photo.width || canvas.height !== photo.height) Object.assign(canvas, { width: photo.width, height: photo.height });
    const context = canvas.getContext("2d");
    context.drawImage(opacity > 0 ? under : photo, 0, 0);
    color(pixels.data, map.values, scale, table, props.crisp);
    layer.getContext("2d").putImageData(pixels, 0, 0);
    context.globalAlpha = opacity;
    context.drawImage(layer, 0, 0, photo.width, photo.height);
    context.globalAlpha = 1;
    drawMark(context, map.mark, photo);
    drawCell(context, map, place, photo);
  }

  function writeLegend(scale, palette) {
    const image = new ImageData(256, 1);
    image.data.set(palette.colors.data);
    bar.getContext("2d").putImageData(image, 0, 0);
    const ends = props.steps.beyond ? ["≤ ", "≥ "] : ["", ""], some = scale > 0;
    bar.hidden = !some;
    write(low, some ? ends[0] + signed(-scale) : "");
    write(high, some ? `${ends[1]}${signed(scale)} ${props.unit}` : "");
    const said = props.meaning.replace("{plus}", palette.plus).replace("{minus}", palette.minus);
    write(meaning, some ? said && `${said[0].toUpperCase()}${said.slice(1)}.` : "There is nothing to colour; the conditions say why.");
  }

  function show() {
    grid.setAttribute("aria-label", props.alt);
    take();
    draw();
  }

  show();
  return {
    node,
    update(next) {
      if (next.steps !== props.steps && next.picture_key !== props.picture_key) place = null;
      props = next;
      show();
    },
    leave() {
      gone = true;
      photo?.close();
    },
  };
}
