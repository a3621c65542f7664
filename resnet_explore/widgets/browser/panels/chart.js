/* A row of charts: beside each other where there is room, and read together where they have the same x axis. */

import { arrange, clamp, lowEnough, make, onWidth, same } from "../dom.js";
import { Plot } from "./plot.js";

const NARROWEST = 230, GAP = 28; // pixels
const LOWEST = 190, HIGHEST = 300, FLATNESS = 0.66; // of the picture: its height, and that over its width

/** How many of so many charts stand beside each other, so that rows are equally full. */
export function columnsFor(count, width) {
  const most = clamp(Math.floor((width + GAP) / (NARROWEST + GAP)), 1, Math.max(1, count));
  return Math.ceil(count / Math.ceil(count / most));
}

/** `props`: {charts: [chart], chooses: the field that a click sets to a point's x, or "", or one for each chart}.
 *
 * @type {import("../page.js").Component}
 */
export function charts(page, props) {
  const node = make("div", "rx-charts");
  /** @type {Plot[]} */
  const plots = [];
  let room = 0;

  const fieldOf = (plot) => (Array.isArray(props.chooses) ? props.chooses[plots.indexOf(plot)] : props.chooses);

  /** @type {import("./plot.js").Row} */
  const row = {
    read(from, at) {
      for (const plot of plots) if (plot === from || (plot.chart && same(plot.chart.x, from.chart.x))) plot.read(at);
    },
    // On an axis of whole numbers a point between two of them lies inside of what the second one names.
    choose: (plot, at) => { if (row.chooses(plot)) page.choose(fieldOf(plot), plot.chart.x.whole ? Math.ceil(at) : at); },
    chooses: (plot) => Boolean(fieldOf(plot)) && typeof plot.chart?.chosen === "number",
    say: (text) => page.say(text),
  };

  function fill() {
    const shown = props.charts ?? [];
    const changed = plots.length !== shown.length;
    while (plots.length < shown.length) plots.push(new Plot(row));
    for (const plot of plots.splice(shown.length)) plot.leave();
    if (changed) {
      arrange(node, plots.map((plot) => plot.node));
      lay();
    }
    shown.forEach((chart, i) => {
      plots[i].node.classList.toggle("rx-choosing", Boolean(fieldOf(plots[i])));
      plots[i].take(chart);
    });
  }

  /** Give each chart its share of the width; all of a row are equally high. */
  function lay() {
    if (!room || !plots.length) return;
    const columns = columnsFor(plots.length, room);
    const shares = columns === plots.length ? props.charts.map((chart) => chart?.share ?? 1) : Array(columns).fill(1);
    const whole = shares.reduce((a, b) => a + b, 0), free = room - GAP * (columns - 1);
    const widths = shares.map((share) => Math.floor((free * share) / whole));
    const height = Math.round(clamp((FLATNESS * free) / columns, LOWEST, Math.max(LOWEST, lowEnough(node, HIGHEST))));
    node.style.gridTemplateColumns = widths.map((width) => `${width}px`).join(" ");
    plots.forEach((plot, i) => plot.size(widths[i % columns], height));
  }

  const leaveWidth = onWidth(node, (width) => {
    room = width;
    lay();
  });
  fill();
  return {
    node,
    update(next) {
      if (next === props) return;
      props = next;
      fill();
    },
    leave() {
      leaveWidth();
      for (const plot of plots) plot.leave();
    },
  };
}
