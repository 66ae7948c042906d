"""Builds the playground, a folder that any web server can serve: `python -m playground.build FOLDER`.

index.html, style.css, main.js    the page; `src/main.js` and what it imports, bundled by esbuild
worker.js, graphviz.js            the thread of the compiler, and what draws pictures
pyodide/                          Python for WebAssembly
wsdl.zip                          the compiler without what needs NumPy or ONNX, and what it imports, as bytecode
examples.json                     the examples that need no other files than programs
"""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from fnmatch import fnmatch
from importlib.metadata import metadata
from importlib.util import find_spec
from pathlib import Path
from zipfile import ZIP_DEFLATED, ZipFile

from playground.imports import with_imports
from wsdl.lsp.documents import Documents
from wsdl.playground.session import FOLDER

HERE = Path(__file__).parent
ROOT = HERE.parent
PACKAGES = HERE / "node_modules"
PAGE = ("index.html", "style.css", "icon.svg", "theme.js", "src/worker.js")
PYODIDE = ("pyodide.mjs", "pyodide.asm.mjs", "pyodide.asm.wasm", "python_stdlib.zip", "pyodide-lock.json")
BROWSERS = "chrome120,firefox121,safari17"
LEFT_OUT = frozenset(
    ("cli", "distributed", "fitting", "highlighting", "notebook", "onnx", "pipelines", "ray", "reporting", "runtime",
     "studies")
)  # fmt: skip
OTHERS = {"lark": "*", "attr": "*", "attrs": "*", "lsprotocol": "[!c]*", "pygls": "uris"}  # modules besides `__init__`
GROUPS = {"Networks": "", "Trainings": "training", "Updates": "updates"}  # folders of examples
FIRST = "siamese"


def build(folder: Path) -> bool:
    """Write the page into a folder, which is made anew; false if it is there already, made of the same files."""
    digest, stamp = _digest(), folder / "stamp"
    if stamp.exists() and stamp.read_text() == digest:
        return False
    shutil.rmtree(folder, ignore_errors=True)
    (folder / "pyodide").mkdir(parents=True)
    for name in PAGE:
        shutil.copy(HERE / name, folder)
    shutil.copy(ROOT / "wsdl/pictures/light.js", folder)
    for name in PYODIDE:
        shutil.copy(PACKAGES / "pyodide" / name, folder / "pyodide")
    graphviz = PACKAGES / "@hpcc-js/wasm-graphviz/dist/index.js"
    bundles = [f"main={HERE / 'src/main.js'}", f"graphviz={graphviz}"]
    options = ["--bundle", "--minify", "--format=esm", f"--target={BROWSERS}", "--log-level=warning"]
    subprocess.run([PACKAGES / ".bin/esbuild", *bundles, *options, f"--outdir={folder}"], check=True)
    (folder / "examples.json").write_text(json.dumps(examples(), ensure_ascii=False), encoding="utf-8")
    (folder / "licenses.txt").write_text("".join(licenses()), encoding="utf-8")
    texts = {f"/wsdl/{name}": path.read_text("utf-8") for name, path in python_files() if path.suffix != ".py"}
    (folder / "texts.json").write_text(json.dumps(texts, ensure_ascii=False), encoding="utf-8")
    archive = folder / "wsdl.zip"
    with ZipFile(archive, "w", ZIP_DEFLATED, compresslevel=9) as zipped:
        for name, path in python_files():
            zipped.write(path, name)
    program = ROOT / "examples" / f"{FIRST}.wsd"
    subprocess.run(["node", HERE / "snapshot.mjs", archive, program, folder / "snapshot.gz"], check=True)
    stamp.write_text(digest)
    return True


def licenses() -> Iterator[str]:
    """Of each package in the page its name, version and license."""
    for path in sorted(PACKAGES.glob("*/package.json")) + sorted(PACKAGES.glob("@*/*/package.json")):
        package = json.loads(path.read_text("utf-8"))
        if package["name"] in json.loads((HERE / "package.json").read_text("utf-8"))["dependencies"]:
            yield f"{package['name']} {package['version']}: {package['license']}\n"
    for name in ("attrs", "lark", "lsprotocol", "pygls"):
        about = metadata(name)
        classifiers = [c.rpartition(" :: ")[2] for c in about.get_all("Classifier", []) if c.startswith("License")]
        license = about["License-Expression"] or about["License"] or ", ".join(classifiers)
        yield f"{name} {about['Version']}: {license}\n"


def _digest() -> str:
    """Of all that the page is made of; of npm packages their versions."""
    digest = hashlib.sha256()
    page = (path for path in HERE.rglob("*") if path.is_file() and "node_modules" not in path.relative_to(HERE).parts)
    examples = (ROOT / "examples").rglob("*.wsd")
    others = (path for _, path in python_files())
    for path in sorted({*page, *examples, *others, ROOT / "examples/README.md"}):
        if "__pycache__" not in path.parts:
            digest.update(str(path).encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()


def python_files() -> Iterator[tuple[str, Path]]:
    """The files of `wsdl.zip`, by their names in it."""
    for inside, path in _inside(ROOT / "wsdl"):
        if inside.parts[0] not in LEFT_OUT:
            yield f"wsdl/{inside.as_posix()}", path
    yield "wsdl/_grammar/wsdl.lark", ROOT / "grammar/wsdl.lark"
    for name, modules in OTHERS.items():
        spec = find_spec(name)
        assert spec is not None
        assert spec.origin is not None
        for inside, path in _inside(Path(spec.origin).parent):
            if path.suffix in (".py", ".lark") and (path.stem == "__init__" or fnmatch(path.stem, modules)):
                yield f"{name}/{inside.as_posix()}", path


def _inside(package: Path) -> Iterator[tuple[Path, Path]]:
    for path in sorted(package.rglob("*")):
        if path.is_file() and "__pycache__" not in path.parts:
            yield path.relative_to(package), path


def examples() -> dict[str, list[dict[str, object]]]:
    """By group, the examples without a finding in the page, each with its files, and what the table of examples says of
    it."""
    table = (ROOT / "examples/README.md").read_text("utf-8")
    about = dict(re.findall(r"^\| \[`([\w/]+)\.wsd`\]\([^)]*\) \| ([^|]*) \|", table, re.MULTILINE))
    groups: dict[str, list[dict[str, object]]] = {}
    for label, folder in GROUPS.items():
        for path in sorted(
            (ROOT / "examples" / folder).glob("*.wsd"), key=lambda path: (path.stem != FIRST, path.stem)
        ):
            files = with_imports(path.name, path.read_text("utf-8"), path.parent)
            if files is not None and not _has_findings(files):
                name = path.relative_to(ROOT / "examples").with_suffix("").as_posix()
                groups.setdefault(label, []).append({"name": name, "about": about.get(name, ""), "files": files})
    return groups


def _has_findings(files: Mapping[str, str]) -> bool:
    documents = Documents()
    for name, text in files.items():
        documents.put(FOLDER + name, text, None)
    return any(document.problems for document in documents)


if __name__ == "__main__":
    build(Path(sys.argv[1]))
