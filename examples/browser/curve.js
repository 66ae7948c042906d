// A line that grows to the right, as SVG.

const WIDTH = 300, HEIGHT = 90, MOST = 300;    // the last in points

export class Curve {
  /** A curve in an `<svg>`; `top` is the value at the upper edge, or what has been largest so far. */
  constructor(svg, top = 0) {
    svg.setAttribute("viewBox", `0 0 ${WIDTH} ${HEIGHT}`);
    svg.setAttribute("preserveAspectRatio", "none");
    svg.innerHTML = `<path class="area"/><path class="line" vector-effect="non-scaling-stroke"/>`;
    [this.area, this.line] = svg.children;
    this.top = this.start = top;
    this.clear();
  }

  clear() {
    this.points = [];
    this.top = this.start;
    this.area.setAttribute("d", "");
    this.line.setAttribute("d", "");
  }

  add(x, y) {
    this.points.push([x, y]);
    this.top = Math.max(this.top, y);
    if (this.points.length > MOST) this.points = this.points.filter((_, i) => i % 2 === 0);
    const [start, end] = [this.points[0][0], x];
    const path = this.points
      .map(([x, y]) => [((x - start) / (end - start || 1)) * WIDTH, HEIGHT - (y / this.top) * (HEIGHT - 4)])
      .map((place) => place.map((number) => number.toFixed(1)).join(" "))
      .join(" L ");
    this.line.setAttribute("d", `M ${path}`);
    this.area.setAttribute("d", `M 0 ${HEIGHT} L ${path} V ${HEIGHT} Z`);
  }
}
