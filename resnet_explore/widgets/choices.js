/* Choices: buttons of which one may be pressed, each with a small picture or with a bar for each network. */

/** A bar with its number; its length is what the eye compares. */
function makeBar({ share, text, colour }) {
  const fill = make("span");
  fill.style.width = `${100 * share}%`;
  fill.style.background = colour;
  return make("span", "rx-share", {}, make("span", "rx-groove", {}, fill), make("span", "rx-percent", { textContent: text }));
}

function render({ model, el }) {
  const heading = make("div", "rx-subtitle"), list = make("div", "rx-options"), note = make("p", "rx-caption");
  const card = make("div", "rx-card rx-choose", {}, heading, list, note);
  let urls = [];
  list.setAttribute("role", "group");
  el.append(card);

  function draw() {
    const focused = [...list.children].indexOf(document.activeElement);
    urls.forEach((url) => URL.revokeObjectURL(url));
    urls = [];
    const chosen = model.get("chosen");
    list.replaceChildren(...model.get("items").map((item) => {
      const button = control("button", "rx-option", { type: "button", title: item.label });
      button.setAttribute("aria-pressed", String(item.key === chosen));
      if (item.picture) {
        urls.push(URL.createObjectURL(new Blob([item.picture])));
        button.append(make("img", "", { src: urls.at(-1), alt: item.label }));
        button.classList.add("rx-thumb");
      } else {
        button.append(make("span", "rx-word", { textContent: item.label }));
        if (item.bars) button.append(make("span", "rx-bars", {}, ...item.bars.map(makeBar)));
      }
      button.addEventListener("click", () => {
        model.set("chosen", item.key);
        model.save_changes();
      });
      return button;
    }));
    if (focused >= 0) list.children[focused]?.focus();
    heading.textContent = model.get("heading");
    list.setAttribute("aria-label", model.get("heading"));
    note.textContent = model.get("note");
    note.hidden = !note.textContent;
    card.hidden = !list.children.length;
  }

  const leave = hear(model, changes(["items", "chosen", "heading", "note"], gathered(draw)));
  draw();
  return () => {
    leave();
    urls.forEach((url) => URL.revokeObjectURL(url));
    card.remove();
  };
}

export default { render };
