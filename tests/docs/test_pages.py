"""Every block of every page does what the page says.

Blocks of JavaScript run in Node, by a command of the page or after it. They may import the modules of
`examples/browser` as if a reader had copied them. A page that calls `g++` finds ONNX Runtime in the folder
`onnxruntime`, laid out as its releases are.
"""

from __future__ import annotations

import importlib.util
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.docs.page import ROOT, Page
from tests.golden import Golden
from tests.node.serving import CHROMIUM, serving
from website.blocks import blocks

PAGES = [
    *ROOT.glob("*.md"),
    ROOT / "website" / "home.md",
    *ROOT.glob("docs/**/*.md"),
    *ROOT.glob("examples/*/*.md"),
    *ROOT.glob("wsdl/diagnostics/codes/*.md"),
]
HEADERS = ROOT / "tests" / "cpp" / "include"
WEB = ROOT / "examples" / "browser" / "node_modules"
MODULES = ROOT / "tests" / "node" / "node_modules"
chromium = next(filter(None, map(shutil.which, CHROMIUM)), None)
COPIED = [ROOT / "examples" / "browser" / f"{name}.js" for name in ("safetensors", "training", "weights")]


@pytest.mark.parametrize("path", sorted(PAGES), ids=lambda path: str(path.relative_to(ROOT)))
def test_page(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, golden: Golden) -> None:
    text = path.read_text("utf-8")
    data = set(re.findall(r"examples/data/[\w/.]+\.npz", text))
    if missing := sorted(name for name in data if not (ROOT / name).exists()):
        pytest.skip(f"{missing[0]} is not here: `make data` fetches it")
    monkeypatch.chdir(tmp_path)
    Path("examples").symlink_to(ROOT / "examples")  # as if the page were read in a checkout
    if "\n$ g++ " in text:
        monkeypatch.setenv("CPLUS_INCLUDE_PATH", str(HEADERS))  # where a package of the system would be
        lay_out_onnxruntime()
    if "\n$ node " in text:
        lay_out_modules()
    page = Page(path, tmp_path, update=golden.update)
    assert not (failures := page.failures()), "\n\n".join(failures)
    if golden.update:
        golden(path, page.updated())
    scripts = [block.note["file"] for block in blocks(text) if block.language == "js"]
    for script in scripts:
        if f"\n$ node {script}\n" not in text:
            run_script(script)
    for block in blocks(text):
        if "shows" in block.note:
            open_in_chromium(block.note["file"], block.note["shows"])


def lay_out_onnxruntime() -> None:
    """The folder of a release: headers as fetched, and the library of the Python package."""
    if shutil.which("g++") is None:
        pytest.skip("there is no g++")
    if not HEADERS.is_dir():
        pytest.skip("the headers of ONNX Runtime are not here: make tests/cpp/include")
    package = importlib.util.find_spec("onnxruntime")
    assert package is not None
    assert package.origin is not None
    libraries = list(Path(package.origin).parent.glob("capi/libonnxruntime.so.*"))
    if not libraries:
        pytest.skip("the Python package has no library to link with on this system")
    Path("onnxruntime/lib").mkdir(parents=True)
    Path("onnxruntime/include").symlink_to(HEADERS / "onnxruntime")
    for name in ("libonnxruntime.so", "libonnxruntime.so.1"):
        Path("onnxruntime/lib", name).symlink_to(libraries[0])


def run_script(script: str) -> None:
    """Run a file of the current folder in Node."""
    lay_out_modules(done="all but its JavaScript is as it says: ")
    result = subprocess.run(["node", script], capture_output=True, text=True, check=False)
    assert result.returncode == 0, f"{script}:\n{result.stdout}{result.stderr}"


def open_in_chromium(name: str, shown: str) -> None:
    """Open a page of the current folder, and wait until its `<output>` shows a text, in which ... is anything."""
    lay_out_modules(done="all but its page is as it says: ")
    if chromium is None:
        pytest.skip("all but its page is as it says: no Chromium on the PATH")
    if not WEB.is_dir():
        pytest.skip("all but its page is as it says: not set up: make examples/browser/node_modules")
    with serving({"/": Path.cwd(), "/node_modules/": WEB}) as address:
        command = ["node", str(ROOT / "tests" / "node" / "output.mjs"), chromium, f"{address}/{name}", shown]
        result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 0, f"{name}:\n{result.stdout}{result.stderr}"


def lay_out_modules(done: str = "") -> None:
    """The modules that scripts import; skips the test, and says what of it is done, where there are none."""
    if shutil.which("node") is None:
        pytest.skip(f"{done}Node is not installed")
    if not MODULES.is_dir():
        pytest.skip(f"{done}not set up: make tests/node/node_modules")
    for module in [MODULES, *COPIED]:
        if not Path(module.name).exists():
            Path(module.name).symlink_to(module)
