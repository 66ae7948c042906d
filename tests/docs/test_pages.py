"""Every block of every page does what the page says."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.docs.page import ROOT, Page

PAGES = [
    *ROOT.glob("*.md"),
    *ROOT.glob("docs/**/*.md"),
    *ROOT.glob("examples/*/*.md"),
    *ROOT.glob("wsdl/diagnostics/codes/*.md"),
]


@pytest.mark.parametrize("path", sorted(PAGES), ids=lambda path: str(path.relative_to(ROOT)))
def test_page(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert not (failures := Page(path, tmp_path).failures()), "\n\n".join(failures)
