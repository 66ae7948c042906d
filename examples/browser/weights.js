// Put trained weights into a compiled model, which stays an ordinary ONNX file: only numbers in it are replaced.
//
// An ONNX file is a protocol buffer. The fields that matter here, from onnx.proto3:
const GRAPH = 7, INITIALIZER = 5, NAME = 8, RAW_DATA = 9;    // of ModelProto, GraphProto, TensorProto, TensorProto

/**
 * A copy of the model `bytes`, with the numbers of `weights` (tensors by name) in place of its own.
 *
 * Every one of them has to be in the model, at its size. A tensor that the compiler has computed something else from,
 * such as a normalization that went into its convolution, is not, and that is an error.
 */
export function withWeights(bytes, weights) {
  const model = new Uint8Array(bytes);
  const missing = new Set(Object.keys(weights));
  for (const graph of fields(model, GRAPH)) {
    for (const tensor of fields(graph, INITIALIZER)) {
      const name = new TextDecoder().decode(first(tensor, NAME));
      if (!missing.delete(name)) continue;
      const { buffer, byteOffset, byteLength } = weights[name].data;
      const place = first(tensor, RAW_DATA);
      if (place?.length !== byteLength) throw new Error(`the model doesn't hold ${byteLength} bytes for ${name}`);
      place.set(new Uint8Array(buffer, byteOffset, byteLength));
    }
  }
  if (missing.size) throw new Error(`the model has no tensor ${[...missing].join(", ")}`);
  return model;
}

const first = (message, number) => fields(message, number).next().value;

/** The fields of a message that have this number and hold bytes, each as a view. */
function* fields(message, number) {
  let at = 0;
  const varint = () => {
    let value = 0, scale = 1, byte;
    do {
      byte = message[at++];
      value += (byte & 127) * scale;
      scale *= 128;
    } while (byte & 128);
    return value;
  };
  while (at < message.length) {
    const key = varint();
    const kind = key % 8;
    if (kind === 0) varint();
    else if (kind === 1) at += 8;
    else if (kind === 5) at += 4;
    else {
      const length = varint();
      if (Math.floor(key / 8) === number) yield message.subarray(at, at + length);
      at += length;
    }
  }
}
