// Run a model on arrays: node run.mjs MODEL.onnx < inputs.json > outputs.json
//
// Both are { name: { type, dims, data } }, `data` flat in row-major order. 64-bit integers travel as numbers.

import { readFileSync } from "node:fs";
import * as ort from "onnxruntime-node";

const arrays = {
  float32: Float32Array, float64: Float64Array, bool: Uint8Array, uint8: Uint8Array,
  int8: Int8Array, int16: Int16Array, int32: Int32Array, int64: BigInt64Array,
};

const inputs = {};
for (const [name, { type, dims, data }] of Object.entries(JSON.parse(readFileSync(0, "utf8")))) {
  const values = type === "int64" ? data.map(BigInt) : data;
  inputs[name] = new ort.Tensor(type, arrays[type].from(values), dims);
}

const session = await ort.InferenceSession.create(process.argv[2]);
const outputs = {};
for (const [name, { type, dims, data }] of Object.entries(await session.run(inputs))) {
  outputs[name] = { type, dims, data: Array.from(data, Number) };
}
console.log(JSON.stringify(outputs));
