// Train on batches that were written down, in Node and in a browser alike.

import { readSafetensors } from "../../examples/browser/safetensors.js";
import { Training, Trainings } from "../../examples/browser/training.js";

/**
 * The loss of each step of `model`, or of the trainings that take turns, from a folder with what `wsdl compile --train`
 * writes and `batches.safetensors`: the arrays of all batches by name, `[steps, rows, …]`.
 */
export async function losses(ort, read, model) {
  const batches = Object.entries(readSafetensors(await read("batches.safetensors")));
  const steps = batches[0][1].dims[0];
  const manifest = JSON.parse(new TextDecoder().decode(await read("manifest.json")));
  const several = manifest.turns ? await Trainings.open(ort, read) : null;
  const training = several ?? (await Training.open(ort, read, model, { steps }));
  const found = [];
  for (let step = 0; step < steps; step++) {
    const batch = {};
    for (const [name, { type, dims, data }] of batches) {
      const size = data.length / steps;
      batch[name] = new ort.Tensor(type, data.slice(step * size, (step + 1) * size), dims.slice(1));
    }
    found.push((await (several ? several.step(several.turn, batch) : training.step(batch))).loss);
  }
  for (const each of several ? Object.values(several.trainings) : [training]) await each.session.release();
  return found;
}
