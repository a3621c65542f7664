/* The address of a page with explorers in it: "depth=56" where there is one, "skips-inside.depth=56" where there are several. */

/** What a page's address says of each explorer. @param {string} hash @param {string[]} names @returns {{[name: string]: string}} */
export function fromPage(hash, names) {
  const found = {};
  for (const [key, value] of new URLSearchParams(hash.replace(/^#/, ""))) {
    const name = names.length === 1 ? names[0] : key.slice(0, key.indexOf("."));
    if (!names.includes(name)) continue;
    found[name] ??= new URLSearchParams();
    found[name].append(names.length === 1 ? key : key.slice(name.length + 1), value);
  }
  return Object.fromEntries(Object.entries(found).map(([name, share]) => [name, String(share)]));
}

/** The other way. @param {{[name: string]: string | undefined}} shares @param {string[]} names */
export function toPage(shares, names) {
  const whole = new URLSearchParams();
  for (const name of names) {
    for (const [key, value] of new URLSearchParams(shares[name] ?? "")) whole.append(names.length === 1 ? key : `${name}.${key}`, value);
  }
  return String(whole);
}
