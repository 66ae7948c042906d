"""The blocks of JavaScript run in Node, on what their page has compiled before them.

They may import the modules of `examples/browser` as if a reader had copied them.
"""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from tests.docs.blocks import blocks
from tests.docs.page import ROOT, Page
from tests.docs.test_pages import PAGES

MODULES = ROOT / "tests" / "node" / "node_modules"
COPIED = [ROOT / "examples" / "browser" / f"{name}.js" for name in ("safetensors", "training", "weights")]


def scripts(page: Path) -> list[str]:
    return [block.note["file"] for block in blocks(page.read_text("utf-8")) if block.language == "js"]


@pytest.mark.skipif(shutil.which("node") is None, reason="Node is not installed")
@pytest.mark.skipif(not MODULES.is_dir(), reason="not set up: make tests/node/node_modules")
@pytest.mark.parametrize("page", [p for p in PAGES if scripts(p)], ids=lambda page: str(page.relative_to(ROOT)))
def test_scripts(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert Page(page, tmp_path).failures() == []
    (tmp_path / "node_modules").symlink_to(MODULES)
    for module in COPIED:
        (tmp_path / module.name).symlink_to(module)
    for script in scripts(page):
        done = subprocess.run(["node", script], cwd=tmp_path, capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"{script}:\n{done.stdout}{done.stderr}"
