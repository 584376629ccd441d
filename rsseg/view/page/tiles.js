// Layers of tiles, each a canvas that is drawn from what the server answers, and drawn again when
// classes are hidden, without asking once more.

const RATIO = window.devicePixelRatio > 1 ? 2 : 1;
const FINENESS = 8; // steps of an outline's coordinates to a pixel of a tile

export const Tiles = L.GridLayer.extend({
  // `options.decode` makes of an answer what `options.draw` draws on a tile's canvas;
  // `options.failed` is called with what the server says of a tile that it cannot read.

  initialize(name, options) {
    L.GridLayer.prototype.initialize.call(this, options);
    this._name = name;
    this._held = new Map();
    this.on("tileunload", ({ tile }) => {
      this._held.get(tile)?.abort.abort();
      this._held.delete(tile);
    });
  },

  createTile(at, done) {
    const canvas = document.createElement("canvas");
    canvas.width = canvas.height = this.getTileSize().x * RATIO;
    const held = { abort: new AbortController(), content: null };
    this._held.set(canvas, held);
    this._ask(canvas, held, at).then(
      () => done(null, canvas),
      (error) => error.name === "AbortError" || (this.options.failed(error), done(error, canvas)),
    );
    return canvas;
  },

  repaint() {
    for (const [canvas, { content }] of this._held) {
      if (content !== null) this.options.draw(canvas, content);
    }
  },

  // What is drawn on all tiles that are held now.
  contents() {
    return [...this._held.values()].map(({ content }) => content).filter((each) => each !== null);
  },

  async _ask(canvas, held, { z, x, y }) {
    const address = `/tiles/${this._name}/${z}/${x}/${y}?size=${canvas.width}`;
    const answer = await fetch(address, { signal: held.abort.signal });
    if (!answer.ok) throw new Error(await reason(answer));
    if (answer.status === 204) return;
    held.content = await this.options.decode(answer);
    this.options.draw(canvas, held.content);
  },
});

// Why the server gave no answer; it says so in JSON, unless it refused the request unseen.
export async function reason(answer) {
  const text = await answer.text();
  try {
    return JSON.parse(text).error;
  } catch {
    return text;
  }
}

export const asCodes = async (answer) => new Uint8Array(await answer.arrayBuffer());

// `colours` has an RGBA value in the machine's byte order by code.
export function drawCodes(canvas, codes, colours) {
  const pixels = new Uint32Array(codes.length);
  for (let i = 0; i < codes.length; i++) pixels[i] = colours[codes[i]];
  const image = new ImageData(new Uint8ClampedArray(pixels.buffer), canvas.width);
  canvas.getContext("2d").putImageData(image, 0, 0);
}

export const asPicture = async (answer) => createImageBitmap(await answer.blob());

export function drawPicture(canvas, picture) {
  canvas.getContext("2d").drawImage(picture, 0, 0, canvas.width, canvas.height);
}

export const asLines = (answer) => answer.json();

// Polygons of hidden classes are left out; those of no class are always drawn.
export function drawLines(canvas, { lines }, hidden) {
  const pen = canvas.getContext("2d");
  const step = RATIO / FINENESS;
  pen.clearRect(0, 0, canvas.width, canvas.height);
  pen.beginPath();
  for (const [known, points] of lines) {
    if (hidden.has(known)) continue;
    pen.moveTo(points[0] * step, points[1] * step);
    for (let i = 2; i < points.length; i += 2) pen.lineTo(points[i] * step, points[i + 1] * step);
  }
  pen.lineJoin = "round";
  pen.strokeStyle = "#ffffffb0";
  pen.lineWidth = 2.5 * RATIO;
  pen.stroke();
  pen.strokeStyle = "#000000";
  pen.lineWidth = 1.1 * RATIO;
  pen.stroke();
}
