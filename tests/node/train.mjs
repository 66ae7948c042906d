// Train in Node: node train.mjs FOLDER MODEL… > losses.json
//
// FOLDER/MODEL is a compiled folder with batches, as losses.js wants it; the answer is { MODEL: [loss, …] }.

import { readFile } from "node:fs/promises";
import { join } from "node:path";
import * as ort from "onnxruntime-node";

import { losses } from "./losses.js";

const [folder, ...models] = process.argv.slice(2);
const found = {};
for (const model of models) {
  found[model] = await losses(ort, (name) => readFile(join(folder, model, name)), model);
}
console.log(JSON.stringify(found));
