// The page: learns from pairs while one watches, shows where the tower places each picture, takes in what is drawn.

import * as ort from "onnxruntime-web";

import { Curve } from "./curve.js";
import { SIDE, byKind, divided, pairs, stacked } from "./examples.js";
import { COLORS, NAMES, PictureMap, sprite } from "./map.js";
import { Pad } from "./pad.js";
import { highlighted } from "./program.js";
import { readSafetensors } from "./safetensors.js";
import { Training } from "./training.js";
import { withWeights } from "./weights.js";

const ROWS = 32;             // pairs in a batch
const FRAME = 24;            // milliseconds of learning between two pictures of the page
const REFRESH = 300;         // milliseconds between two looks at all pictures
const LOOKED_AT = 20;        // the last examples of a kind, whose middle is its center

ort.env.wasm.numThreads = 1;
ort.env.wasm.wasmPaths = new URL(".", import.meta.resolve("onnxruntime-web")).href;

const $ = (id) => document.getElementById(id);
const frame = () => new Promise(requestAnimationFrame);

async function read(name) {
  const answer = await fetch(`build/${name}`, { cache: "no-cache" });    // it may have been compiled anew
  if (!answer.ok) {
    $("hint").textContent = `There is no build/${name}: \`make browser\` makes it.`;
    throw new Error($("hint").textContent);
  }
  return new Uint8Array(await answer.arrayBuffer());
}

const begin = () => Training.open(ort, (name) => read(`pairs/${name}`), "pairs");

const [known, heldOut] = divided(readSafetensors(await read("digits.safetensors")));
const model = await read("place/place.onnx");
let training = await begin();
let placer = null;           // a session of `place` with what has been learned so far
let centers = new Map();     // by kind, [x, y]

let learning = false, restart = false, stale = true;
let drawn = null;            // the picture on the pad
let steps = 0, loss = 0, pace = 0;

const map = new PictureMap($("map"));
const lossCurve = new Curve($("loss-curve"));
const accuracyCurve = new Curve($("accuracy-curve"), 100);
const pad = new Pad($("pad"), (pixels) => {
  drawn = pixels && { pixels, fresh: true };
  if (!drawn) guess(null);
});

// -- what the models do, one thing after another -----------------------------------------------------------------------

async function step() {
  const { left, right, same } = pairs(known, ROWS);
  const pictures = (data) => new ort.Tensor("float32", data, [ROWS, 1, SIDE, SIDE]);
  const batch = { left: pictures(left), right: pictures(right), same: new ort.Tensor("float32", same, [ROWS]) };
  const start = performance.now();
  const now = await training.step(batch);
  const smooth = (old, value) => (steps ? old + (value - old) * Math.max(0.03, 1 / (steps + 1)) : value);
  [loss, pace] = [smooth(loss, now.loss), smooth(pace, performance.now() - start)];
  steps++;
}

async function place(examples) {
  const image = new ort.Tensor("float32", stacked(examples), [examples.length, 1, SIDE, SIDE]);
  const { data } = (await placer.run({ image })).point;
  return examples.map((_, i) => [data[2 * i], data[2 * i + 1]]);
}

/** Place all pictures anew with what has been learned, and count how many are nearest to the center of their kind. */
async function refresh() {
  await placer?.release();
  placer = await ort.InferenceSession.create(withWeights(model, training.weights));
  centers = new Map();
  for (const [kind, examples] of byKind(known)) centers.set(kind, middle(await place(examples.slice(-LOOKED_AT))));
  const shown = [...heldOut, ...known.filter(({ own }) => own)];
  const points = await place(shown);
  map.update(shown, points, centers);
  const right = heldOut.filter(({ kind }, i) => nearness(points[i])[0].kind === kind).length;
  report((100 * right) / heldOut.length);
  if (drawn) drawn.fresh = true;
}

/** The kinds by how near their centers are to a point, the nearest first. */
function nearness([x, y]) {
  return [...centers]
    .map(([kind, [a, b]]) => ({ kind, distance: Math.hypot(a - x, b - y) }))
    .sort((one, other) => one.distance - other.distance);
}

const middle = (points) => [0, 1].map((axis) => points.reduce((sum, point) => sum + point[axis], 0) / points.length);

// -- what the page shows -----------------------------------------------------------------------------------------------

function report(accuracy) {
  const each = steps ? `, ${pace.toFixed(1)} ms each` : "";
  $("steps").textContent = `${steps.toLocaleString("en")} steps of ${ROWS} pairs${each}`;
  $("loss").textContent = steps ? loss.toFixed(4) : "–";
  $("accuracy").textContent = `${accuracy.toFixed(1)} %`;
  if (!steps) return;
  lossCurve.add(steps, loss);
  accuracyCurve.add(steps, accuracy);
}

function guess(point) {
  const near = point ? nearness(point) : [];
  map.mark(point && { point, kind: near[0].kind });
  $("guess").textContent = point ? NAMES[near[0].kind] : "?";
  $("guess").style.color = point ? COLORS[near[0].kind] : "";
  $("hint").textContent = point ? "Not so? Say what it is:" : "Draw a digit, or a sign.";
  const weight = new Map(near.map(({ kind, distance }) => [kind, Math.exp(-6 * distance ** 2)]));
  const most = Math.max(...weight.values());
  NAMES.forEach((_, kind) => $("kinds").children[kind].style.setProperty("--near", (weight.get(kind) ?? 0) / most || 0));
}

function teach(kind) {
  if (!drawn) return;
  const example = { pixels: drawn.pixels, kind, own: true };
  known.push(example);
  const thumb = $("taught").appendChild(document.createElement("canvas"));
  thumb.width = thumb.height = SIDE;
  thumb.getContext("2d").drawImage(sprite(example), 0, 0);
  thumb.title = `This is ${NAMES[kind]}`;
  stale = true;
  pad.clear();
  learn(true);
}

function learn(on) {
  learning = on;
  $("learn").textContent = on ? "Pause" : "Learn";
  document.body.classList.toggle("learning", on);
}

NAMES.forEach((name, kind) => {
  const button = $("kinds").appendChild(document.createElement("button"));
  button.textContent = name;
  button.title = `This is ${name}`;
  button.style.setProperty("--color", COLORS[kind]);
  button.addEventListener("click", () => teach(kind));
});
$("learn").addEventListener("click", () => learn(!learning));
$("restart").addEventListener("click", () => (restart = true));
$("clear").addEventListener("click", () => pad.clear());
$("save").addEventListener("click", () => {
  const file = new Blob([withWeights(model, training.weights)], { type: "application/octet-stream" });
  const link = Object.assign(document.createElement("a"), { href: URL.createObjectURL(file), download: "place.onnx" });
  link.click();
  URL.revokeObjectURL(link.href);
});
$("program").innerHTML = highlighted(await (await fetch("digits.wsd")).text());

// -- the loop ----------------------------------------------------------------------------------------------------------

$("learn").disabled = false;
let refreshed = 0;
for (;;) {
  map.draw(await frame());
  if (restart) {
    await training.session.release();
    training = await begin();
    [steps, restart, stale] = [0, false, true];
    lossCurve.clear();
    accuracyCurve.clear();
  }
  for (const end = performance.now() + FRAME; learning && performance.now() < end; ) await step();
  if (stale || (learning && performance.now() - refreshed > REFRESH)) {
    stale = false;
    await refresh();
    refreshed = performance.now();
  }
  if (drawn?.fresh) {
    drawn.fresh = false;
    const [point] = await place([drawn]);
    if (drawn) guess(point);
  }
}
