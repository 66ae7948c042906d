"""Every mistake is recognized in the programs that stand beside it, and nothing else is said about them."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.golden import Golden
from tests.together import together
from wsdl.diagnostics import Problems
from wsdl.diagnostics.render import render
from wsdl.diagnostics.span import Source
from wsdl.syntax import mistakes
from wsdl.syntax.mistakes import Mistake
from wsdl.syntax.parser import parse
from wsdl.syntax.stuck import STUCK

GOLDEN = Path(__file__).parent / "golden"
ALL = [*(m for m in vars(mistakes).values() if isinstance(m, Mistake) and m is not mistakes.UNEXPECTED), *STUCK]
EXAMPLES = [(mistake, example) for mistake in ALL for example in mistake.examples]


def code_of(made: tuple[Mistake, str]) -> str:
    return made[0].code


def said(text: str, name: str = "example.wsd") -> Problems:
    problems = Problems()
    parse(Source(name, text), problems)
    return problems


@together("made", EXAMPLES, by=code_of)
def test_an_example_makes_its_mistake_and_no_other(made: tuple[Mistake, str]) -> None:
    mistake, example = made
    assert [d.code for d in said(example)] == [mistake.code], render(said(example))


@together("mistake", ALL, by=lambda mistake: mistake.code, ids=lambda mistake: mistake.message)
def test_every_mistake_has_an_example(mistake: Mistake) -> None:
    assert mistake.examples


@together("made", [(m, e) for m, e in EXAMPLES if m.fixes or m.insert], by=code_of)
def test_a_fix_mends_its_example(made: tuple[Mistake, str]) -> None:
    mistake, example = made
    for diagnostic in said(example):
        for edit in sorted(diagnostic.fix, key=lambda edit: -edit.span.start):
            example = example[: edit.span.start] + edit.text + example[edit.span.end :]
        if diagnostic.fix:
            assert mistake.code not in [d.code for d in said(example)]


def test_what_is_said_of_each_example(golden: Golden) -> None:
    texts = []
    for code in sorted({mistake.code for mistake in ALL}):
        for mistake, example in EXAMPLES:
            if mistake.code == code and len(example) < 200:
                texts.append(render(said(example)))
    golden(GOLDEN / "mistakes.txt", "\n".join(texts))


@pytest.mark.parametrize("path", sorted(GOLDEN.glob("*.wsd")), ids=lambda path: path.stem)
def test_what_is_said_of_a_file(path: Path, golden: Golden) -> None:
    golden(path.with_suffix(".txt"), render(said(path.read_text(encoding="utf-8"), path.name)))


def test_what_is_said_of_odd_characters(golden: Golden) -> None:
    lines = [
        'let a = "日本" → 3',
        "model m(x: f32[n]) {",
        "\ty\t= x $ 1",
        "\treturn x\xa0+ 1",
        "}",
        "let b = \x1b[31m]",
        "",
    ]
    golden(GOLDEN / "odd_characters.txt", render(said("\r\n".join(lines))))
