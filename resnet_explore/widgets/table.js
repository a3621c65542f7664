/* SortableTable: heads are buttons, a second press turns the order round; what is not known stays last.
 * What doesn't fit is scrolled inside the card, and a line says so.
 */

function make(tag, className, text = "") {
  const node = document.createElement(tag);
  node.className = className;
  node.textContent = text;
  return node;
}

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
  const title = make("p", "rx-title"), more = make("p", "rx-more"), scroll = make("div", "rx-scroll"), table = make("table", ""), caption = make("p", "rx-caption");
  more.setAttribute("aria-hidden", "true"); // for the eye alone: who hears the table hears all columns
  scroll.tabIndex = 0;
  scroll.dataset.lmSuppressShortcuts = "true";
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
    const head = make("tr", "");
    columns.forEach((column, i) => {
      const cell = make("th", column.digits === null ? "" : "rx-number");
      cell.scope = "col";
      cell.setAttribute("aria-sort", i === by ? (sign > 0 ? "ascending" : "descending") : "none");
      const button = make("button", "", `${column.title}${i === by ? (sign > 0 ? " ▲" : " ▼") : ""}`);
      button.title = column.tip ?? "";
      button.dataset.lmSuppressShortcuts = "true";
      button.addEventListener("click", () => {
        model.set("order", [i, i === by ? -sign : column.best ?? 1]);
        model.save_changes();
        draw();
      });
      cell.append(button);
      head.append(cell);
    });
    const rows = [...model.get("rows")].sort((a, b) => compare(a[by], b[by], sign)).map((row) => {
      const line = make("tr", "");
      line.append(...row.map((value, i) => make("td", columns[i].digits === null ? "" : "rx-number", shown(value, columns[i].digits))));
      return line;
    });
    const top = document.createElement("thead"), body = document.createElement("tbody");
    top.append(head);
    body.append(...rows);
    table.replaceChildren(top, body);
    if (focused >= 0) table.querySelectorAll("button")[focused]?.focus();
    title.textContent = model.get("title");
    title.hidden = !title.textContent;
    caption.textContent = model.get("caption");
    hint();
  }

  for (const name of ["columns", "rows", "order", "title", "caption"]) model.on(`change:${name}`, draw);
  draw();
  scroll.addEventListener("scroll", hint);
  const resized = new ResizeObserver(hint);
  resized.observe(scroll);
  return () => resized.disconnect();
}

export default { render };
