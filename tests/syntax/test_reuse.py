"""A declaration that is moved from an earlier version of a text is as if it were parsed: tree, locations, comments."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Iterator
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.examples.test_bytes import EXAMPLES
from tests.strategies import programs
from wsdl.diagnostics import Problems
from wsdl.diagnostics.render import render
from wsdl.diagnostics.span import Source, Span
from wsdl.syntax import parser, reuse, tree
from wsdl.syntax.parser import parse

TEXT = """\
## Two layers.
model m(x: f32[n, 4]) -> (y: f32[n, 2]) {
    ## The first one.
    layer hidden = Dense(8)
    y = x |> hidden |> relu |> Dense(2)
}

block twice()(x: f32[n]) {
    y = x + x
    return y
}
"""


def lines_of(part: object) -> Iterator[str]:
    """A part of a tree, a line for each node and each value."""
    if isinstance(part, tree.Node):
        yield type(part).__name__
        for name, value in sorted(vars(part).items()):
            yield from (f"  {name} {line}" for line in lines_of(value))
    elif isinstance(part, tuple):
        for item in part:
            yield from (f"- {line}" for line in lines_of(item))
    elif isinstance(part, Span):
        yield f"{part} to {part.end} {part.text!r}"
    else:
        yield repr(part)


def seen(text: str) -> tuple[list[str], str]:
    problems = Problems()
    file = parse(Source("test.wsd", text), problems)
    assert not {node.span.source.text for node in file.declarations} - {text}
    return list(lines_of(file.declarations)), render(problems, "full", width=100)


def compare(*versions: str) -> None:
    """Each version, parsed after the earlier ones, is as it is alone."""
    reuse.forget()
    after = [seen(text) for text in versions]
    for text, one in zip(versions, after, strict=True):
        reuse.forget()
        assert one == seen(text)


@pytest.fixture
def parsed(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The texts of the declarations that are parsed."""
    texts: list[str] = []
    run = parser.Reading.run

    def noted(reading: parser.Reading) -> tree.Declaration | None:
        texts.append(reading.text)
        return run(reading)

    monkeypatch.setattr(parser.Reading, "run", noted)
    return texts


def test_only_the_declaration_that_changes_is_parsed(parsed: list[str]) -> None:
    reuse.forget()
    assert seen(TEXT)[1] == ""
    assert [text.split("(")[0] for text in parsed] == ["model m", "block twice"]
    del parsed[:]
    seen("# A comment above 😀\n\n" + TEXT.replace("x + x", "x * x"))
    assert [text.split("(")[0] for text in parsed] == ["block twice"]


@pytest.mark.parametrize(
    "other",
    [
        TEXT.replace("Two layers", "Two of them"),
        TEXT.replace("## Two layers.\n", ""),
        TEXT.replace("## Two layers.\n", "# Two layers.\n"),
        TEXT.replace("The first one", "The only one"),
        TEXT.replace("    ## The first one.\n", "                    \n"),
        TEXT.replace("block twice", "## Adds.\nblock twice"),
        TEXT.replace("model m", "let a = 1; model m"),
        TEXT.replace("model m", "/**/ model m"),
        TEXT.replace("\n", "\r\n"),
        TEXT.replace("}\n\nblock", "}\nblock"),
        TEXT.replace("}\n\nblock", "} block"),
        TEXT + TEXT.replace("model m", "model other"),
        TEXT.replace("}\n\nblock", "\n\nblock"),
        TEXT.replace("|> relu", "|> |> relu"),
        TEXT.replace("x + x", "x +"),
        TEXT.replace("x: f32[n])", "x)"),
        TEXT.replace("()(x: f32[n])", "(x: f32[n])"),
        f"\ufeff{TEXT}",
        "",
    ],
)
def test_changes_around_a_declaration(other: str) -> None:
    compare(TEXT, other, TEXT, other)


def test_the_examples_with_other_lines() -> None:
    for path in EXAMPLES:
        text = path.read_text("utf-8")
        lines = text.splitlines(keepends=True)
        random = Random(path.name)
        at, of, without = (random.randrange(len(lines)) for _ in range(3))
        more = "".join([*lines[:at], lines[of], *lines[at:]])
        compare(text, more, "".join(lines[:without] + lines[without + 1 :]))


@given(programs(), st.data())
@settings(max_examples=40)
def test_any_program_after_a_damaged_one(text: str, data: st.DataObject) -> None:
    start = data.draw(st.integers(0, len(text)))
    end = data.draw(st.integers(start, min(len(text), start + 10)))
    damaged = text[:start] + data.draw(st.text(max_size=3)) + text[end:]
    compare(text, damaged, text)


def test_what_an_open_bracket_hides_is_not_parsed_again(parsed: list[str]) -> None:
    reuse.forget()
    hidden, broken = seen(TEXT), seen(TEXT.replace("Dense(8)", "Dense((8"))
    assert broken[1]
    assert broken != hidden
    del parsed[:]
    assert seen(TEXT) == hidden
    assert parsed == []


def test_only_the_last_versions_of_a_few_files_are_kept(monkeypatch: pytest.MonkeyPatch, parsed: list[str]) -> None:
    monkeypatch.setattr(reuse, "MOST", 2)
    reuse.forget()
    sources = [Source(f"{number}.wsd", TEXT) for number in range(3)]
    for source in sources:
        parse(source, Problems())
    del parsed[:]
    parse(Source("2.wsd", f"\n{TEXT}"), Problems())
    assert parsed == []
    parse(Source("0.wsd", f"\n{TEXT}"), Problems())
    assert len(parsed) == 2


def test_no_earlier_version_is_held() -> None:
    reuse.forget()
    versions = []
    for number in range(4):
        source = Source("test.wsd", TEXT.replace("x + x", f"{number} * x"))
        parse(source, Problems())
        versions.append(weakref.ref(source))
        del source
    gc.collect()
    assert [version() is not None for version in versions] == [False, False, False, True]
