"""Programs changed at random: checking them says what is wrong, in a short time, and never fails itself."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from pathlib import Path
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.stages import examined
from wsdl.diagnostics import Problems
from wsdl.diagnostics.render import render
from wsdl.diagnostics.span import Source

EXAMPLES = {path.stem: path for path in sorted((Path(__file__).parents[2] / "examples").glob("*.wsd"))}
TOKEN = re.compile(r"\w+|\"[^\"\n]*\"|#[^\n]*|\|>|->|\.\.\.|\.\.|==|!=|//|\*\*|[^\w\s]|\n\s*|[ \t]+")
WORDS = ("x", "h", "weight", "i", "n", "t", "Dense", "relu", "blocks", "none", "true", "f32", "share", "layer")
NUMBERS = ("0", "1", "-1", "3", "7", "0.5", "10_000_000", "4_611_686_018_427_387_904", "1e300")
SECONDS = 20.0  # for one program; the slowest takes a few, and the machine may be busy


def _delete(tokens: list[str], random: Random) -> None:
    del tokens[random.randrange(len(tokens))]


def _duplicate(tokens: list[str], random: Random) -> None:
    at = random.randrange(len(tokens))
    tokens.insert(at, tokens[at])


def _swap(tokens: list[str], random: Random) -> None:
    a, b = random.randrange(len(tokens)), random.randrange(len(tokens))
    tokens[a], tokens[b] = tokens[b], tokens[a]


def _rename(tokens: list[str], random: Random) -> None:
    words = [i for i, token in enumerate(tokens) if re.fullmatch(r"[^\W\d]\w*", token)]
    if words:
        at = random.choice(words)
        others = [tokens[i] for i in words]
        tokens[at] = random.choice([*WORDS, *others, tokens[at] + "s", tokens[at][1:] or "q"])


def _renumber(tokens: list[str], random: Random) -> None:
    numbers = [i for i, token in enumerate(tokens) if token[0].isdigit()]
    if numbers:
        tokens[random.choice(numbers)] = random.choice(NUMBERS)


def _drop_line(tokens: list[str], random: Random) -> None:
    lines = "".join(tokens).split("\n")
    del lines[random.randrange(len(lines))]
    tokens[:] = TOKEN.findall("\n".join(lines)) or ["\n"]


CHANGES: tuple[Callable[[list[str], Random], None], ...] = (
    _delete, _duplicate, _swap, _rename, _rename, _rename, _renumber, _renumber, _drop_line
)  # fmt: skip


@st.composite
def mutants(draw: st.DrawFn) -> str:
    """An example with one to four changes."""
    text = EXAMPLES[draw(st.sampled_from(sorted(EXAMPLES)))].read_text("utf-8")
    random = draw(st.randoms(use_true_random=False))
    tokens = TOKEN.findall(text)
    for _ in range(random.randint(1, 4)):
        random.choice(CHANGES)(tokens, random)
        tokens = tokens or ["\n"]
    return "".join(tokens)


@settings(max_examples=150)
@given(mutants())
def test_checking_never_fails(text: str) -> None:
    start = time.process_time()
    problems = Problems()
    examined(Source("mutant.wsd", text), problems)
    assert time.process_time() - start < SECONDS
    assert render(problems) or not problems.diagnostics
    for diagnostic in problems:
        assert diagnostic.span is not None
        assert not diagnostic.span.source.is_standard, render([diagnostic])


@pytest.mark.parametrize("name", EXAMPLES)
def test_an_example_is_clean(name: str) -> None:
    problems = Problems()
    examined(Source(str(EXAMPLES[name]), EXAMPLES[name].read_text("utf-8")), problems)
    found = [diagnostic for diagnostic in problems if diagnostic.code != "N0501"]  # of weights, where `make data` was
    assert not found, render(found)
