// The map: every picture where the tower has placed it, gliding to where it is placed next.

import { PIXELS, SIDE } from "./examples.js";

export const NAMES = ["0", "1", "2", "3", "4", "5", "6", "7", "8", "9", "★", "♥"];
export const COLORS = NAMES.map((name, kind) => ({ "★": "#fff", "♥": "#ff5d8f" })[name] ?? `oklch(0.8 0.14 ${20 + 36 * kind})`);

const GLIDE = 350, REST = 1500;    // milliseconds: to glide for, and until all stands still

export class PictureMap {
  constructor(canvas) {
    this.canvas = canvas;
    this.pen = canvas.getContext("2d");
    this.pictures = [];
    this.centers = new Map();
    this.drawing = null;
    this.view = null;
    this.busy = 0;
    new ResizeObserver(() => this.wake()).observe(canvas);
  }

  wake() {
    this.busy = performance.now() + REST;
  }

  /** Pictures with the places where they now belong, `[x, y]` each, and the center of each kind. */
  update(pictures, points, centers) {
    const now = performance.now();
    const before = new Map(this.pictures.map((picture) => [picture.of, this.at(picture, now)]));
    this.pictures = pictures.map((of, i) => ({ of, from: before.get(of) ?? points[i], to: points[i], since: now }));
    this.centers = centers;
    this.aim = framed(points);
    this.view ??= { ...this.aim };
    this.wake();
  }

  /** Where the picture on the pad is: `{ point, kind }`, or null where there is none. */
  mark(drawing) {
    this.drawing = drawing;
    this.wake();
  }

  at({ from, to, since }, now) {
    const t = Math.min(1, (now - since) / GLIDE), eased = t * (2 - t);
    return [from[0] + (to[0] - from[0]) * eased, from[1] + (to[1] - from[1]) * eased];
  }

  draw(now) {
    const { canvas, pen, view, aim } = this;
    if (!view || now > this.busy) return;
    const pixels = Math.round(canvas.clientWidth * devicePixelRatio);
    if (canvas.width !== pixels) canvas.width = canvas.height = pixels;
    for (const key of ["x", "y", "size"]) view[key] += (aim[key] - view[key]) * 0.08;
    const scale = pixels / view.size;
    const place = ([x, y]) => [(x - view.x) * scale + pixels / 2, pixels / 2 - (y - view.y) * scale];
    pen.clearRect(0, 0, pixels, pixels);
    for (const picture of this.pictures) {
      const [x, y] = place(this.at(picture, now));
      const size = (picture.of.own ? 30 : 18) * devicePixelRatio;
      pen.globalAlpha = picture.of.own ? 1 : 0.85;
      pen.drawImage(sprite(picture.of), x - size / 2, y - size / 2, size, size);
    }
    pen.globalAlpha = 1;
    for (const [kind, center] of this.centers) this.name(kind, place(center));
    if (this.drawing) this.ring(place(this.drawing.point), this.drawing.kind);
  }

  name(kind, [x, y]) {
    const { pen } = this, r = 15 * devicePixelRatio;
    pen.beginPath();
    pen.arc(x, y, r, 0, 2 * Math.PI);
    pen.fillStyle = "rgb(12 14 22 / 0.82)";
    pen.fill();
    pen.strokeStyle = pen.fillStyle = COLORS[kind];
    pen.lineWidth = 1.5 * devicePixelRatio;
    pen.stroke();
    pen.font = `600 ${16 * devicePixelRatio}px system-ui, sans-serif`;
    pen.textAlign = "center";
    pen.textBaseline = "middle";
    pen.fillText(NAMES[kind], x, y + devicePixelRatio);
  }

  ring([x, y], kind) {
    const { pen } = this;
    for (const [r, alpha] of [[22, 0.95], [30, 0.35]]) {
      pen.beginPath();
      pen.arc(x, y, r * devicePixelRatio, 0, 2 * Math.PI);
      pen.globalAlpha = alpha;
      pen.strokeStyle = COLORS[kind];
      pen.lineWidth = 3 * devicePixelRatio;
      pen.stroke();
    }
    pen.globalAlpha = 1;
  }
}

/** The square that shows nearly all points: its middle and its side. */
function framed(points) {
  const [x, y] = [0, 1].map((axis) => {
    const sorted = points.map((point) => point[axis]).sort((a, b) => a - b);
    return [sorted[Math.floor(0.005 * sorted.length)], sorted[Math.ceil(0.995 * sorted.length) - 1]];
  });
  return { x: (x[0] + x[1]) / 2, y: (y[0] + y[1]) / 2, size: 1.18 * Math.max(x[1] - x[0], y[1] - y[0], 0.1) };
}

const sprites = new WeakMap();

/** The picture in the color of its kind, see-through where it is empty. */
export function sprite(example) {
  if (!sprites.has(example)) {
    const canvas = new OffscreenCanvas(SIDE, SIDE), pen = canvas.getContext("2d");
    pen.fillStyle = COLORS[example.kind];
    for (let i = 0; i < PIXELS; i++) {
      pen.globalAlpha = example.pixels[i];
      pen.fillRect(i % SIDE, Math.floor(i / SIDE), 1, 1);
    }
    sprites.set(example, canvas);
  }
  return sprites.get(example);
}
