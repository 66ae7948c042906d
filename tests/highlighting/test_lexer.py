"""The lexer for Pygments: texts come out as they went in, and what it takes for a keyword the parser takes for one."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from functools import cache
from importlib.metadata import EntryPoint

import lark
import pytest
from pygments.token import Error, Keyword, Operator

from tests.golden import ROOT
from website.blocks import blocks
from wsdl.diagnostics import Problems
from wsdl.diagnostics.span import Source
from wsdl.highlighting.lexer import WsdlLexer
from wsdl.syntax import layout
from wsdl.syntax.grammar import STARTS, make_parser


def _files(ending: str, *below: str) -> list[str]:
    paths = sorted(path for folder in below for path in (ROOT / folder).rglob(f"*{ending}"))
    return [str(path.relative_to(ROOT)) for path in paths if not {"node_modules", "data"} & {*path.parts}]


def _programs() -> Iterator[tuple[str, str]]:
    """All programs of the repository that are meant to be right: files, and blocks of pages."""
    for path in _files(".wsd", "examples", "wsdl/std", "tests/std", "tests/syntax/programs", "benchmarks"):
        yield path, (ROOT / path).read_text("utf-8")
    for path in _files(".md", "docs", "examples", "wsdl/diagnostics/codes"):
        for block in blocks((ROOT / path).read_text("utf-8")):
            if block.language == "wsd" and "error" not in (*block.marks, *block.note):
                yield f"{path}:{block.line}", block.text


def _lexed(text: str) -> list[tuple[int, object, str]]:
    return list(WsdlLexer().get_tokens_unprocessed(text))


def test_every_program_is_lexed_whole() -> None:
    programs = list(_programs())
    assert len(programs) > 400
    for where, text in programs:
        tokens = _lexed(text)
        assert "".join(part for _, _, part in tokens) == text, where
        assert [part for _, kind, part in tokens if kind is Error] == [], where


@pytest.mark.parametrize("text", ['let a = "open\nlet b = 1\n', "let a = 1;\r\n$ é 😀\n", "x[[1\n", "}{{i}.{j"])
def test_wrong_texts_come_out_as_they_went_in(text: str) -> None:
    assert "".join(part for _, _, part in _lexed(text)) == text


@pytest.mark.parametrize(
    ("line", "colored"),
    [
        ("## A block.", {"## A block.": "Literal.String.Doc"}),
        (
            "x: f32[n, 2 * d],",
            {"f32": "Keyword.Type", "n": "Name.Constant", "2": "Literal.Number", "d": "Name.Constant"},
        ),
        (
            "layer f = Dense(units=64)  # wide",
            {"f": "Name.Variable.Instance", "Dense": "Name.Builtin", "# wide": "Comment.Single"},
        ),
        (
            "layer block = Block(bias=true)",
            {"layer": "Keyword", "block": "Name.Variable.Instance", "true": "Keyword.Constant"},
        ),
        ("x |> relu |> f", {"|>": "Operator", "relu": "Name.Builtin", "f": "Name"}),
        ('"a.{i}.w" -> {i}', {"{i}": "Literal.String.Interpol", "->": "Operator"}),
    ],
)
def test_kinds(line: str, colored: dict[str, str]) -> None:
    assert {part: str(kind).removeprefix("Token.") for _, kind, part in _lexed(line) if part in colored} == colored


def test_pygments_finds_the_lexer() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    [(name, value)] = project["entry-points"]["pygments.lexers"].items()
    assert EntryPoint(name, value, "pygments.lexers").load() is WsdlLexer


def test_keywords_are_those_of_the_parser() -> None:
    """Contextual words are told by their neighbors; in our programs this gives what the grammar says."""
    wrong = {}
    for where, text in _programs():
        if where.startswith(("docs/reference", "docs/decisions", "examples/transformers")):  # many, and like the others
            continue
        parsed = _keywords_of_parser(text)
        if parsed is None:
            continue
        kinds = {start: kind for start, kind, _ in _lexed(text)}
        for start, is_keyword in parsed.items():
            colored = kinds.get(start) in (Keyword, Operator.Word, Keyword.Constant)
            if colored != is_keyword:
                wrong[f"{where}, offset {start}"] = text[max(0, start - 30) : start + 30]
    assert wrong == {}


@cache
def _parser() -> lark.Lark:
    return make_parser(None)  # trees of Lark, with all tokens


def _keywords_of_parser(text: str) -> dict[int, bool] | None:
    """Whether the word at each offset is a keyword; nothing for a text with errors of syntax."""
    problems = Problems()
    laid_out = layout.read(Source("a.wsd", text), problems)
    words: dict[int, bool] = {}
    for chunk in laid_out.chunks:
        for start in STARTS:
            try:
                tree = _parser().parse(laid_out.text[chunk.start : chunk.end], start=start)
                break
            except lark.UnexpectedInput:
                continue
        else:
            return None
        for node in tree.iter_subtrees():
            for child in node.children:
                if isinstance(child, lark.Token) and child.isalpha():
                    words[chunk.start + (child.start_pos or 0)] = child.type != "NAME"
            if node.data == "targets":
                for token in node.scan_values(lambda value: isinstance(value, lark.Token)):
                    words[chunk.start + (token.start_pos or 0)] = False
    return words
