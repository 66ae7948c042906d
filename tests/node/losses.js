// Train on batches that were written down, in Node and in a browser alike.

import { readSafetensors } from "../../examples/browser/safetensors.js";
import { Training } from "../../examples/browser/training.js";

/**
 * The loss of each step of `model`, from a folder with what `wsdl compile --train` writes and `batches.safetensors`: the
 * arrays of all batches by name, `[steps, rows, …]`.
 */
export async function losses(ort, read, model) {
  const batches = Object.entries(readSafetensors(await read("batches.safetensors")));
  const steps = batches[0][1].dims[0];
  const training = await Training.open(ort, read, model, { steps });
  const found = [];
  for (let step = 0; step < steps; step++) {
    const batch = {};
    for (const [name, { type, dims, data }] of batches) {
      const size = data.length / steps;
      batch[name] = new ort.Tensor(type, data.slice(step * size, (step + 1) * size), dims.slice(1));
    }
    found.push((await training.step(batch)).loss);
  }
  await training.session.release();
  return found;
}
