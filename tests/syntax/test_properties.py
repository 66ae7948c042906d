"""What holds for every text: the formatter keeps meaning and comments, and the parser never fails in another way."""

from __future__ import annotations

import time

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.strategies import programs
from wsdl.diagnostics import Problems
from wsdl.diagnostics.render import render
from wsdl.diagnostics.span import Source
from wsdl.syntax import tree
from wsdl.syntax.formatter import format_source, same
from wsdl.syntax.parser import parse


def read(text: str) -> tuple[tree.File, Problems]:
    problems = Problems()
    return parse(Source("test.wsd", text), problems), problems


@given(programs())
@settings(max_examples=60)
def test_formatting_keeps_the_program(text: str) -> None:
    before, problems = read(text)
    assert not problems.diagnostics, render(problems)
    formatted = format_source(Source("test.wsd", text), problems)
    assert formatted is not None
    after, problems = read(formatted)
    assert not problems.diagnostics
    assert same(before, after)
    assert [c.text.lstrip("# ") for c in before.comments] == [c.text.lstrip("# ") for c in after.comments]
    assert format_source(Source("test.wsd", formatted), problems) == formatted


@given(programs())
@settings(max_examples=25)
def test_every_span_is_the_text_of_its_node(text: str) -> None:
    file, _ = read(text)
    stack: list[tree.Node] = list(file.declarations)
    while stack:
        node = stack.pop()
        assert node.span.text == node.span.text.strip()
        assert node.span.text
        for value in vars(node).values():
            parts = value if isinstance(value, tuple) else (value,)
            for part in parts:
                if isinstance(part, tree.Node):
                    assert node.span.start <= part.span.start <= part.span.end <= node.span.end
                    stack.append(part)


def _survives(text: str) -> None:
    begun = time.process_time()
    file, problems = read(text)
    assert isinstance(file, tree.File)
    for diagnostic in problems:
        assert diagnostic.code.startswith("E01")
        assert diagnostic.span is not None
        assert 0 <= diagnostic.span.start <= diagnostic.span.end <= len(text)
    for format in ("full", "concise", "json", "github", "sarif"):
        render(problems, format, width=80)
    assert time.process_time() - begun < 5


@given(st.text(max_size=200))
@settings(max_examples=60)
def test_any_text_gives_diagnostics_only(text: str) -> None:
    _survives(text)


@given(st.text(alphabet="block model let share if else {}()[]=,.|>-\"#\n\t xy01:;'", max_size=200))
@settings(max_examples=60)
def test_any_heap_of_words_gives_diagnostics_only(text: str) -> None:
    _survives(text)


@given(programs(), st.data())
@settings(max_examples=40)
def test_a_damaged_program_gives_diagnostics_only(text: str, data: st.DataObject) -> None:
    start = data.draw(st.integers(0, len(text)))
    end = data.draw(st.integers(start, min(len(text), start + 10)))
    _survives(text[:start] + data.draw(st.text(max_size=3)) + text[end:])
    _survives(text[:start])
