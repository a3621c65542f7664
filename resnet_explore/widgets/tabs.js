/* Tabs: one stop for Tab, arrow keys between the buttons, Enter or a space to press. */

function render({ model, el }) {
  const row = make("div", "rx-tabs");
  row.setAttribute("role", "group");
  el.append(row);

  function draw() {
    row.setAttribute("aria-label", model.get("label"));
    const buttons = model.get("options").map((option) => {
      const button = control("button", "", { textContent: option, title: model.get("tips")[option] ?? "" });
      button.addEventListener("click", () => {
        model.set("value", option);
        model.save_changes();
      });
      button.addEventListener("keydown", (event) => {
        const step = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
        const at = buttons.indexOf(button), last = buttons.length - 1;
        const next = step ? (at + step + buttons.length) % buttons.length : { Home: 0, End: last }[event.key];
        if (next === undefined) return;
        event.preventDefault();
        event.stopPropagation();
        buttons[next].focus();
      });
      return button;
    });
    row.replaceChildren(...buttons);
    press();
  }

  function press() {
    for (const button of row.children) {
      const pressed = button.textContent === model.get("value");
      button.setAttribute("aria-pressed", pressed);
      button.tabIndex = pressed ? 0 : -1;
    }
  }

  draw();
  return hear(model, { ...changes(["options", "tips", "label"], draw), "change:value": press });
}

export default { render };
