// The compiler: Pyodide and the pure part of wsdl, on a thread of its own. Messages are { id, method, args }, answers
// { id, result } or { id, error }; before them { progress } tells what is being loaded, and { ready }.

import { loadPyodide } from "./pyodide/pyodide.mjs";

const here = (path) => new URL(path, import.meta.url).href;
const session = start();
let graphviz; // loaded with the first picture

async function start() {
  postMessage({ progress: "Starting Python" });
  const archive = fetch(here("wsdl.zip")).then((response) => response.arrayBuffer());
  const lockFileContents = (await fetch(here("pyodide/pyodide-lock.json"))).text();
  const python = await loadPyodide({ indexURL: here("pyodide/"), lockFileContents });
  postMessage({ progress: "Loading the compiler" });
  python.unpackArchive(await archive, "zip", { extractDir: "/wsdl" });
  return python.runPython(`
import os, sys
os.environ["XDG_CACHE_HOME"] = "/wsdl/cache"  # which has the tables of the parser
sys.path.insert(0, "/wsdl")
from wsdl.playground.session import Session
Session()`);
}

const methods = {
  async picture() {
    const picture = JSON.parse((await session).picture());
    if (picture === null) return null;
    graphviz ??= import("./graphviz.js").then(({ Graphviz }) => Graphviz.load());
    return { svg: (await session).finished((await graphviz).dot(picture.dot)), places: picture.places };
  },
  async explain(code) {
    return (await session).explain(code);
  },
};

session.then(
  () => postMessage({ ready: true }),
  (error) => postMessage({ failed: String(error) }),
);

onmessage = async ({ data: { id, method, args } }) => {
  try {
    const python = await session;
    const answer = methods[method] ? await methods[method](...args) : JSON.parse(python[method](...args));
    postMessage({ id, result: answer });
  } catch (error) {
    postMessage({ id, error: String(error) });
  }
};
