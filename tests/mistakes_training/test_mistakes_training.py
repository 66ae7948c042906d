"""Programs with mistakes in how a model is trained, and all that is said of them."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.golden import Golden
from tests.stages import examined
from wsdl.diagnostics import Problems
from wsdl.diagnostics.render import render
from wsdl.diagnostics.span import Source

PROGRAMS = sorted(Path(__file__).parent.glob("*.wsd"))


@pytest.mark.parametrize("path", PROGRAMS, ids=lambda path: path.stem)
def test_what_is_said(path: Path, golden: Golden) -> None:
    problems = Problems()
    examined(Source(path.name, path.read_text(encoding="utf-8")), problems)
    golden(path.with_suffix(".txt"), render(problems))
