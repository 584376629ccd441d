// The border between the scene and what lies over it.

const THUMB = 34; // pixels, as the style sheet has it

export class Swipe {
  // `panes` are what is seen to the right of the border.
  constructor(map, panes) {
    this.map = map;
    this.panes = panes;
    this.divider = document.getElementById("divider");
    this.line = document.getElementById("line");
    this.divider.addEventListener("input", () => this.update());
    map.on("move zoomend resize viewreset", () => this.update());
  }

  show(shown) {
    this.divider.hidden = this.line.hidden = !shown;
    this.update();
  }

  update() {
    const share = this.divider.value / 100;
    this.divider.setAttribute("aria-valuetext", `${Math.round(share * 100)} %`);
    const size = this.map.getSize();
    const x = THUMB / 2 + share * (size.x - THUMB);
    this.line.style.left = `${x}px`;
    const from = this.map.containerPointToLayerPoint([x, 0]);
    const to = this.map.containerPointToLayerPoint(size);
    const corners = [[from.x, from.y], [to.x, from.y], [to.x, to.y], [from.x, to.y]];
    const clip = `polygon(${corners.map(([a, b]) => `${a}px ${b}px`).join(", ")})`;
    for (const pane of this.panes) pane.style.clipPath = this.divider.hidden ? "" : clip;
  }
}
