/* Is a heatmap better than chance? A row for each measure, a column for each network.
 *
 * What it says comes aside, measure by measure, and names the depth and block that it is about.
 */

import { control, make, same } from "../dom.js";

/** @type {import("../page.js").Component} */
export function verdict(page, props) {
  const title = make("h4", "rx-subtitle"), press = control("button", "rx-button", { type: "button" });
  const head = make("div", "rx-verdict-head", {}, title, press), table = make("table"), note = make("p", "rx-note");
  const node = make("section", "rx-verdict", {}, head, make("div", "rx-scroll", {}, table), note);
  let said = null;
  press.addEventListener("click", () => page.act(said.act));

  function cell(value) {
    if (!value) return make("td", "", { textContent: "…" });
    const mark = make("span", value.passed ? "rx-passed" : "rx-failed", { textContent: value.passed ? "✓" : "✗" });
    mark.setAttribute("role", "img");
    mark.setAttribute("aria-label", value.passed ? "passed" : "not passed");
    return make("td", "", {}, mark, make("b", "", { textContent: ` ${value.value} ` }), make("span", "rx-chance", { textContent: value.chance }));
  }

  function fill() {
    title.textContent = said.title;
    note.textContent = said.note;
    press.textContent = said.press;
    press.hidden = !said.press;
    table.hidden = !said.rows.length;
    const names = said.names.map(({ name, color }) => make("th", color ? `rx-ink-${color}` : "", { textContent: name, scope: "col" }));
    const rows = said.rows.map((row) => make("tr", "", {}, make("th", "", { textContent: row.measure, title: row.tip, scope: "row" }), ...row.cells.map(cell)));
    table.replaceChildren(make("thead", "", {}, make("tr", "", {}, make("td"), ...names)), make("tbody", "", {}, ...rows));
  }

  function show() {
    const next = page.aside[props.key];
    if (!next) return;
    if (!same(said, next)) {
      said = next;
      fill();
    }
    node.classList.toggle("rx-behind", !same(said.of, [page.state.depth, page.state.block]));
  }

  show();
  return {
    node,
    update(next) {
      props = next;
      show();
    },
  };
}
