/* Mosaics: what is read out below the tiles. */

const panelsWith = (view, channel) => view.panels.filter(({ data }) => data?.shape && channel < data.count);

const howTo = (view) =>
  "Click a tile, or choose one with the arrow keys and press Enter, "
  + `${view.view === "filters" ? "to see it large and read its weights" : "to see it over the image"}.`;

/** What a channel is in both networks. */
function tileWords(view, channel) {
  const parts = panelsWith(view, channel).map(({ data }) => {
    if (data.colored) return data.heading;
    const mark = ["", ", dead", ", saturated"][data.marks[channel]];
    return `${data.heading}: mean ${number(data.means[channel])}, largest magnitude ${number(data.scales[channel])}${mark}`;
  });
  return `Channel ${channel}. ${parts.join(" · ")}`;
}

/** The values of the channel that is enlarged, at the place that is pointed at. */
function placeWords(view) {
  const { channel, pointed } = view;
  if (!pointed) return `${tileWords(view, channel)} · Point at a place, or move with the arrow keys, to read it.`;
  const panels = view.panels.filter(({ data }) => data?.shape), cells = panels.map((panel) => panel.cell());
  const alike = cells.every(({ x, y }) => x === cells[0].x && y === cells[0].y);
  const at = ({ x, y }) => `row ${y}, column ${x}`;
  const values = panels.map((panel, k) => `${panel.data.heading}${alike ? "" : `, ${at(cells[k])}`}: ${panel.value()}`);
  const known = panels.filter((panel) => panel.field());
  const fields = known.map((panel) => panel.field().field.map(Math.ceil).join("×"));
  const beyond = known.some((panel) => panel.beyond()) ? ", as far as the image reaches" : "";
  const sees = fields.length ? ` It depends on the ${[...new Set(fields)].join(" and ")} pixels in the green box${beyond}.` : "";
  return `Channel ${channel}${alike ? `, ${at(cells[0])}` : ""} · ${values.join(" · ")}.${sees}`;
}
