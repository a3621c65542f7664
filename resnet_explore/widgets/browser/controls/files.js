/* Files that are dropped or pasted. */

const EDITORS = `textarea, select, [contenteditable]:not([contenteditable=false]),
  input:not([type=range], [type=file], [type=button], [type=checkbox], [type=radio])`;

/** Is the person typing into something that wants the pasted thing itself? */
const isEditor = (node) => node instanceof Element && node.closest(EDITORS) !== null;

function isVisible(node) {
  const box = node.getBoundingClientRect();
  const onScreen = box.bottom > 0 && box.right > 0 && box.top < innerHeight && box.left < innerWidth;
  return onScreen && box.width > 0 && box.height > 0;
}

const hasFiles = (transfer) => [...(transfer?.types ?? [])].includes("Files");

/** Take the files that are dropped on a node, and those that are pasted there or, where that means nobody else, anywhere.
 *
 * @param {HTMLElement} node @param {(files: File[]) => void} take
 * @returns {() => void} what ends that
 */
export function receives(node, take) {
  const leaving = new AbortController(), { signal } = leaving;
  node.addEventListener("dragover", (event) => {
    if (!hasFiles(event.dataTransfer)) return;
    event.preventDefault();
    event.stopPropagation();
    event.dataTransfer.dropEffect = "copy";
    node.classList.add("rx-over");
  }, { signal });
  node.addEventListener("dragleave", (event) => { if (!node.contains(event.relatedTarget)) node.classList.remove("rx-over"); }, { signal });
  node.addEventListener("drop", (event) => {
    node.classList.remove("rx-over");
    if (!hasFiles(event.dataTransfer)) return;
    event.preventDefault();
    event.stopPropagation();
    take([...event.dataTransfer.files]);
  }, { signal });
  document.addEventListener("paste", (event) => {
    if (event.defaultPrevented || !hasFiles(event.clipboardData)) return;
    const here = node.contains(event.target) || node.matches(":hover");
    if (!here && (isEditor(event.target) || !isVisible(node))) return;
    event.preventDefault();
    take([...event.clipboardData.files]);
  }, { signal });
  return () => leaving.abort();
}
