/* SortableTable: heads are buttons, a second press turns the order round; what is not known stays last.
 * What doesn't fit is scrolled inside the card, and a line says so.
 */

const shown = (value, digits) =>
  value === null ? "–"
    : typeof value === "number" ? value.toLocaleString("en-US", { minimumFractionDigits: digits, maximumFractionDigits: digits })
      : value;

function compare(a, b, sign) {
  if (a === null || b === null) return (a === null) - (b === null);
  return sign * (typeof a === "number" ? a - b : a.localeCompare(b, "en", { numeric: true }));
}

function render({ model, el }) {
  const card = make("div", "rx-card rx-table");
  const title = make("p", "rx-title"), more = make("p", "rx-more"), scroll = control("div", "rx-scroll", { tabIndex: 0 }), table = make("table"), caption = make("p", "rx-caption");
  more.setAttribute("aria-hidden", "true"); // for the eye alone: who hears the table hears all columns
  scroll.append(table);
  card.append(title, more, scroll, caption);
  el.append(card);

  /** Says how many columns lie out of sight to the right; its line stays, so that nothing jumps. */
  function hint() {
    const edge = scroll.getBoundingClientRect().right + 1;
    const hidden = [...table.querySelectorAll("th")].filter((cell) => cell.getBoundingClientRect().right > edge).length;
    more.hidden = scroll.scrollWidth <= scroll.clientWidth + 1;
    more.textContent = hidden ? `${hidden} more column${hidden > 1 ? "s" : ""}: scroll →` : "← scroll back";
  }

  function draw() {
    const columns = model.get("columns"), [by, sign] = model.get("order");
    const focused = [...table.querySelectorAll("button")].indexOf(document.activeElement);
    const head = make("tr");
    columns.forEach((column, i) => {
      const cell = make("th", column.digits === null ? "" : "rx-number");
      cell.scope = "col";
      cell.setAttribute("aria-sort", i === by ? (sign > 0 ? "ascending" : "descending") : "none");
      const textContent = `${column.title}${i === by ? (sign > 0 ? " ▲" : " ▼") : ""}`;
      const button = control("button", "", { textContent, title: column.tip ?? "" });
      button.addEventListener("click", () => {
        model.set("order", [i, i === by ? -sign : column.best ?? 1]);
        model.save_changes();
        draw();
      });
      cell.append(button);
      head.append(cell);
    });
    const rows = [...model.get("rows")].sort((a, b) => compare(a[by], b[by], sign)).map((row) => {
      const cells = row.map((value, i) => {
        const { digits } = columns[i];
        return make("td", digits === null ? "" : "rx-number", { textContent: shown(value, digits) });
      });
      return make("tr", "", {}, ...cells);
    });
    table.replaceChildren(make("thead", "", {}, head), make("tbody", "", {}, ...rows));
    if (focused >= 0) table.querySelectorAll("button")[focused]?.focus();
    title.textContent = model.get("title");
    title.hidden = !title.textContent;
    caption.textContent = model.get("caption");
    hint();
  }

  const leave = hear(model, changes(["columns", "rows", "order", "title", "caption"], draw));
  draw();
  scroll.addEventListener("scroll", hint);
  const resized = new ResizeObserver(hint);
  resized.observe(scroll);
  return () => {
    leave();
    resized.disconnect();
  };
}

export default { render };
