// The compiler: Pyodide and the pure part of wsdl, on a thread of its own. Messages are { id, method, args }, answers
// { id, result } or { id, error }; before them { progress } tells what is being loaded, { failed } why it can't be.

import { loadPyodide } from "./pyodide/pyodide.mjs";

const PAGE = 65536; // bytes of WebAssembly memory
const here = (path) => new URL(path, import.meta.url).href;
const fetched = (path) => fetch(here(path)).then((response) => (response.ok ? response : Promise.reject(new Error(`${path}: ${response.status}`))));
let graphviz; // loaded with the first picture
const session = restored().catch(started);

session.then(
  () => postMessage({ progress: "Checking" }),
  (error) => postMessage({ failed: String(error) }),
);

/** The session in the memory of a Python that has imported the compiler: snapshot.mjs. What it reads is in no memory. */
async function restored() {
  postMessage({ progress: "Starting Python" });
  const texts = fetched("texts.json").then((response) => response.json());
  const compressed = await fetched("snapshot.gz");
  const snapshot = new Response(compressed.body.pipeThrough(new DecompressionStream("gzip"))).arrayBuffer();
  const python = await withMemory((await snapshot).byteLength, () => pyodide({ _loadSnapshot: snapshot }));
  for (const [path, text] of Object.entries(await texts)) {
    python.FS.mkdirTree(path.replace(/\/[^/]*$/, ""));
    python.FS.writeFile(path, text);
  }
  return python.globals.get("session");
}

/** A session without the snapshot, in case that can't be restored: the functions of Pyodide for that aren't public. */
async function started(why) {
  console.warn("the snapshot can't be restored:", why);
  const archive = fetched("wsdl.zip").then((response) => response.arrayBuffer());
  const python = await pyodide();
  python.unpackArchive(await archive, "zip", { extractDir: "/wsdl" });
  return python.runPython("import sys\nsys.path.insert(0, '/wsdl')\nfrom wsdl.playground.session import Session\nSession()");
}

async function pyodide(options) {
  const lockFileContents = (await fetched("pyodide/pyodide-lock.json")).text();
  return loadPyodide({ indexURL: here("pyodide/"), lockFileContents, ...options });
}

/** Calls a function while modules get so much memory when they are made: a snapshot is written into what is there. */
async function withMemory(bytes, use) {
  const { instantiate, instantiateStreaming } = WebAssembly;
  const enlarged = (make) => async (...args) => {
    const made = await make(...args);
    const memory = made.instance?.exports.memory;
    if (memory && memory.buffer.byteLength < bytes) memory.grow(Math.ceil((bytes - memory.buffer.byteLength) / PAGE));
    return made;
  };
  Object.assign(WebAssembly, { instantiate: enlarged(instantiate), instantiateStreaming: enlarged(instantiateStreaming) });
  try {
    return await use();
  } finally {
    Object.assign(WebAssembly, { instantiate, instantiateStreaming });
  }
}

const methods = {
  async picture(name) {
    const picture = JSON.parse((await session).picture(name));
    if (!picture?.dot) return picture;
    graphviz ??= import("./graphviz.js").then(({ Graphviz }) => Graphviz.load());
    return { svg: (await session).finished((await graphviz).dot(picture.dot)), places: picture.places };
  },
};

onmessage = async ({ data: { id, method, args } }) => {
  try {
    const python = await session;
    const answer = methods[method] ? await methods[method](...args) : JSON.parse(python[method](...args));
    postMessage({ id, result: answer });
  } catch (error) {
    postMessage({ id, error: String(error) });
  }
};
