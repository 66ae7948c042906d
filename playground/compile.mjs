// node compile.mjs SOURCES.zip COMPILED.zip: compiles the modules of an archive by the Python that will read them, and
// adds the tables of the parser, which that Python computes at its first use.

import { readFileSync, writeFileSync } from "node:fs";
import { loadPyodide } from "pyodide";

const [sources, compiled] = process.argv.slice(2);
const python = await loadPyodide();
python.unpackArchive(new Uint8Array(readFileSync(sources)), "zip", { extractDir: "/wsdl" });
python.runPython(`
import os, pathlib, py_compile, sys, zipfile

os.environ["XDG_CACHE_HOME"] = "/wsdl/cache"
sys.dont_write_bytecode = True
sys.path.insert(0, "/wsdl")
from wsdl.playground.session import Session
Session().check("")

root = pathlib.Path("/wsdl")
with zipfile.ZipFile("/compiled.zip", "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
    for path in sorted(root.rglob("*")):
        name = str(path.relative_to(root))
        if path.suffix == ".py":
            ours = name.startswith("wsdl/")  # whose docstrings are shown
            mode = py_compile.PycInvalidationMode.UNCHECKED_HASH
            py_compile.compile(str(path), "/module.pyc", name, doraise=True, optimize=0 if ours else 2, invalidation_mode=mode)
            data, name = pathlib.Path("/module.pyc").read_bytes(), name + "c"
        elif path.is_file():
            data = path.read_bytes()
        else:
            continue
        entry = zipfile.ZipInfo(name)  # with a date that is always the same
        entry.compress_type = zipfile.ZIP_DEFLATED
        archive.writestr(entry, data, compresslevel=9)
`);
writeFileSync(compiled, python.FS.readFile("/compiled.zip"));
process.exit(0); // Pyodide keeps Node running
