"""Every block of every page does what the page says.

Blocks of JavaScript run in Node, on what their page has compiled before them. They may import the modules of
`examples/browser` as if a reader had copied them.
"""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.docs.blocks import blocks
from tests.docs.page import ROOT, Page
from tests.golden import Golden

PAGES = [
    *ROOT.glob("*.md"),
    *ROOT.glob("docs/**/*.md"),
    *ROOT.glob("examples/*/*.md"),
    *ROOT.glob("wsdl/diagnostics/codes/*.md"),
]
MODULES = ROOT / "tests" / "node" / "node_modules"
COPIED = [ROOT / "examples" / "browser" / f"{name}.js" for name in ("safetensors", "training", "weights")]


@pytest.mark.parametrize("path", sorted(PAGES), ids=lambda path: str(path.relative_to(ROOT)))
def test_page(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, golden: Golden) -> None:
    text = path.read_text("utf-8")
    data = set(re.findall(r"examples/data/[\w/.]+\.npz", text))
    if missing := sorted(name for name in data if not (ROOT / name).exists()):
        pytest.skip(f"{missing[0]} is not here: `make data` fetches it")
    monkeypatch.chdir(tmp_path)
    Path("examples").symlink_to(ROOT / "examples")  # as if the page were read in a checkout
    page = Page(path, tmp_path, update=golden.update)
    assert not (failures := page.failures()), "\n\n".join(failures)
    if golden.update:
        golden(path, page.updated())
    scripts = [block.note["file"] for block in blocks(text) if block.language == "js"]
    if scripts:
        run_scripts(scripts)


def run_scripts(scripts: list[str]) -> None:
    """Run files of the current folder in Node."""
    if shutil.which("node") is None:
        pytest.skip("all but its JavaScript is as it says: Node is not installed")
    if not MODULES.is_dir():
        pytest.skip("all but its JavaScript is as it says: not set up: make tests/node/node_modules")
    Path("node_modules").symlink_to(MODULES)
    for module in COPIED:
        Path(module.name).symlink_to(module)
    for script in scripts:
        done = subprocess.run(["node", script], capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"{script}:\n{done.stdout}{done.stderr}"
