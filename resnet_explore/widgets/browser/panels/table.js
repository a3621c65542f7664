/* A table: heads are buttons, a second press turns the order round; what is not known stays last.
 * What doesn't fit is scrolled, and a line says so.
 */

import { component } from "../component.js";
import { control, make, same } from "../dom.js";

const shown = (value, digits) =>
  value === null ? "–"
    : typeof value === "number" ? value.toLocaleString("en-US", { minimumFractionDigits: digits, maximumFractionDigits: digits })
      : value;

/** Order of two cells, those that are not known last. @returns {number} */
export function compared(a, b, sign) {
  if (a === null || b === null) return Number(a === null) - Number(b === null);
  return sign * (typeof a === "number" ? a - b : a.localeCompare(b, "en", { numeric: true }));
}

/** @type {import("../page.js").Component} */
export function table(page, props) {
  const more = make("p", "rx-more", { ariaHidden: "true" }); // for the eye alone: who hears the table hears all columns
  const body = make("table"), scroll = control("div", "rx-scroll", { tabIndex: 0 }, body);
  scroll.setAttribute("role", "region");
  const node = make("div", "rx-table", {}, more, scroll);

  const count = (number, what) => `${number} more ${what}${number > 1 ? "s" : ""}`;

  /** Says how much lies out of sight, to the right and below; its line stays, so that nothing jumps. */
  function hint() {
    const { right, bottom } = scroll.getBoundingClientRect(), rows = scroll.scrollHeight > scroll.clientHeight + 1;
    const columns = scroll.scrollWidth > scroll.clientWidth + 1;
    const beyond = [...body.querySelectorAll("thead th")].filter((cell) => cell.getBoundingClientRect().right > right + 1).length;
    const below = [...body.querySelectorAll("tbody tr")].filter((row) => row.getBoundingClientRect().bottom > bottom + 1).length;
    const hidden = [beyond && `${count(beyond, "column")} →`, below && `${count(below, "row")} ↓`].filter(Boolean);
    more.hidden = !rows && !columns;
    more.textContent = hidden.length ? `scroll: ${hidden.join(", ")}` : "scroll back";
  }

  function head(column, k, by, sign) {
    const button = control("button", "", { type: "button", textContent: column.title, title: column.tip });
    button.append(make("span", "rx-order", { textContent: k === by ? (sign > 0 ? " ▲" : " ▼") : "", ariaHidden: "true" }));
    button.addEventListener("click", () => page.choose(props.sort, [k, k === by ? -sign : column.best]));
    const cell = make("th", column.digits === null ? "" : "rx-figure", { scope: "col" }, button);
    if (column.twin) button.classList.add(`rx-ink-${column.twin}`);
    cell.setAttribute("aria-sort", k === by ? (sign > 0 ? "ascending" : "descending") : "none");
    return cell;
  }

  let drawn; // the order in which the rows stand
  function draw() {
    const [by, sign] = page.state[props.sort];
    if (same(drawn, [by, sign])) return;
    drawn = [by, sign];
    scroll.setAttribute("aria-label", `Table of ${props.rows.length} rows`);
    const focused = [...body.querySelectorAll("button")].indexOf(document.activeElement);
    const heads = props.columns.map((column, k) => head(column, k, by, sign));
    const [marked, shaded] = [new Set(props.marked), new Set(props.shaded)];
    const rows = [...props.rows.entries()].sort(([, a], [, b]) => compared(a[by], b[by], sign)).map(([place, row]) => {
      const cells = row.map((value, k) => {
        const { digits } = props.columns[k];
        return make(k ? "td" : "th", digits === null ? "" : "rx-figure", { textContent: shown(value, digits), ...(k ? {} : { scope: "row" }) });
      });
      const line = make("tr", shaded.has(place) ? "rx-shaded" : "", {}, ...cells);
      if (marked.has(place)) line.setAttribute("aria-current", "true");
      return line;
    });
    body.replaceChildren(make("thead", "", {}, make("tr", "", {}, ...heads)), make("tbody", "", {}, ...rows));
    if (focused >= 0) body.querySelectorAll("button")[focused]?.focus();
    hint();
  }

  scroll.addEventListener("scroll", hint);
  const resized = new ResizeObserver(hint);
  resized.observe(scroll);
  return component(node, props, { fill: () => { drawn = undefined; }, press: draw, leave: () => resized.disconnect() });
}
