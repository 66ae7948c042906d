// One step of a model whose loss is finite and whose gradients are not: node not_finite.mjs FOLDER

import { readFile } from "node:fs/promises";
import { join } from "node:path";
import * as ort from "onnxruntime-node";

import { Training } from "../../examples/browser/training.js";

const [folder] = process.argv.slice(2);
const zeros = (dims) => new ort.Tensor("float32", new Float32Array(dims.reduce((a, b) => a * b)), dims);
const batch = { x: zeros([3, 4]), t: zeros([3]) };
const found = {};
for (const onNaN of ["skip", "stop"]) {
  const training = await Training.open(ort, (name) => readFile(join(folder, name)), "distance", { onNaN });
  const before = Object.values(training.weights).map(({ data }) => Array.from(data));
  let answer;
  try {
    answer = await training.step(batch);
  } catch (error) {
    answer = error.message;
  }
  const after = Object.values(training.weights).map(({ data }) => Array.from(data));
  found[onNaN] = { answer, skipped: training.skipped, same: JSON.stringify(before) === JSON.stringify(after) };
}
console.log(JSON.stringify(found));
