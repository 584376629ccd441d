// The page: a map of tiles, its legend, and what a click tells.

import { Tiles, asCodes, asLines, asPicture, reason } from "./tiles.js";
import { drawCodes, drawLines, drawPicture } from "./tiles.js";
import { Swipe } from "./swipe.js";
import { told } from "./point.js";

const LITTLE = new Uint8Array(new Uint32Array([1]).buffer)[0] === 1;
const LOOK_CLOSER = "Too many polygons to draw: zoom in to see them.";
const find = (id) => document.getElementById(id);

// Coordinates of the server's plane: metres of Web Mercator, or columns and negative rows.
function planeOf({ mercator, zoom }) {
  if (mercator) {
    return {
      crs: L.CRS.EPSG3857,
      from: (u, v) => L.CRS.EPSG3857.unproject(L.point(u, v)),
      to: (place) => L.CRS.EPSG3857.project(place),
    };
  }
  const scale = 2 ** zoom;
  return {
    crs: L.CRS.Simple,
    from: (u, v) => L.latLng(v / scale, u / scale),
    to: ({ lat, lng }) => L.point(lng * scale, lat * scale),
  };
}

class Page {
  constructor(about) {
    this.about = about;
    this.hidden = new Set(); // indices in the legend
    this.plane = planeOf(about);
    this.layers = {};
    this.map = this.makeMap();
    this.addLayers();
    this.addClasses();
    this.addControls();
    this.choose();
  }

  makeMap() {
    const [left, bottom, right, top] = this.about.extent;
    this.bounds = L.latLngBounds(this.plane.from(left, bottom), this.plane.from(right, top));
    const still = window.matchMedia("(prefers-reduced-motion: reduce)").matches;
    const map = L.map("map", {
      crs: this.plane.crs,
      attributionControl: false,
      maxZoom: this.about.deepest + 3,
      minZoom: Math.min(0, this.about.zoom - 8),
      maxBounds: this.bounds.pad(1),
      zoomAnimation: !still,
      fadeAnimation: !still,
    });
    map.fitBounds(this.bounds);
    map.setMinZoom(Math.min(map.getZoom() - 1, this.about.deepest));
    if (this.about.mercator) L.control.scale({ imperial: false }).addTo(map);
    new ResizeObserver(() => map.invalidateSize()).observe(find("map"));
    return map;
  }

  addLayers() {
    const { scene, confidence, polygons } = this.about;
    const picture = { decode: asPicture, draw: drawPicture };
    if (scene) this.addLayer("scene", "Scene", 200, picture);
    if (confidence) this.addLayer("confidence", "Confidence, white is sure", 220, picture, false);
    this.addLayer("classes", "Classes", 240, {
      decode: asCodes,
      draw: (canvas, codes) => drawCodes(canvas, codes, this.colours),
    });
    if (polygons) {
      const lines = this.addLayer("polygons", "Polygons", 260, {
        decode: asLines,
        draw: (canvas, found) => drawLines(canvas, found, this.hidden),
      });
      const watch = () => this.say(this.crowded() ? LOOK_CLOSER : "");
      lines.on("load tileunload", watch);
      this.map.on("moveend layerremove", watch);
    }
    find("layers").append(find("opacity").closest("label")); // below the boxes
    if (scene) {
      const over = ["confidence", "classes", "polygons"].map((name) => this.map.getPane(name));
      this.swipe = new Swipe(this.map, over.filter(Boolean));
      const box = this.addBox(find("layers"), "Swipe: scene to the left, map to the right", false);
      box.id = "swipe";
      box.addEventListener("change", () => this.swipe.show(box.checked));
    }
  }

  addLayer(name, label, order, how, shown = true) {
    this.map.createPane(name).style.zIndex = order;
    const layer = new Tiles(name, {
      ...how,
      pane: name,
      bounds: this.bounds,
      maxNativeZoom: this.about.deepest,
      maxZoom: this.map.getMaxZoom(),
      minZoom: this.map.options.minZoom,
      minNativeZoom: 0,
      failed: (error) => this.say(error.message),
    });
    this.layers[name] = layer;
    if (shown) layer.addTo(this.map);
    const box = this.addBox(find("layers"), label, shown);
    box.id = `layer-${name}`;
    box.addEventListener("change", () => (box.checked ? layer.addTo(this.map) : layer.remove()));
    return layer;
  }

  addBox(group, text, checked, colour = null) {
    const label = document.createElement("label");
    const box = document.createElement("input");
    box.type = "checkbox";
    box.checked = checked;
    label.append(box);
    if (colour !== null) {
      const swatch = document.createElement("span");
      swatch.className = "swatch";
      swatch.style.backgroundColor = colour;
      label.append(swatch);
    }
    label.append(text);
    group.append(label);
    return box;
  }

  addClasses() {
    const boxes = this.about.classes.map(({ name, colour }, index) => {
      const box = this.addBox(find("classes"), name, true, colour);
      box.addEventListener("change", () => {
        box.checked ? this.hidden.delete(index) : this.hidden.add(index);
        this.choose();
      });
      return box;
    });
    const all = (shown) => {
      this.hidden = new Set(shown ? [] : boxes.keys());
      for (const box of boxes) box.checked = shown;
      this.choose();
    };
    find("all").addEventListener("click", () => all(true));
    find("none").addEventListener("click", () => all(false));
  }

  // Draw the classes that are chosen.
  choose() {
    this.colours = new Uint32Array(256);
    this.about.classes.forEach(({ code, colour }, index) => {
      if (this.hidden.has(index)) return;
      const [red, green, blue] = [1, 3, 5].map((at) => parseInt(colour.slice(at, at + 2), 16));
      this.colours[code] = LITTLE
        ? (255 << 24) | (blue << 16) | (green << 8) | red
        : (red << 24) | (green << 16) | (blue << 8) | 255;
    });
    this.layers.classes.repaint();
    this.layers.polygons?.repaint();
  }

  addControls() {
    const opacity = find("opacity");
    const fade = () => {
      this.layers.classes.setOpacity(opacity.value / 100);
      find("opaque").textContent = `${opacity.value} %`;
    };
    if (!this.about.scene && !this.about.confidence) opacity.value = 100;
    opacity.addEventListener("input", fade);
    fade();
    this.map.on("click", ({ latlng }) => this.tell(latlng));
    for (const note of this.about.notes) {
      const line = document.createElement("p");
      line.textContent = note;
      find("notes").append(line);
    }
    const map = find("map"); // shows its middle to those who move it by keys
    map.addEventListener("pointerdown", () => map.classList.remove("keys"));
    map.addEventListener("keyup", (event) => {
      if (event.target === map) map.classList.add("keys");
    });
    map.addEventListener("keydown", (event) => {
      if (event.key === "Enter" && event.target === map) this.tell(this.map.getCenter());
    });
    const fold = find("fold");
    fold.addEventListener("click", () => {
      const open = fold.getAttribute("aria-expanded") !== "true";
      fold.setAttribute("aria-expanded", String(open));
      fold.textContent = open ? "Hide" : "Show";
      find("controls").hidden = !open;
    });
  }

  // Ask what is at a place, and mark it.
  async tell(place) {
    const { x, y } = this.plane.to(place);
    this.asked?.abort();
    this.asked = new AbortController();
    try {
      const answer = await fetch(`/at?u=${x}&v=${y}`, { signal: this.asked.signal });
      if (!answer.ok) throw new Error(await reason(answer));
      const found = await answer.json();
      find("here").replaceChildren(...told(found, this.about));
      this.mark(place, found.polygons ?? []);
    } catch (error) {
      if (error.name !== "AbortError") this.say(error.message);
    }
  }

  mark(place, polygons) {
    this.marked?.remove();
    const style = { color: "#fff", weight: 2, fillColor: "#000", fillOpacity: 1, interactive: false };
    this.marked = L.layerGroup([L.circleMarker(place, { ...style, radius: 5 })]);
    for (const { outline } of polygons) {
      const rings = (outline ?? []).map((ring) => ring.map(([u, v]) => this.plane.from(u, v)));
      const chosen = { color: "#ffd400", weight: 3, fill: false, interactive: false };
      if (rings.length > 0) this.marked.addLayer(L.polyline(rings, chosen));
    }
    this.marked.addTo(this.map);
  }

  crowded() {
    const lines = this.layers.polygons;
    return this.map.hasLayer(lines) && lines.contents().some(({ crowded }) => crowded);
  }

  say(text) {
    find("status").textContent = text;
  }
}

async function start() {
  const answer = await fetch("/map");
  if (!answer.ok) throw new Error(await reason(answer));
  const about = await answer.json();
  document.title = find("name").textContent = about.name;
  new Page(about);
}

start().catch((error) => {
  find("status").textContent = `The map cannot be shown: ${error.message}`;
});
