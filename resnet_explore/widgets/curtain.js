/* Curtain: what its later siblings show is greyed at once when something else is chosen, and a sentence says so. */

function render({ model, el }) {
  const message = document.createElement("p");
  message.setAttribute("role", "status");
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

  const names = ["data", "view", "depth", "drawn", "sentences", "note"];
  for (const name of names) model.on(`change:${name}`, draw);
  draw();
  return () => names.forEach((name) => model.off(`change:${name}`, draw));
}

export default { render };
