// Links that carry a program, `#code=…` or `#files=…`: the format of wsdl/playground/link.py.

import { FIRST, areFiles } from "./files.js";

export const LONGEST = 8000; // characters
const LARGEST = 1_000_000; // bytes of a text

/** The link to this page with files in it, texts by name, of which the first is shown; null if it would be too long. */
export async function linkTo(files) {
  const texts = Object.values(files), [kind, text] = texts.length > 1 ? ["files", JSON.stringify(files)] : ["code", texts[0]];
  const packed = await through(new TextEncoder().encode(text), new CompressionStream("deflate"));
  const code = btoa(Array.from(packed, (byte) => String.fromCharCode(byte)).join(""));
  const url = new URL(location.href);
  url.hash = `${kind}=` + code.replaceAll("+", "-").replaceAll("/", "_").replace(/=+$/, "");
  return url.href.length <= LONGEST ? url.href : null;
}

/** The files in a fragment: null if there are none; throws if they aren't whole. */
export async function filesIn(hash) {
  const [, kind, code] = /^#(code|files)=(.*)$/.exec(hash) ?? [];
  if (kind === undefined) return null;
  const packed = Uint8Array.from(atob(code.replaceAll("-", "+").replaceAll("_", "/")), (char) => char.charCodeAt(0));
  const text = new TextDecoder("utf-8", { fatal: true }).decode(await through(packed, new DecompressionStream("deflate")));
  const files = kind === "code" ? { [FIRST]: text } : JSON.parse(text);
  if (!areFiles(files)) throw new TypeError("these are no files");
  return files;
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
