/* A view as it comes from Python: arrays are taken out of its buffers, and what depends on a field is picked. */

const KINDS = {
  float64: Float64Array, float32: Float32Array, int32: Int32Array, uint32: Uint32Array, int16: Int16Array,
  uint16: Uint16Array, int8: Int8Array, uint8: Uint8Array, bool: Uint8Array,
};

/** Bytes on a buffer of their own: numbers in it have to lie at multiples of their size. */
const owned = (view) => (view instanceof ArrayBuffer ? view : view.buffer.slice(view.byteOffset, view.byteOffset + view.byteLength));

/** A view's tree with every array in its place, as {data, shape}, or as an ArrayBuffer where it is mere bytes.
 *
 * Without buffers, as where a view was made in the browser, all is in its place already.
 *
 * @param {any} tree @param {DataView[]} buffers
 */
export function unpacked(tree, buffers) {
  if (!buffers.length) return tree;
  if (Array.isArray(tree)) return tree.map((entry) => unpacked(entry, buffers));
  if (tree === null || typeof tree !== "object") return tree;
  if (tree.$array !== undefined) {
    const bytes = owned(buffers[tree.$array]);
    if (tree.dtype === "bytes") return bytes;
    if (tree.dtype === "int64" || tree.dtype === "uint64") {
      const Big = tree.dtype === "int64" ? BigInt64Array : BigUint64Array;
      return { data: Float64Array.from(new Big(bytes), Number), shape: tree.shape };
    }
    if (!KINDS[tree.dtype]) throw new TypeError(`An array of ${tree.dtype} can't be read here.`);
    return { data: new KINDS[tree.dtype](bytes), shape: tree.shape };
  }
  return Object.fromEntries(Object.entries(tree).map(([name, entry]) => [name, unpacked(entry, buffers)]));
}

const isArray = (tree) => ArrayBuffer.isView(tree.data) || tree instanceof ArrayBuffer;

/** What is shown at a state. What depends on nothing is the very same object as before.
 *
 * @param {any} tree @param {{[field: string]: any}} state
 * @param {(field: string) => void} lacks called where there is nothing for the state's value of a field
 */
export function picked(tree, state, lacks = () => {}) {
  if (Array.isArray(tree)) {
    const entries = tree.map((entry) => picked(entry, state, lacks));
    return entries.every((entry, k) => entry === tree[k]) ? tree : entries;
  }
  if (tree === null || typeof tree !== "object" || isArray(tree)) return tree;
  if (tree.$now !== undefined) return state[tree.$now];
  if (tree.$over !== undefined) {
    const wanted = JSON.stringify(state[tree.$over]);
    const k = tree.at.findIndex((at) => at === state[tree.$over] || JSON.stringify(at) === wanted);
    if (k < 0) lacks(tree.$over);
    return k < 0 ? null : picked(tree.each[k], state, lacks);
  }
  let changed = false;
  const entries = Object.entries(tree).map(([name, entry]) => {
    const now = picked(entry, state, lacks);
    changed ||= now !== entry;
    return [name, now];
  });
  return changed ? Object.fromEntries(entries) : tree;
}
