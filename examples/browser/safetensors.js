// Read a `.safetensors` file: 8 bytes with the length of the header, the header as JSON, the numbers.
// https://github.com/huggingface/safetensors#format

const KINDS = {
  F64: ["float64", Float64Array], F32: ["float32", Float32Array],
  I64: ["int64", BigInt64Array], I32: ["int32", Int32Array], I16: ["int16", Int16Array], I8: ["int8", Int8Array],
  U8: ["uint8", Uint8Array], BOOL: ["bool", Uint8Array],
};

/**
 * The tensors of a file by name, each as `{ type, dims, data }`: the names of types are those of ONNX Runtime, `data` is
 * flat in row-major order, and 64-bit integers are BigInts.
 */
export function readSafetensors(bytes) {
  const length = Number(new DataView(bytes.buffer, bytes.byteOffset).getBigUint64(0, true));
  const header = JSON.parse(new TextDecoder().decode(bytes.subarray(8, 8 + length)));
  delete header.__metadata__;
  const tensors = {};
  for (const [name, { dtype, shape, data_offsets: [start, end] }] of Object.entries(header)) {
    if (!(dtype in KINDS)) throw new Error(`${name} is ${dtype}, which JavaScript has no arrays for`);
    const [type, ArrayOf] = KINDS[dtype];
    const own = new Uint8Array(bytes.subarray(8 + length + start, 8 + length + end));   // a copy, for it to be aligned
    tensors[name] = { type, dims: shape, data: new ArrayOf(own.buffer) };
  }
  return tensors;
}
