// What a check takes in the playground: make playground && node benchmarks/playground.mjs. Pyodide in Node, which has the
// V8 of Chromium; the lower quartile of 13 changes in the middle of each example, with all that the page shows of it.

import { readFileSync, readdirSync } from "node:fs";
import { loadPyodide } from "../playground/node_modules/pyodide/pyodide.mjs";

const root = new URL("../", import.meta.url);
const AIM = 30; // ms
const ALWAYS = /^(tied_autoencoder|siamese|resnet18|lm)\.wsd$/; // shown also where others take longer

const python = await loadPyodide();
python.unpackArchive(new Uint8Array(readFileSync(new URL("build/playground/wsdl.zip", root))), "zip", { extractDir: "/wsdl" });
const check = python.runPython(`
import gc, json, sys
sys.path.insert(0, "/wsdl")
from wsdl.playground.session import Session
from wsdl.process import GARBAGE
gc.set_threshold(GARBAGE)  # as the page has it
gc.freeze()
sessions = {}

def check(path, text):
    session = sessions.setdefault(path, Session())
    session.write(json.dumps({"program.wsd": text}))
    session.check("program.wsd")

check`);

function taken(path) {
  const text = readFileSync(new URL(`examples/${path}`, root), "utf8"), at = text.lastIndexOf("\n", text.length / 2);
  const times = Array.from({ length: 14 }, (_, count) => {
    const began = performance.now();
    check(path, text.slice(0, at) + " ".repeat(count) + text.slice(at));
    return performance.now() - began;
  });
  return times.slice(1).sort((a, b) => a - b)[3];
}

const paths = readdirSync(new URL("examples/", root), { recursive: true }).filter((path) => path.endsWith(".wsd"));
const rows = paths.map((path) => [taken(path), path]).sort((a, b) => b[0] - a[0]);
const under = rows.filter(([time]) => time < AIM).length;
for (const [time, path] of rows.filter(([, path], n) => n < 12 || ALWAYS.test(path))) {
  console.log(`${path.padEnd(40)}${time.toFixed(0).padStart(5)} ms`);
}
console.log(`${under} of ${rows.length} examples take less than ${AIM} ms, the median ${rows[rows.length >> 1][0].toFixed(0)}`);
process.exit(0); // Pyodide keeps Node running
