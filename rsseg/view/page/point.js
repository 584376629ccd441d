// What the server tells of a point, as the panel says it.

function element(tag, text = "", children = []) {
  const made = document.createElement(tag);
  made.textContent = text;
  made.append(...children);
  return made;
}

function rows(pairs) {
  const list = element("dl");
  for (const [name, value] of pairs) {
    const cell = value instanceof Node ? element("dd", "", [value]) : element("dd", value);
    list.append(element("dt", name), cell);
  }
  return list;
}

function ofClass(found, classes) {
  if (!found.inside) return "outside the map";
  if (found.code === null) return "no data";
  const known = classes.find(({ code }) => code === found.code);
  if (known === undefined) return `code ${found.code}, which the legend lacks`;
  const swatch = element("span");
  swatch.className = "swatch";
  swatch.style.backgroundColor = known.colour;
  return element("span", "", [swatch, `${known.name} (code ${known.code})`]);
}

// Numbers without the digits that only show how a computer holds them.
const tidy = (value) => (typeof value === "number" ? String(+value.toFixed(4)) : String(value));

// Nodes that say all that `found` holds, given the page's description of the map.
export function told(found, { classes, crs, mercator, confidence, scene }) {
  const pairs = [["Class", ofClass(found, classes)]];
  if (confidence) pairs.push(["Confidence", found.confidence?.toFixed(3) ?? "none"]);
  if (found.inside) pairs.push(["Pixel", `column ${found.column}, row ${found.row}`]);
  if (found.x !== null && (crs !== null || !mercator)) {
    const decimals = crs !== null && Math.abs(found.x) <= 360 && Math.abs(found.y) <= 90 ? 7 : 2;
    const place = `${found.x.toFixed(decimals)}, ${found.y.toFixed(decimals)}`;
    pairs.push([crs !== null && crs.length < 20 ? crs : "x, y", place]);
  }
  if (found.lon !== null) pairs.push(["Lon, lat", `${found.lon.toFixed(7)}, ${found.lat.toFixed(7)}`]);
  if (scene) {
    const text = (found.scene ?? []).map(([name, value]) => `${name} ${value === null ? "none" : tidy(value)}`);
    pairs.push(["Scene", text.join(", ") || "none"]);
  }
  const nodes = [rows(pairs)];
  for (const { layer, fields } of found.polygons ?? []) {
    nodes.push(element("h2", `Polygon of ${layer}`));
    const known = Object.entries(fields);
    nodes.push(rows(known.map(([name, value]) => [name, value === null ? "none" : tidy(value)])));
  }
  return nodes;
}
