/* Networks as rows of boxes, skips as arcs; a box that is clicked shows what it holds. */

import { control, make, onWidth, same, svg } from "../dom.js";
import { drawInside } from "./blueprint_inside.js";
import { arc, drawNetwork, sentence, shareOut } from "./blueprint_row.js";

const MARKS = [
  ["identity", "the input itself is added"], ["projection", "a projection of it is added"],
  ["padding", "it is added, padded with zero channels"], ["gated", "it is added, weighed by a gate"],
  ["concatenation", "it is put beside the output"], ["far", "a skip past several boxes"],
  ["link", "what feeds what"],
];
const HINT = "Each box is a block or a layer. Point at one to read it, click it to look inside.";
const SCALE = "Each doubling of the maps' side adds the same height.";
const ROWS = "Where maps grow and shrink all the time, there is a row for each of their sizes.";

/** What the lines of these drawings mean, those that occur. */
function legend(pictures) {
  const line = make("p", "rx-marks");
  for (const [name, words] of MARKS) {
    if (!pictures.some((picture) => picture.querySelector(`.rx-${name}`))) continue;
    const sample = svg("svg", { width: 34, height: 20, "aria-hidden": "true" }, arc(2, 32, 18, `rx-arc rx-${name}`));
    line.append(make("span", "rx-mark", {}, sample, words));
  }
  return line;
}

/** A drawing that scrolls where it has no room, and a line that says so. */
function across(picture, ends) {
  const more = make("p", "rx-more", { ariaHidden: "true" }), scroll = make("div", "rx-across", {}, picture);
  const hint = () => {
    const hidden = ends.filter((end) => end > scroll.scrollLeft + scroll.clientWidth + 2).length;
    more.hidden = scroll.scrollWidth <= scroll.clientWidth + 1;
    more.textContent = hidden ? `${hidden} more box${hidden > 1 ? "es" : ""}: scroll →` : "← scroll back";
  };
  scroll.addEventListener("scroll", hint);
  return { whole: make("div", "", {}, more, scroll), hint };
}

/** `props`: {networks: [{title, facts, color, boxes}], opened: the field that holds [network, box] or []}.
 *
 * @type {import("../page.js").Component}
 */
export function blueprint(page, props) {
  const rows = make("div", "rx-rows"), read = make("p", "rx-read");
  const inside = control("div", "rx-inside", { tabIndex: 0 });
  inside.setAttribute("role", "region");
  const node = make("div", "rx-blueprints", {}, rows, read, inside);
  read.setAttribute("aria-live", "polite");
  let drawn = [], room = 0;

  const opened = () => page.state[props.opened];
  const isOpen = (network, box) => same(opened(), [network, box]);
  const open = (network, box) => page.choose(props.opened, isOpen(network, box) ? [] : [network, box]); // once more closes it
  /** Keys that lead on take along what is open, so that the line and what lies below it are of one box. */
  const follow = (network, box) => { if (opened().length && !isOpen(network, box)) page.choose(props.opened, [network, box]); };
  const openBox = () => props.networks[opened()[0]]?.boxes[opened()[1]];
  const say = (text) => { read.textContent = text ?? (openBox() ? sentence(openBox()) : read.textContent); };

  function drawNetworks() {
    const focused = drawn.map((nodes) => nodes.indexOf(document.activeElement));
    const width = shareOut(props.networks, room || 908);
    const heads = [];
    drawn = props.networks.map((network, i) => {
      const head = make("p", `rx-subtitle rx-ink-${network.color}`, { textContent: network.title });
      const { picture, nodes, ends } = drawNetwork(network, width, say, (box) => open(i, box), (box) => follow(i, box));
      const { whole, hint } = across(picture, ends);
      heads.push(head, make("p", "rx-facts", { textContent: network.facts }), whole);
      queueMicrotask(hint);
      return nodes;
    });
    rows.replaceChildren(...heads);
    rows.append(legend([...rows.querySelectorAll(".rx-blueprint")]));
    focused.forEach((k, i) => { if (k >= 0) drawn[i]?.[k]?.focus(); });
    read.textContent = [HINT, SCALE, ...(rows.querySelector(".rx-link") ? [ROWS] : [])].join(" ");
  }

  function showInside() {
    const [network, index] = opened(), box = openBox();
    drawn.forEach((nodes, i) => nodes.forEach((each, k) => each.classList.toggle("rx-open", i === network && k === index)));
    inside.hidden = !box;
    if (!box) return inside.replaceChildren();
    say();
    const { title: whose, color } = props.networks[network];
    const title = `Inside ${box.name} of ${whose}: ${box.kind}${box.count > 1 ? ` (${box.count} alike)` : ""}`;
    inside.setAttribute("aria-label", title);
    inside.replaceChildren(make("p", `rx-subtitle rx-ink-${color}`, { textContent: title }));
    if (box.note) inside.append(make("p", "rx-facts", { textContent: box.note }));
    if (box.inside.length) inside.append(drawInside(box));
    return undefined;
  }

  const leaveWidth = onWidth(rows, (width) => {
    room = width;
    drawNetworks();
    showInside();
  });
  drawNetworks();
  showInside();
  return {
    node,
    update(next) {
      const before = props;
      props = next;
      if (before.networks !== next.networks && !same(before.networks, next.networks)) drawNetworks();
      showInside();
    },
    leave: leaveWidth,
  };
}
