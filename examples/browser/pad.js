// The pad to draw on. What is drawn becomes a picture in the way of the digits of the file: fitted into 32 x 32 points,
// of which each 4 x 4 are one number.

import { PIXELS, SIDE } from "./examples.js";

const FINE = 4 * SIDE, INK = 3.4;    // both in points

export class Pad {
  /** Calls `changed` with the picture, or null for none, whenever it is another. */
  constructor(canvas, changed) {
    this.canvas = canvas;
    this.changed = changed;
    this.strokes = [];
    canvas.addEventListener("pointerdown", (event) => {
      canvas.setPointerCapture(event.pointerId);
      this.strokes.push([]);
      this.extend(event);
    });
    canvas.addEventListener("pointermove", (event) => {
      if (canvas.hasPointerCapture(event.pointerId)) this.extend(event);
    });
  }

  clear() {
    this.strokes = [];
    this.show();
    this.changed(null);
  }

  extend({ offsetX, offsetY }) {
    this.strokes.at(-1).push([offsetX, offsetY]);
    this.show();
    this.changed(this.picture());
  }

  show() {
    const { canvas } = this, scale = devicePixelRatio;
    canvas.width = canvas.clientWidth * scale;
    canvas.height = canvas.clientHeight * scale;
    const pen = canvas.getContext("2d");
    pen.setTransform(scale, 0, 0, scale, 0, 0);
    trace(pen, this.strokes, canvas.clientWidth / 11);
  }

  /** What is drawn, as 64 numbers from 0 to 1. */
  picture() {
    const points = this.strokes.flat();
    const [left, right, top, bottom] = [[0, Math.min], [0, Math.max], [1, Math.min], [1, Math.max]].map(
      ([axis, furthest]) => points.reduce((best, point) => furthest(best, point[axis]), points[0][axis]),
    );
    const scale = (FINE - INK) / Math.max(right - left, bottom - top, 20);
    const pen = new OffscreenCanvas(FINE, FINE).getContext("2d");
    pen.setTransform(scale, 0, 0, scale, FINE / 2 - ((left + right) / 2) * scale, FINE / 2 - ((top + bottom) / 2) * scale);
    trace(pen, this.strokes, INK / scale);
    const { data } = pen.getImageData(0, 0, FINE, FINE);
    const picture = new Float32Array(PIXELS);
    for (let i = 0; i < FINE * FINE; i++) {
      const x = Math.floor((i % FINE) / 4), y = Math.floor(i / FINE / 4);
      picture[y * SIDE + x] += data[4 * i + 3] / 255 / 16;    // the fourth of its colors is how opaque it is
    }
    return picture;
  }
}

function trace(pen, strokes, width) {
  pen.lineWidth = width;
  pen.lineCap = pen.lineJoin = "round";
  pen.strokeStyle = "#f4f5fb";
  for (const [first, ...rest] of strokes) {
    pen.beginPath();
    pen.moveTo(...first);
    for (const point of rest.length ? rest : [first]) pen.lineTo(...point);
    pen.stroke();
  }
}
