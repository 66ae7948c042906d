// Train with the step that `wsdl compile --train` writes, in Node or in a browser: both builds of ONNX Runtime have the
// same interface. What the files are to each other stands in `manifest.json`, under `training`.

import { readSafetensors } from "./safetensors.js";

export class Training {
  /**
   * The training of a model, before its first step.
   *
   * `ort` is the module `onnxruntime-node` or `onnxruntime-web`, and `read(name)` promises the bytes of a file of the
   * compiled folder. `steps` is the length of the whole run, for the learning rates that depend on it. A step whose loss
   * or gradients are not finite is not made: `onNaN` is "stop" to throw an error then, or "skip" to go on, which
   * `skipped` counts. `state` is that of another training, if both have one (`Trainings`).
   */
  static async open(ort, read, model, { steps = 0, onNaN = "stop", state = {}, ...options } = {}) {
    const manifest = JSON.parse(new TextDecoder().decode(await read("manifest.json")));
    const contract = manifest.training[model];
    const session = await ort.InferenceSession.create(await read(`${model}.train.onnx`), options);
    if (Object.keys(state).length === 0) for (const [name, { type, dims, data }] of Object.entries(readSafetensors(await read(contract.initial)))) {
      state[name] = new ort.Tensor(type, data, dims);
    }
    const total = contract.total_steps;
    const constants = total ? { [total]: new ort.Tensor("int64", [BigInt(steps)], []) } : {};
    const learned = manifest.stored.map(({ name }) => name).filter((name) => name in state);
    return new Training({ session, contract, constants, state, learned, onNaN, skipped: 0 });
  }

  constructor(parts) {
    Object.assign(this, parts);
  }

  /** One step on a batch, tensors by name; gives its loss and metrics as numbers. */
  async step(batch) {
    const { feeds, loss, metrics, gradient_norm, state = Object.keys(this.state) } = this.contract;
    const read = Object.fromEntries(state.map((name) => [name, this.state[name]]));
    const outputs = await this.session.run({ ...batch, ...this.constants, ...read });
    const results = Object.fromEntries([loss, ...metrics].map((name) => [name, outputs[name].data[0]]));
    if (Number.isFinite(results[loss]) && Number.isFinite(outputs[gradient_norm].data[0])) {
      for (const [output, input] of Object.entries(feeds)) this.state[input] = outputs[output];
    } else if (this.onNaN === "skip") {
      this.skipped += 1;
    } else {
      const what = Number.isFinite(results[loss]) ? "its gradients are not finite" : `its loss is ${results[loss]}`;
      throw new Error(`this step can't be made: ${what}`);
    }
    return results;
  }

  /** What has been learned: the parameters and running statistics by name, without what belongs to the optimizer. */
  get weights() {
    return Object.fromEntries(this.learned.map((name) => [name, this.state[name]]));
  }
}

export class Trainings {
  /**
   * The trainings that take turns, by name, over one state. `steps` has the length of the run for each, where its
   * learning rate depends on it; the other options are those of `Training.open`.
   */
  static async open(ort, read, { steps = {}, ...options } = {}) {
    const manifest = JSON.parse(new TextDecoder().decode(await read("manifest.json")));
    const { kind, counts } = manifest.turns;
    const trainings = {};
    let state;
    for (const name of Object.keys(counts)) {
      trainings[name] = await Training.open(ort, read, name, { ...options, steps: steps[name], state });
      state = trainings[name].state;
    }
    return new Trainings({ kind, counts, trainings, state, made: 0 });
  }

  constructor(parts) {
    Object.assign(this, parts);
  }

  /** The name of the training of the next step by `turns`, which steps count; of a `mix` the app draws it. */
  get turn() {
    const names = Object.entries(this.counts).flatMap(([name, count]) => Array(count).fill(name));
    return names[this.made % names.length];
  }

  /** One step of a training; `batch` has its arrays, and may have those of others. */
  async step(name, batch) {
    const training = this.trainings[name];
    const own = Object.fromEntries(training.contract.batch.map((input) => [input, batch[input]]));
    const results = await training.step(own);
    this.made += 1;
    return results;
  }
}
