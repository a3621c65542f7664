/* Values and code as Python writes them. */

/** A value of the state. */
export function python(value) {
  if (Array.isArray(value)) return `(${value.map(python).join(", ")}${value.length === 1 ? "," : ""})`;
  if (typeof value === "string") return `'${value.replaceAll("\\", "\\\\").replaceAll("'", "\\'")}'`;
  return { true: "True", false: "False", null: "None" }[String(value)] ?? String(value);
}

/** Code with the state's values in the places that are kept for them: "{depth}". @param {string} code @param {any} state */
export const filled = (code, state) => code.replaceAll(/\{(\w+)\}/g, (_, field) => python(state[field]));
