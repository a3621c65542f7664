/* Curtain: what its later siblings show is greyed at once when something else is chosen, and a sentence says so. */

function render({ model, el }) {
  const message = make("p", "", { role: "status" });
  el.classList.add("rx-curtain");
  el.append(message);

  function sentence() {
    const [data, view, depth, drawn] = ["data", "view", "depth", "drawn"].map((name) => model.get(name));
    const sentences = model.get("sentences");
    if (data !== drawn.data) return sentences.data[data];
    if (view !== drawn.view) return `Drawing “${view}” ...`;
    if (drawn.depth !== null && depth !== drawn.depth) return sentences.depth[depth];
    return model.get("note");
  }

  function draw() {
    const said = sentence() ?? "";
    if (message.textContent !== said) message.textContent = said; // a live region: say it once
    el.classList.toggle("rx-drawn", Boolean(said)); // as a curtain is
  }

  draw();
  return hear(model, changes(["data", "view", "depth", "drawn", "sentences", "note"], draw));
}

export default { render };
