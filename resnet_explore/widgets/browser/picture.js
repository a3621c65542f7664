/* What a page shows as a file, made by the page itself where no Python can: a picture (SVG, PNG) or its numbers (CSV). */

import { svg } from "./dom.js";

const MARGIN = 16, LINE = 1.4, SHARP = 2; // CSS pixels around, line heights, pixels of a PNG per CSS pixel
// What a copy of a chart no longer gets from the page's style.
const LOOKS = [
  "fill", "fill-opacity", "stroke", "stroke-width", "stroke-opacity", "stroke-dasharray", "stroke-linecap", "stroke-linejoin", "opacity",
  "font-family", "font-size", "font-weight", "font-style", "text-anchor", "dominant-baseline", "visibility", "paint-order", "transform",
];

/** Offer what is shown as a file. Throws an Error with one sentence where it can't be made.
 *
 * @param {any} page @param {string} format ".svg", ".png" or ".csv" @param {string} name @param {string} code the Python that opens this
 */
export async function saved(page, format, name, code) {
  const file = name.replace(/\B[A-Z]/g, "_$&").toLowerCase() + format;
  const made = code.split("\n").slice(2).join("; "), about = [...page.content.conditions ?? [], `Made with ${made}`];
  if (format === ".csv") return page.tools.offer(file, numbers(page.content, made));
  const drawing = picture(page, about), text = new XMLSerializer().serializeToString(drawing);
  return page.tools.offer(file, format === ".svg" ? text : await pixels(text, drawing.width.baseVal.value, drawing.height.baseVal.value));
}

// --- the picture ------------------------------------------------------------------------------------------

/** Headline, panels and conditions below each other. */
function picture(page, about) {
  const { stage, nodes, root } = page, frame = stage.getBoundingClientRect(), width = frame.width + 2 * MARGIN;
  const drawing = svg("svg", { xmlns: "http://www.w3.org/2000/svg", width, height: 1, "font-family": getComputedStyle(root).fontFamily });
  const ground = svg("rect", { width: "100%", fill: getComputedStyle(root).backgroundColor });
  drawing.append(ground);
  let down = paragraph(drawing, nodes.headline, nodes.headline.textContent, MARGIN, frame.width);
  copy(drawing, stage, MARGIN - frame.left, down + MARGIN / 2 - frame.top, page);
  down += frame.height + MARGIN;
  for (const sentence of about) down = paragraph(drawing, page.conditionsText.firstChild ?? nodes.why, sentence, down, frame.width);
  const height = Math.ceil(down + MARGIN);
  drawing.setAttribute("height", height);
  ground.setAttribute("height", height);
  return drawing;
}

const pen = document.createElement("canvas").getContext("2d");
const fontOf = (style) => `${style.fontStyle} ${style.fontWeight} ${style.fontSize} ${style.fontFamily}`;
const lettering = (style) => ({ fill: style.color, "font-size": style.fontSize, "font-weight": style.fontWeight, "font-style": style.fontStyle, "font-family": style.fontFamily });

/** Write a text over as many lines as it takes, and return where the next begins. */
function paragraph(drawing, like, text, top, width) {
  const style = getComputedStyle(like), high = parseFloat(style.fontSize) * LINE, lines = [""];
  pen.font = fontOf(style);
  for (const word of text.split(/\s+/)) {
    const longer = `${lines.at(-1)} ${word}`.trim();
    if (pen.measureText(longer).width <= width) lines[lines.length - 1] = longer;
    else lines.push(word);
  }
  lines.forEach((line, k) => drawing.append(svg("text", { x: MARGIN, y: top + (k + 0.75) * high, ...lettering(style) }, line)));
  return top + lines.length * high;
}

/** Draw what stands in a node where it stands: boxes, canvases, charts and words. */
function copy(drawing, node, dx, dy, page) {
  const style = getComputedStyle(node);
  if (style.display === "none" || style.visibility === "hidden" || style.opacity === "0" || node === page.nodes.busy) return;
  const box = node.getBoundingClientRect(), at = { x: box.left + dx, y: box.top + dy, width: box.width, height: box.height };
  if (node instanceof SVGSVGElement) {
    drawing.append(dressed(node, at));
    return;
  }
  fill(drawing, style, at);
  if (node instanceof HTMLCanvasElement && node.width && node.height) drawing.append(svg("image", { ...at, href: node.toDataURL(), preserveAspectRatio: "none", opacity: style.opacity, style: `image-rendering:${style.imageRendering}` }));
  if (node instanceof HTMLImageElement && node.complete && node.naturalWidth) drawing.append(svg("image", { ...at, href: inline(node), preserveAspectRatio: "none", opacity: style.opacity }));
  for (const child of node.childNodes) {
    if (child instanceof Element) copy(drawing, child, dx, dy, page);
    else if (child.nodeType === Node.TEXT_NODE && child.textContent.trim()) words(drawing, child, style, dx, dy);
  }
}

function fill(drawing, style, at) {
  const clear = (color) => color === "transparent" || color.endsWith(", 0)");
  const thick = parseFloat(style.borderTopWidth), line = thick && style.borderTopStyle !== "none" && !clear(style.borderTopColor);
  if (clear(style.backgroundColor) && !line) return;
  drawing.append(svg("rect", {
    ...at, rx: parseFloat(style.borderTopLeftRadius) || 0, fill: clear(style.backgroundColor) ? "none" : style.backgroundColor,
    ...(line ? { stroke: style.borderTopColor, "stroke-width": thick } : {}),
  }));
}

/** A photo's bytes, which a file has to hold. */
function inline(image) {
  const canvas = Object.assign(document.createElement("canvas"), { width: image.naturalWidth, height: image.naturalHeight });
  canvas.getContext("2d").drawImage(image, 0, 0);
  return canvas.toDataURL();
}

/** Each word where the page has put it, since lines break there. */
function words(drawing, node, style, dx, dy) {
  const range = document.createRange();
  pen.font = fontOf(style);
  for (const found of node.textContent.matchAll(/\S+/g)) {
    range.setStart(node, found.index);
    range.setEnd(node, found.index + found[0].length);
    const box = range.getBoundingClientRect(), { fontBoundingBoxAscent: up, fontBoundingBoxDescent: below } = pen.measureText(found[0]);
    if (!box.width) continue;
    drawing.append(svg("text", { x: box.left + dx, y: box.top + dy + (box.height - up - below) / 2 + up, ...lettering(style) }, found[0]));
  }
}

/** A chart with the look that the page's style gives it. */
function dressed(node, at) {
  const twin = node.cloneNode(true), from = [node, ...node.querySelectorAll("*")], to = [twin, ...twin.querySelectorAll("*")];
  from.forEach((each, k) => {
    const style = getComputedStyle(each);
    if (style.display === "none") to[k].dataset.gone = "";
    else to[k].setAttribute("style", LOOKS.map((name) => `${name}:${style.getPropertyValue(name)}`).join(";"));
  });
  twin.querySelectorAll("[data-gone]").forEach((each) => each.remove());
  for (const [name, value] of Object.entries(at)) twin.setAttribute(name, value);
  if (!twin.hasAttribute("viewBox")) twin.setAttribute("viewBox", `0 0 ${at.width} ${at.height}`);
  return twin;
}

async function pixels(text, width, height) {
  const image = new Image(), url = URL.createObjectURL(new Blob([text], { type: "image/svg+xml" }));
  try {
    image.src = url;
    await image.decode();
    const canvas = Object.assign(document.createElement("canvas"), { width: width * SHARP, height: height * SHARP }), brush = canvas.getContext("2d");
    brush.scale(SHARP, SHARP);
    brush.drawImage(image, 0, 0);
    return await new Promise((resolve) => { canvas.toBlob(resolve, "image/png"); });
  } catch {
    throw new Error("This browser can't make a PNG of the picture: save it as SVG.");
  } finally {
    URL.revokeObjectURL(url);
  }
}

// --- the numbers ------------------------------------------------------------------------------------------

const quoted = (value) => (typeof value === "number" ? decimal(value) : `"${String(value ?? "").replaceAll('"', '""')}"`);
const decimal = (value) => (Number.isNaN(value) ? "nan" : Number.isFinite(value) ? String(value) : value > 0 ? "inf" : "-inf");

/** The rows of all charts, surfaces and tables, as Python writes them, below what is true of all. */
function numbers({ panels, below, headline, conditions }, code) {
  const parts = [...panels ?? [], ...below ?? []].flat().filter(Boolean);
  const tables = parts.map((part) => [part.key, { charts: points, surfaces: heights, table: rowsOf, matrices: cells }[part.kind]?.(part) ?? []]).filter(([, rows]) => rows.length);
  const rows = tables.flatMap(([key, each]) => each.map((row) => (tables.length > 1 ? { table: key, ...row } : row)));
  const head = [...new Set(rows.flatMap(Object.keys))];
  const about = { code, headline, ...(conditions?.length ? { conditions: conditions.join(" ") } : {}) };
  const notes = Object.entries(about).map(([key, value]) => `# ${key}: ${value.split(/\s+/).join(" ")}`);
  return [...notes, head.map(quoted).join(","), ...rows.map((row) => head.map((name) => (row[name] === undefined ? "\"\"" : quoted(row[name]))).join(","))].join("\n") + "\n";
}

const list = (values) => Array.from(values?.data ?? values ?? []);

function points(part) {
  return part.charts.filter(Boolean).flatMap((chart) => chart.series.filter(Boolean).flatMap((series) => {
    const [y, low, high] = [series.y, series.low, series.high].map(list);
    const across = chart.x.name || chart.x.label, up = chart.y.unit ? `${chart.y.label} (${chart.y.unit})` : chart.y.label;
    const band = (k) => (low.length ? [["low", low[k]], ["high", high[k]]] : []);
    return list(series.x).map((x, k) => Object.fromEntries([["chart", chart.title], ["series", series.name], [across, x], [up, y[k]], ...band(k)]));
  }));
}

const rowsOf = (part) => part.rows.map((row) => Object.fromEntries(part.columns.map((column, k) => [column.title, row[k]])));

function cells({ matrices, row, column, label }) {
  const across = row === column ? `${column} across` : column;
  return matrices.flatMap(({ title, values, columns, rows_named: rowNames, columns_named: names }) => Array.from(values.data, (value, k) => {
    const r = Math.floor(k / columns.length), c = k % columns.length;
    return { of: title, [across]: (names.length ? names : columns)[c], [row]: rowNames.length ? rowNames[r] : r + 1, [label]: value };
  }));
}

function heights({ surfaces, across, up, label }) {
  return surfaces.flatMap(({ name, x, y, loss, error }) => list(loss).map((value, k) => {
    const row = { network: name, [across]: x.data[k % x.data.length], [up]: y.data[Math.floor(k / x.data.length)], [label]: value };
    if (error) row["error (%)"] = error.data[k];
    return row;
  }));
}
