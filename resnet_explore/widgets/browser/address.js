/* A state in a page's address, "depth=56&deleted=[2,5]", so that a link leads to what is seen. */

/** @param {string} hash @returns {{[field: string]: any}} */
export const fromAddress = (hash) => Object.fromEntries([...new URLSearchParams(hash.replace(/^#/, ""))].map(([name, text]) => [name, value(text)]));

/** @param {{[field: string]: any}} fields */
export const toAddress = (fields) => String(new URLSearchParams(Object.entries(fields).map(([name, each]) => [name, typeof each === "string" ? each : JSON.stringify(each)])));

/** Make an address that of this page, without a step for the browser's *Back*. @param {string} text */
export function setAddress(text) {
  try {
    history.replaceState(null, "", text ? `#${text}` : location.pathname + location.search);
  } catch {
    // A page in a frame without an address of its own has none to change.
  }
}

function value(text) {
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}
