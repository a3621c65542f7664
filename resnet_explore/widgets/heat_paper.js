/* Heatmaps: a picture that leaves the page takes its title, scale and caption along. */

const MARGIN = 16; // pixels around what is saved

/** Hand bytes to the person as a file. */
function offer(file, blob) {
  const link = make("a", "", { href: URL.createObjectURL(blob), download: file });
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
}

/** What stands around the picture, as lines of text with their size, and where it and the colour bar are. */
function layOut(view) {
  const { width, height } = view.canvas, size = Math.max(12, width / 62), lines = [];
  let y = 0;
  const wrap = (text, scale, weight) => {
    const most = Math.floor(width / (0.52 * size * scale)), words = text.split(" ");
    for (let line = words.shift(); line !== undefined; line = words.shift()) {
      while (words.length && line.length + words[0].length < most) line += ` ${words.shift()}`;
      y += 1.35 * size * scale;
      lines.push({ text: line, x: 0, y, size: size * scale, weight });
    }
  };
  wrap(view.now.title, 1.25, 600);
  y += 1.6 * size;
  view.series.headings.forEach((text, k) => lines.push({ text, x: k * (view.photo.width + view.gap), y, size, weight: 600 }));
  y += 0.5 * size;
  const top = y;
  y += height + 1.6 * size;
  // Room for the numbers at both ends of the colour bar.
  const [low, high] = view.ends;
  const bar = { x: 0.62 * size * (low.length + 1), y: y - 0.8 * size, width: Math.min(180, 0.3 * width), height: 0.9 * size };
  lines.push({ text: low, x: 0, y, size, weight: 400 });
  lines.push({ text: high, x: bar.x + bar.width + 0.5 * size, y, size, weight: 400 });
  wrap(view.signs, 1, 400);
  wrap(`${view.now.caption} ${view.model.get("program")}.`, 1, 400);
  return { lines, top, bar, wide: width + 2 * MARGIN, tall: Math.ceil(y + 0.6 * size) + 2 * MARGIN };
}

async function asPng(view) {
  const { lines, top, bar, wide, tall } = layOut(view);
  const paper = make("canvas", "", { width: wide, height: tall }), context = paper.getContext("2d");
  context.fillStyle = "#fafafa";
  context.fillRect(0, 0, wide, tall);
  context.drawImage(view.canvas, MARGIN, MARGIN + top);
  context.fillStyle = "#fff";
  context.fillRect(MARGIN + bar.x, MARGIN + bar.y, bar.width, bar.height);
  context.drawImage(view.bar, MARGIN + bar.x, MARGIN + bar.y, bar.width, bar.height);
  context.fillStyle = "#1b1d21";
  for (const { text, x, y, size, weight } of lines) {
    context.font = `${weight} ${size}px system-ui, sans-serif`;
    context.fillText(text, MARGIN + x, MARGIN + y);
  }
  return new Promise((done) => paper.toBlob(done));
}

function asSvg(view) {
  const { lines, top, bar, wide, tall } = layOut(view), { canvas } = view;
  const escape = (text) => text.replace(/[&<>"]/g, (c) => `&#${c.charCodeAt(0)};`);
  const words = lines.map(({ text, x, y, size, weight }) =>
    `<text x="${MARGIN + x}" y="${MARGIN + y}" font-size="${size}" font-weight="${weight}">${escape(text)}</text>`);
  const place = `x="${MARGIN + bar.x}" y="${MARGIN + bar.y}" width="${bar.width}" height="${bar.height}"`;
  const text = [
    `<svg xmlns="http://www.w3.org/2000/svg" width="${wide}" height="${tall}" viewBox="0 0 ${wide} ${tall}">`,
    `<rect width="100%" height="100%" fill="#fafafa"/>`,
    `<image x="${MARGIN}" y="${MARGIN + top}" width="${canvas.width}" height="${canvas.height}" href="${canvas.toDataURL()}"/>`,
    `<rect ${place} fill="#fff"/>`,
    `<image ${place} preserveAspectRatio="none" href="${view.bar.toDataURL()}"/>`,
    `<g fill="#1b1d21" font-family="system-ui, sans-serif">${words.join("")}</g>`,
    "</svg>",
  ].join("\n");
  return new Blob([text], { type: "image/svg+xml" });
}
