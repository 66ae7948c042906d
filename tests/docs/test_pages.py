"""Every block of every page does what the page says."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.docs.page import ROOT, Page
from tests.golden import Golden

PAGES = [
    *ROOT.glob("*.md"),
    *ROOT.glob("docs/**/*.md"),
    *ROOT.glob("examples/*/*.md"),
    *ROOT.glob("wsdl/diagnostics/codes/*.md"),
]


@pytest.mark.parametrize("path", sorted(PAGES), ids=lambda path: str(path.relative_to(ROOT)))
def test_page(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, golden: Golden) -> None:
    data = set(re.findall(r"examples/data/[\w/.]+\.npz", path.read_text("utf-8")))
    if missing := sorted(name for name in data if not (ROOT / name).exists()):
        pytest.skip(f"{missing[0]} is not here: `make data` fetches it")
    monkeypatch.chdir(tmp_path)
    Path("examples").symlink_to(ROOT / "examples")  # as if the page were read in a checkout
    assert not (failures := Page(path, tmp_path, update=golden.update).failures()), "\n\n".join(failures)
