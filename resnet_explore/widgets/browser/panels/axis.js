/* An axis: from values to pixels, the round numbers that are written beside it, and how a number is written. */

/** @typedef {{label: string, unit: string, name: string, low: number, high: number, scale: "linear" | "log",
 *   ticks: [number, string][], whole: boolean}} Axis
 * @typedef {{low: number, high: number, log: boolean, place: (value: number) => number}} Scale
 * @typedef {{value: number, label: string}} Tick
 */

const FAR = 1e4; // pixels; what lies further out is out of sight, and browsers miscount there
const LETTER = 6.7; // pixels, about, of a 12 px font
/** @type {[number, string][]} */
const UNITS = [[1e12, " T"], [1e9, " G"], [1e6, " M"]];
const RAISED = "⁰¹²³⁴⁵⁶⁷⁸⁹";
const round = new Intl.NumberFormat("en-US", { maximumSignificantDigits: 3 });
const long = new Intl.NumberFormat("en-US", { maximumSignificantDigits: 4 });
const full = new Intl.NumberFormat("en-US", { maximumFractionDigits: 0 });
const short = new Intl.NumberFormat("en-US", { maximumFractionDigits: 3 });

const fixed = new Map(); // formats with so many decimals, each of which takes long to make

/** @param {number} digits */
function decimalsOf(digits) {
  if (!fixed.has(digits)) fixed.set(digits, new Intl.NumberFormat("en-US", { minimumFractionDigits: digits, maximumFractionDigits: digits }));
  return fixed.get(digits);
}

const minus = (text) => text.replace("-", "−");

/** "10⁻⁵" @param {number} exponent */
export const power = (exponent) => `10${exponent < 0 ? "⁻" : ""}${[...String(Math.abs(exponent))].map((d) => RAISED[d]).join("")}`;

/** A number as it is read out, to three digits: "1,024", "0.0316", "3.2×10⁻⁵", and "–" for none. @param {number} value */
export function numeral(value) {
  if (Number.isNaN(value)) return "–";
  const size = Math.abs(value);
  if (size === Infinity) return value > 0 ? "∞" : "−∞";
  if (Number.isInteger(value) && size < 1e10) return minus(full.format(value));
  if (size >= 1e-3 && size < 1e6) return minus((size < 1000 ? round : long).format(value));
  const [digits, exponent] = value.toExponential(2).split("e");
  return minus(`${Number(digits)}×${power(Number(exponent))}`);
}

/** How a value of an axis is called: by its own tick, if it has one. @param {Axis} axis */
export const labelOf = (axis, value) => axis.ticks?.find(([at]) => at === value)?.[1] ?? numeral(value);

/** Where values lie between two pixels. An axis without width gets some. @param {Axis} axis @returns {Scale} */
export function scaleOf(axis, from, to) {
  const log = axis.scale === "log";
  let { low, high } = axis;
  if (log) {
    if (!(high > 0)) [low, high] = [0.1, 10];
    else if (!(low > 0)) low = high / 100;
  }
  if (!(high > low)) [low, high] = log ? [low / 10, low * 10] : [low - 0.5, low + 0.5];
  const begin = log ? Math.log10(low) : low, length = (log ? Math.log10(high) : high) - begin;
  const place = (value) => {
    const at = log ? (value > 0 ? Math.log10(value) : NaN) : value;
    const pixel = from + ((at - begin) / length) * (to - from);
    return pixel > FAR ? FAR : pixel < -FAR ? -FAR : pixel;
  };
  return { low, high, log, place };
}

/** The axis's own ticks, or about `count` round numbers. @param {Axis} axis @param {Scale} scale @returns {Tick[]} */
export function ticksOf(axis, scale, count) {
  const { low, high } = scale, room = scale.log ? 0 : (high - low) * 1e-9;
  if (axis.ticks?.length) {
    const [from, to] = scale.log ? [low * (1 - 1e-9), high * (1 + 1e-9)] : [low - room, high + room];
    return axis.ticks.filter(([value]) => value >= from && value <= to).map(([value, label]) => ({ value, label }));
  }
  if (!scale.log) return linear(low, high, count, axis.whole);
  const decades = powers(low, high, count);
  if (decades.length > 2 || (decades.length === 2 && high / low >= 100)) return decades;
  const fine = mantissas(low, high, count);
  return fine.length > 1 ? fine : linear(low, high, count, axis.whole);
}

function linear(low, high, count, whole) {
  const rough = (high - low) / Math.max(1, count), unit = 10 ** Math.floor(Math.log10(rough));
  let step = unit * [1, 2, 5, 10].find((factor) => factor * unit >= rough * 0.999);
  if (whole) step = Math.max(1, Math.round(step));
  const first = Math.ceil(low / step - 1e-9), last = Math.floor(high / step + 1e-9);
  const values = Array.from({ length: last - first + 1 }, (_, k) => (first + k) * step);
  if (whole && low > 0 && low <= 1 && values[0] > 2) values.unshift(1); // layers begin at 1
  const largest = Math.max(Math.abs(low), Math.abs(high));
  if (largest >= 1e15 || step < 1e-4) return values.map((value) => ({ value, label: numeral(Number(value.toPrecision(6))) }));
  const [size, letter] = UNITS.find(([least]) => largest >= least) ?? [1, ""];
  const decimals = decimalsOf(Math.max(0, -Math.floor(Math.log10(step / size) + 1e-9)));
  return values.map((value) => ({ value, label: value === 0 ? "0" : minus(decimals.format(value / size)) + letter }));
}

/** Whole powers of ten; written in full where all of them are short. */
function powers(low, high, count) {
  const first = Math.ceil(Math.log10(low) - 1e-9), last = Math.floor(Math.log10(high) + 1e-9);
  const every = Math.max(1, Math.ceil((last - first) / Math.max(1, count)));
  const inFull = first >= -3 && last <= 4;
  const ticks = [];
  for (let k = first; k <= last; k += every) {
    const value = 10 ** k;
    ticks.push({ value, label: inFull ? short.format(value) : power(k) });
  }
  return ticks;
}

/** 1, 2 and 5 times powers of ten, for an axis over less than two of them. */
function mantissas(low, high, count) {
  const ticks = [];
  for (let k = Math.floor(Math.log10(low)); k <= Math.log10(high); k += 1) {
    for (const factor of count >= 4 ? [1, 2, 5] : [1, 3]) {
      const value = factor * 10 ** k;
      if (value >= low * (1 - 1e-9) && value <= high * (1 + 1e-9)) ticks.push({ value, label: numeral(value) });
    }
  }
  return ticks;
}

/** How many pixels a text takes, roughly and rather too many. @param {string} text */
export const widthOf = (text) => text.length * LETTER;

/** Which of the labels below an axis fit beside each other: the last one does, and what leaves it room.
 *
 * @param {Tick[]} ticks @param {Scale} scale @returns {boolean[]}
 */
export function fitting(ticks, scale) {
  const at = ticks.map(({ value }) => scale.place(value)), half = ticks.map(({ label }) => widthOf(label) / 2 + 4);
  const last = ticks.length - 1;
  let edge = -Infinity;
  return ticks.map((_, k) => {
    const free = at[k] - half[k] >= edge && (k === last || at[k] + half[k] <= at[last] - half[last]);
    if (free) edge = at[k] + half[k];
    return free || k === last;
  });
}
