/* Is a heatmap better than chance? A row for each measure, a column for each network. */

import { control, make, same } from "../dom.js";

/** @type {import("../page.js").Component} */
export function verdict(page, props) {
  const title = make("h4", "rx-subtitle"), press = control("button", "rx-button", { type: "button" });
  const head = make("div", "rx-verdict-head", {}, title, press), table = make("table"), note = make("p", "rx-note");
  const node = make("section", "rx-verdict", {}, head, make("div", "rx-scroll", {}, table), note);
  press.addEventListener("click", () => page.act(props.act));

  function cell(value) {
    if (!value) return make("td", "", { textContent: "…" });
    const mark = make("span", value.passed ? "rx-passed" : "rx-failed", { textContent: value.passed ? "✓" : "✗" });
    mark.setAttribute("role", "img");
    mark.setAttribute("aria-label", value.passed ? "passed" : "not passed");
    return make("td", "", {}, mark, make("b", "", { textContent: ` ${value.value} ` }), make("span", "rx-chance", { textContent: value.chance }));
  }

  function fill() {
    title.textContent = props.title;
    note.textContent = props.note;
    press.textContent = props.press;
    press.hidden = !props.press;
    table.hidden = !props.rows.length;
    const names = props.names.map(({ name, color }) => make("th", color ? `rx-ink-${color}` : "", { textContent: name, scope: "col" }));
    const rows = props.rows.map((row) => make("tr", "", {}, make("th", "", { textContent: row.measure, title: row.tip, scope: "row" }), ...row.cells.map(cell)));
    table.replaceChildren(make("thead", "", {}, make("tr", "", {}, make("td"), ...names)), make("tbody", "", {}, ...rows));
  }

  fill();
  return {
    node,
    update(next) {
      const before = props;
      props = next;
      if (before !== next && !same(before, next)) fill();
    },
  };
}
