// node snapshot.mjs ARCHIVE PROGRAM SNAPSHOT.gz: the memory of a Python that has imported the modules of an archive and has
// checked a program. The page restores it in place of doing that again.

import { readFileSync, writeFileSync } from "node:fs";
import { gzipSync } from "node:zlib";
import { loadPyodide } from "pyodide";

const [archive, program, snapshot] = process.argv.slice(2);
const python = await loadPyodide({ _makeSnapshot: true });
python.unpackArchive(new Uint8Array(readFileSync(archive)), "zip", { extractDir: "/wsdl" });
python.globals.set("program", readFileSync(program, "utf8"));
python.runPython(`
import contextlib, gc, importlib, json, pkgutil, sys

sys.dont_write_bytecode = True
sys.path.insert(0, "/wsdl")
import wsdl
from wsdl.playground.session import Session
from wsdl.process import GARBAGE

for module in pkgutil.walk_packages(wsdl.__path__, "wsdl.", onerror=lambda name: None):
    with contextlib.suppress(ImportError):  # of what isn't there, NumPy for one
        importlib.import_module(module.name)

session, name = Session(), "program.wsd"
session.write(json.dumps({name: program})), session.check(name), session.explain("E0201")
session.picture(name), session.sharing(name), session.formatted(name)
session.completions(name, 0, 0), session.signature(name, 0, 0), session.documentation("Dense")  # read the whole library
gc.set_threshold(GARBAGE)
gc.collect()
gc.freeze()  # collections don't go through what is there already
`);
writeFileSync(snapshot, gzipSync(python.makeMemorySnapshot(), { level: 6 }));
process.exit(0); // Pyodide keeps Node running
