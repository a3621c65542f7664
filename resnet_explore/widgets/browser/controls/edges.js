/* A row that scrolls sideways says on which sides there is more. */

import { control } from "../dom.js";

/** Watch a row inside of `node`: fade its edges where it goes on, and offer a button there.
 *
 * The row's own controls take the keys, so the buttons are for the pointer alone.
 *
 * @param {HTMLElement} node @param {HTMLElement} row @param {string} what stands in the row
 * @returns {{mark: () => void, leave: () => void}}
 */
export function edges(node, row, what) {
  const buttons = [["before", "◂", "Earlier", -1], ["after", "▸", "Later", 1]].map(([side, sign, which, way]) => {
    const label = `${which} ${what}`;
    const button = control("button", `rx-turn rx-turn-${side}`, { type: "button", textContent: sign, title: label, ariaLabel: label, tabIndex: -1 });
    button.addEventListener("click", () => row.scrollBy({ left: way * Math.max(60, row.clientWidth - 80), behavior: "smooth" }));
    return button;
  });
  node.append(...buttons);

  function mark() {
    const [before, after] = [row.scrollLeft > 1, row.scrollLeft + row.clientWidth < row.scrollWidth - 1];
    node.classList.toggle("rx-goes-before", before);
    node.classList.toggle("rx-goes-after", after);
    buttons[0].hidden = !before;
    buttons[1].hidden = !after;
  }

  row.addEventListener("scroll", mark, { passive: true });
  const resized = new ResizeObserver(mark);
  resized.observe(row);
  mark();
  return { mark, leave: () => resized.disconnect() };
}
