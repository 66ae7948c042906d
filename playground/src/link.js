// Links that carry a program, `#code=…`: the format of wsdl/playground/link.py.

export const LONGEST = 8000; // characters
const LARGEST = 1_000_000; // bytes of a text

/** The link to this page with a program in it; null if it would be too long. */
export async function linkTo(text) {
  const packed = await through(new TextEncoder().encode(text), new CompressionStream("deflate"));
  const code = btoa(Array.from(packed, (byte) => String.fromCharCode(byte)).join(""));
  const url = new URL(location.href);
  url.hash = "code=" + code.replaceAll("+", "-").replaceAll("/", "_").replace(/=+$/, "");
  return url.href.length <= LONGEST ? url.href : null;
}

/** The program in a fragment: null if there is none; throws if it isn't whole. */
export async function programIn(hash) {
  const code = /^#code=(.*)$/.exec(hash)?.[1];
  if (code === undefined) return null;
  const packed = Uint8Array.from(atob(code.replaceAll("-", "+").replaceAll("_", "/")), (char) => char.charCodeAt(0));
  const text = await through(packed, new DecompressionStream("deflate"));
  return new TextDecoder("utf-8", { fatal: true }).decode(text);
}

async function through(bytes, stream) {
  const reader = new Blob([bytes]).stream().pipeThrough(stream).getReader();
  const chunks = [];
  let size = 0;
  for (let part = await reader.read(); !part.done; part = await reader.read()) {
    chunks.push(part.value);
    size += part.value.length;
    if (size > LARGEST) throw new RangeError("the program is too large");
  }
  return new Uint8Array(await new Blob(chunks).arrayBuffer());
}
