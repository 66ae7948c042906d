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
   * `skipped` counts.
   */
  static async open(ort, read, model, { steps = 0, onNaN = "stop", ...options } = {}) {
    const manifest = JSON.parse(new TextDecoder().decode(await read("manifest.json")));
    const contract = manifest.training[model];
    const session = await ort.InferenceSession.create(await read(`${model}.train.onnx`), options);
    const state = {};
    for (const [name, { type, dims, data }] of Object.entries(readSafetensors(await read(contract.initial)))) {
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
    const outputs = await this.session.run({ ...batch, ...this.constants, ...this.state });
    const { feeds, loss, metrics, gradient_norm } = this.contract;
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
