"""What a study compares: constants with other values, in the text of the file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from tests.studies.programs import PROGRAM
from wsdl.compiler import SourceOptions
from wsdl.diagnostics import CompileError
from wsdl.diagnostics.span import Source
from wsdl.studies.configurations import configurations, constants_read, split, with_constants, without_variants

LETS = """\
let width = 4 * half    # of the hidden layer
let half = [
    2,
    3,
][0]
let other = 1

model m(x: f32[n, 4]) -> (y: f32[n, 2]) {
    other = x |> Dense(width)
    return other |> Dense(2)
}
"""

VARIANTS = """\
let width = 4
let rank = 2

model m(x: f32[n, width]) -> (y: f32[n, width]) {
    layer one = Dense(width)
    layer two = Dense(width)
    return x |> one |> two
}

variant tied {
    share { m.one, m.two }
}

variant ranked {
    share as Delta(rank=rank) { m.one, m.two }
}
"""


def compared(
    text: str, variants: Sequence[str] | None = None, against: str | None = None, **constants: Sequence[str]
) -> list[tuple[str, str]]:
    found = configurations(Source("m.wsd", text), variants, constants, SourceOptions(), against)
    return [(c.name, c.base) for c in found]


def test_combinations() -> None:
    assert compared(PROGRAM) == [("base", "base")]
    assert compared(PROGRAM, depth=["3", "2"], rate=["1e-3", "1e-2"]) == [
        (f"base depth={depth} rate={rate}", "base depth=3 rate=1e-3") for depth in (3, 2) for rate in ("1e-3", "1e-2")
    ]


def test_lines_keep_their_numbers() -> None:
    text = with_constants(Source("m.wsd", LETS), {"half": "8", "width": "half + 1"}).text
    assert text.startswith("let width = half + 1    # of the hidden layer\nlet half = 8\n\n\n\nlet other = 1\n")
    assert text.index("model") - text.index("let other") == LETS.index("model") - LETS.index("let other")


READS = """\
let a = 1
let b = 2 * c
let c = 3
let d = 4
let e = 5
let f = 1e-3
let unread = 7
let named = 8

block Own(named: int = 1)(x: [n, k]) -> [n, k] {
    param w: [k + 0 * a, k] = normal(0.02)
    return (x @ w) * named
}

model m(x: f32[n, b]) -> (y: f32[n, b]) {
    layer blocks[4] = Own(named=2)
    for block in blocks {
        x = block(x)
    }
    return x
}

train m(label: f32[n, b]) {
    loss mse(y, label)
    optimizer SGD(lr=1e-3)
}

variant some {
    share { m.blocks[0:d] }
    limit params 1000 * e
    train m {
        lr blocks = f
    }
}
"""


def test_which_constants_a_program_reads() -> None:
    """In types, sizes, indices of paths and rates; not a parameter of a block that has the name of one."""
    source = Source("m.wsd", READS)
    base, variant = without_variants(source, None), without_variants(source, "some")
    assert constants_read(base, SourceOptions()) == {"a", "b", "c"}
    assert constants_read(variant, SourceOptions()) == {"a", "b", "c", "d", "e", "f"}


def test_variants() -> None:
    """Each is compared with the base of the same constants, and has those alone that it reads."""
    assert compared(VARIANTS) == [("base", "base"), ("tied", "base"), ("ranked", "base")]
    assert compared(VARIANTS, ["ranked"]) == [("base", "base"), ("ranked", "base")]
    assert compared(VARIANTS, ["base"]) == [("base", "base")]
    assert compared(VARIANTS, width=["8", "4"], rank=["1", "2"]) == [
        ("base width=8", "base width=8"),
        ("base width=4", "base width=8"),
        ("tied width=8", "base width=8"),
        ("tied width=4", "base width=4"),
        ("ranked width=8 rank=1", "base width=8"),
        ("ranked width=8 rank=2", "base width=8"),
        ("ranked width=4 rank=1", "base width=4"),
        ("ranked width=4 rank=2", "base width=4"),
    ]
    assert compared(VARIANTS, ["tied"], "ranked") == [("base", "ranked"), ("tied", "ranked"), ("ranked", "ranked")]
    assert compared(VARIANTS, [], "ranked", width=["8", "4"], rank=["1", "2"]) == [
        ("base width=8", "ranked width=8 rank=1"),
        ("base width=4", "ranked width=4 rank=1"),
        ("ranked width=8 rank=1", "ranked width=8 rank=1"),
        ("ranked width=8 rank=2", "ranked width=8 rank=1"),
        ("ranked width=4 rank=1", "ranked width=8 rank=1"),
        ("ranked width=4 rank=2", "ranked width=8 rank=1"),
    ]
    text = without_variants(Source("m.wsd", VARIANTS), "ranked").text
    assert "variant tied" not in text
    assert text.index("variant ranked") == VARIANTS.index("variant ranked")


@pytest.mark.parametrize("named", [{"variants": ["rankd"]}, {"against": "rankd"}])
def test_there_is_no_such_variant(named: Mapping[str, Any]) -> None:
    with pytest.raises(CompileError) as error:
        compared(VARIANTS, **named)
    assert [(d.code, d.help) for d in error.value.diagnostics] == [("E0710", "did you mean `ranked`?")]


def test_a_constant_may_be_read_through_another() -> None:
    assert len(compared(LETS, half=["2", "3"])) == 2


@pytest.mark.parametrize(
    ("constants", "message"),
    [
        ({"widht": ["4"]}, "this file declares no constant `widht`"),
        ({"other": ["4"]}, "no program of this study reads the constant `other`, so its values make no difference"),
        ({"width": ["4 4"]}, "`4 4`, a value of `width`, is not an expression"),
        ({"width": [""]}, "``, a value of `width`, is not an expression"),
        ({"width": ["4 # or more"]}, "`4 # or more`, a value of `width`, is not an expression"),
        ({"width": ["4\nlet x = 3"]}, "`4\nlet x = 3`, a value of `width`, is not an expression"),
        ({"width": ["4", "4"]}, "`width` lists a value twice"),
    ],
)
def test_mistakes(constants: Mapping[str, Any], message: str) -> None:
    with pytest.raises(CompileError) as error:
        compared(LETS, **constants)
    assert [(d.code, d.message) for d in error.value.diagnostics] == [("E0726", message)]


def test_values_on_the_command_line() -> None:
    assert split("2, [4, 8],f(1,2)") == ["2", "[4, 8]", "f(1,2)"]
