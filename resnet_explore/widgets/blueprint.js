/* Blueprint: networks as rows of boxes, skips as arcs. Needs only model.get / set / on / save_changes, so it also
 * runs in a page without a kernel.
 */

const html = (tag, className, textContent = "") => make(tag, className, { textContent });

const MARKS = [
  ["identity", "the input itself is added"], ["projection", "a projection of it is added"],
  ["padding", "it is added, padded with zero channels"], ["gated", "it is added, weighed by a gate"],
  ["concatenation", "it is put beside the output"], ["far", "a skip past several boxes"],
  ["link", "what feeds what"],
];

/** What the lines of these drawings mean, those that occur. */
function legend(pictures) {
  const line = html("p", "rx-key rx-marks");
  for (const [name, words] of MARKS) {
    if (!pictures.some((picture) => picture.querySelector(`.rx-${name}`))) continue;
    const sample = svg("svg", { width: 34, height: 20, "aria-hidden": "true" }, arc(2, 32, 18, `rx-arc rx-${name}`));
    const item = html("span", "rx-mark");
    item.append(sample, words);
    line.append(item);
  }
  return line;
}

/** A drawing that scrolls where it has no room, and a line that says so. */
function across(picture, ends) {
  const whole = html("div", ""), more = html("p", "rx-more"), scroll = html("div", "rx-across");
  const hint = () => {
    const hidden = ends.filter((end) => end > scroll.scrollLeft + scroll.clientWidth + 2).length;
    more.hidden = scroll.scrollWidth <= scroll.clientWidth + 1;
    more.textContent = hidden ? `${hidden} more box${hidden > 1 ? "es" : ""}: scroll →` : "← scroll back";
  };
  more.setAttribute("aria-hidden", "true"); // for the eye alone: keys lead to all boxes
  scroll.append(picture);
  scroll.addEventListener("scroll", hint);
  whole.append(more, scroll);
  return { whole, hint };
}

function render({ model, el }) {
  const card = html("div", "rx-card rx-drawing");
  const rows = html("div", "rx-rows"), words = html("p", "rx-caption rx-words");
  const inside = control("div", "rx-inside", { tabIndex: 0 });
  const status = make("p", "rx-message", { role: "status" });
  card.append(status, rows, words, inside);
  el.append(card);
  const hint = "Each box is a block or a layer; each doubling of its maps' side adds the same height. Click a box to see inside.";
  const rowsHint = " Where maps grow and shrink all the time, there is a row for each of their sizes.";
  words.setAttribute("aria-live", "polite");
  let drawn = [], room = 0;

  const select = (chosen) => {
    model.set("selected", chosen);
    model.save_changes();
  };
  const isOpen = (network, box) => model.get("selected")[0] === network && model.get("selected")[1] === box;
  const open = (network, box) => select(isOpen(network, box) ? [] : [network, box]); // once more closes it
  /** Keys that lead on take along what is open, so that the line and what lies below it are of one box. */
  const follow = (network, box) => { if (model.get("selected").length && !isOpen(network, box)) select([network, box]); };
  const openBox = () => {
    const [network, index] = model.get("selected");
    return model.get("networks")[network]?.boxes[index];
  };
  const say = (text) => { words.textContent = text ?? (openBox() ? sentence(openBox()) : words.textContent); };

  function showNetworks() {
    const networks = model.get("networks");
    rows.replaceChildren(html("p", "rx-title", model.get("title")));
    const width = shareOut(networks, room || 908);
    drawn = networks.map((network, i) => {
      const head = html("p", "rx-subtitle", network.title);
      head.style.color = network.color;
      const { picture, nodes, ends } = drawNetwork(network, width, say, (box) => open(i, box), (box) => follow(i, box));
      const { whole, hint } = across(picture, ends);
      rows.append(head, html("p", "rx-caption", network.facts), whole);
      hint();
      return nodes;
    });
    rows.append(legend([...rows.querySelectorAll(".rx-blueprint")]));
    const several = rows.querySelector(".rx-link") ? rowsHint : "";
    words.textContent = networks.length ? hint + several : "";
    showInside();
  }

  function showInside() {
    const [network, index] = model.get("selected"), box = openBox();
    drawn.forEach((nodes, i) => nodes.forEach((node, k) => node.classList.toggle("rx-open", i === network && k === index)));
    inside.replaceChildren();
    inside.hidden = !box;
    if (!box) return;
    say();
    inside.append(html("p", "rx-subtitle", `Inside ${box.name}, ${box.kind}${box.count > 1 ? ` (${box.count} alike)` : ""}`));
    if (box.note) inside.append(html("p", "rx-caption", box.note));
    if (box.inside.length) inside.append(drawInside(box));
  }

  /** What is about to be replaced is dimmed while the kernel works. */
  function showMessage() {
    status.textContent = model.get("message");
    status.hidden = !status.textContent;
    card.classList.toggle("rx-reading", Boolean(status.textContent));
  }

  const resized = new ResizeObserver(([entry]) => {
    const wide = Math.floor(entry.contentRect.width);
    if (!wide || wide === room) return;
    room = wide;
    showNetworks();
  });
  resized.observe(rows);
  const leave = hear(model, {
    "change:networks": showNetworks,
    "change:message": showMessage,
    "change:selected": showInside,
  });
  showNetworks();
  showMessage();
  return () => {
    leave();
    resized.disconnect();
  };
}

export default { render };
