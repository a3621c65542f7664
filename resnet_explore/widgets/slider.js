/* Slider: a native slider on a card of its own. The model hears of each move, the kernel once it rests. */

function render({ model, el }) {
  const card = make("div", "rx-card rx-shared-slider");
  const input = control("input", "rx-shared-step", { type: "range", min: 0, step: 1 });
  const label = make("label", "rx-label", { htmlFor: input.id });
  const ticks = make("div", "rx-ticks");
  const track = make("div", "rx-track");
  const value = make("span", "rx-value");
  for (const node of [ticks, value]) node.setAttribute("aria-hidden", "true"); // aria-valuetext says it
  track.append(input, ticks);
  card.append(label, track, value);
  el.append(card);

  let saving;
  input.addEventListener("input", () => {
    model.set("index", Number(input.value));
    clearTimeout(saving);
    saving = setTimeout(() => model.save_changes(), REST_MS);
  });

  function draw() {
    const words = model.get("ticks");
    label.textContent = model.get("label");
    input.max = Math.max(0, words.length - 1);
    input.disabled = words.length < 2; // it keeps its place
    ticks.replaceChildren(...words.map((word, at) => {
      const tick = make("span", "", { textContent: word });
      tick.style.setProperty("--at", at / Math.max(1, words.length - 1)); // one alone is where its thumb is
      return tick;
    }));
    move();
  }

  function move() {
    const index = model.get("index");
    const said = `${model.get("ticks")[index] ?? ""} ${model.get("unit")}`.trim();
    input.value = index;
    input.setAttribute("aria-valuetext", said);
    value.textContent = said;
    [...ticks.children].forEach((tick, at) => tick.classList.toggle("rx-now", at === index));
  }

  const leave = hear(model, { ...changes(["label", "ticks", "unit"], draw), "change:index": move });
  draw();
  return () => {
    leave();
    clearTimeout(saving);
    model.save_changes();
  };
}

export default { render };
