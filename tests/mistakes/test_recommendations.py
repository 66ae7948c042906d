"""Fixes, and what a help recommends in code, are tried: they are accepted, or lead to another error."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

import pytest

from tests.stages import examined
from tests.together import together
from wsdl.diagnostics import Diagnostic, Problems
from wsdl.diagnostics.span import Source, Span

HERE = Path(__file__).parent
PROGRAMS = sorted(
    path for folder in (HERE, HERE.with_name("mistakes_training")) for path in folder.rglob("*.wsd")
    if path.parent.name not in ("parts", "limits")
)  # fmt: skip
CODE = r"`([^`…]+)`"
WAYS = (  # the words of a help, and where its code belongs: instead of the place, of the call or the line around it
    (rf"convert it with {CODE}", "place"),
    (rf"{CODE} converts it", "place"),
    (rf"apply it to a tensor: {CODE}", "place"),
    (rf"make a layer of it(?: first)?: {CODE}", "place"),
    (rf"hand it over without applying it: {CODE}", "place"),
    (rf"such as {CODE}", "place"),
    (rf"write the number as it is to be: {CODE}", "call"),
    (rf"to convert a tensor write {CODE}", "call"),
    (rf"a block is configured first, then applied: {CODE}", "call"),
    (rf"write them as one list: {CODE}", "call"),
    (rf"to stop gradients write {CODE}", "line"),
    (rf"bind it: {CODE}", "line"),
    (rf"write the name again: {CODE}", "line"),
    (rf"to store both once write {CODE}", "line"),
    (rf"return {CODE}, or declare", "place"),
    (rf"append {CODE}, or declare", "behind"),
    (r"leave it out: `except ([^`]+)`", "except"),
    (rf"write {CODE} for all of them", "path"),
    (rf"write {CODE}(?:;|$)", "place"),
    (rf"write {CODE} (?:for floats|or)", "place"),
)  # fmt: skip
PARAMETERS = {"units": "4", "channels": "4", "inner": "relu"}  # what stands in a signature for a value of the user's


def said(path: Path, text: str) -> list[Diagnostic]:
    problems = Problems()
    examined(Source(path.name, text), problems)
    return list(problems)


def recommended(diagnostic: Diagnostic, path: Path, text: str) -> str | None:
    """The program after following a fix, or the code in a help; `None` where that is left to the reader."""
    if diagnostic.span is None or diagnostic.span.source.path != path.name:
        return None
    if diagnostic.fix:
        for edit in sorted(diagnostic.fix, key=lambda edit: -edit.span.start):
            text = text[: edit.span.start] + edit.text + text[edit.span.end :]
        return text
    for words, way in WAYS:
        if match := re.search(words, diagnostic.help or ""):
            code = re.sub(r"\b\w+\b", lambda word: PARAMETERS.get(word[0], word[0]), match[1])
            return follow(text, diagnostic.span, code, way)
    return None


def follow(text: str, place: Span, code: str, way: str) -> str:
    start, end = place.start, place.end
    if way == "call":
        start, end = call_around(text, start, end)
    elif way == "line":
        start, end = text.rfind("\n", 0, start) + 5, text.find("\n", end)
    elif way == "behind":
        start = end
    elif way == "path":
        start = text.rfind(code.partition("[")[0], 0, start)
    elif way == "except":
        start = end = text.index("}", end)
        code = f"except {code} "
    return text[:start] + code + text[end:]


def call_around(text: str, start: int, end: int) -> tuple[int, int]:
    """From where to where the call goes whose function or argument a place is."""
    if text[end] != "(":
        depth = 1
        while depth:
            start -= 1
            depth += (text[start] in ")]}") - (text[start] in "([{")
        start, end = start - len(re.search(r"[\w.]*$", text[:start])[0]), start  # type: ignore[index]  # may be empty
    depth = 0
    while True:
        depth += (text[end] in "([{") - (text[end] in ")]}")
        end += 1
        if not depth:
            return start, end


@together("path", PROGRAMS, by=lambda path: path.parent.name, ids=lambda path: path.stem)
def test_what_is_recommended_is_not_refused(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(path.parent)
    text = path.read_text("utf-8")
    found = said(path, text)
    for diagnostic in found:
        if (changed := recommended(diagnostic, path, text)) is None:
            continue
        after = said(path, changed)
        assert _like(diagnostic, after) < _like(diagnostic, found), f"{diagnostic.help}:\n{changed}"
        new = {d.span.text for d in after if d.code == "E0201" and d.span} - {d.span.text for d in found if d.span}
        assert not new, f"{diagnostic.help} names what isn't there"


def _like(diagnostic: Diagnostic, found: Iterable[Diagnostic]) -> int:
    return sum((d.code, d.message) == (diagnostic.code, diagnostic.message) for d in found)


def test_most_recommendations_are_tried() -> None:
    """As many as there are now, so that none is lost when words change."""
    help = [line for path in PROGRAMS for line in path.with_suffix(".txt").read_text("utf-8").splitlines()]
    assert sum(any(re.search(words, line) for words, _ in WAYS) for line in help if "= help: " in line) >= 60
