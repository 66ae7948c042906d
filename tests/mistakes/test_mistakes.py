"""Programs with mistakes, and all that is said of them: `NAME.wsd` beside `NAME.txt`.

`five` holds real programs, each with five mistakes that have nothing to do with each other: five are reported, no more.
Files in `parts` are imported by others.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.golden import Golden
from tests.stages import examined
from tests.together import together
from wsdl.diagnostics import Diagnostic, Problems
from wsdl.diagnostics.explain import title
from wsdl.diagnostics.render import render
from wsdl.diagnostics.span import Source

HERE = Path(__file__).parent
PROGRAMS = sorted(path for path in HERE.rglob("*.wsd") if path.parent.name != "parts")
PACKAGE = HERE.parents[1] / "wsdl"
# the rooms that find mistakes in programs
CHECKER = ("elaborate", "sharing", "rewrite", "differentiation", "training", "ops")


def said(path: Path, monkeypatch: pytest.MonkeyPatch) -> list[Diagnostic]:
    """What is found in a program, with the paths as they are from its own folder."""
    monkeypatch.chdir(path.parent)
    problems = Problems()
    examined(Source(path.name, path.read_text("utf-8")), problems)
    return list(problems)


@together("path", PROGRAMS, by=lambda path: path.parent.name, ids=lambda path: path.stem)
def test_what_is_said(path: Path, golden: Golden, monkeypatch: pytest.MonkeyPatch) -> None:
    found = said(path, monkeypatch)
    assert found, "there is no mistake in this program"
    for diagnostic in found:
        assert diagnostic.span is not None
        assert not diagnostic.span.source.is_standard, "nobody can change the standard library"
        assert title(diagnostic.code), f"{diagnostic.code} has no page"
        texts = [diagnostic.message, diagnostic.label, *(label.message for label in diagnostic.labels)]
        assert not any(text.endswith(".") or re.match("[A-Z][a-z]", text) for text in texts)
    golden(path.with_suffix(".txt"), render(found))


@pytest.mark.parametrize("path", sorted(HERE.glob("five/*.wsd")), ids=lambda path: path.stem)
def test_five_mistakes_are_five_errors(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert [diagnostic.severity for diagnostic in said(path, monkeypatch)] == ["error"] * 5


def test_every_code_of_the_checks_is_made_here() -> None:
    """Each code that the checker reports of a program stands in one of the expected texts. (Those of files of weights
    and of trainings have tests of their own.)"""
    files = [path for room in CHECKER for path in sorted((PACKAGE / room).rglob("*.py"))]
    assert {path.relative_to(PACKAGE).parts[0] for path in files} == set(CHECKER)
    used = {code for path in files for code in re.findall(r'"([EWN]0[2346]\d\d)"', path.read_text("utf-8"))}
    made = {code for path in HERE.rglob("*.txt") for code in re.findall(r"\[([EWN]\d{4})\]", path.read_text("utf-8"))}
    assert used <= made, f"no program here causes {sorted(used - made)}: add one, and `make golden` writes what is said"
