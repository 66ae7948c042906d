"""The one layout: programs that have it, and what becomes of those that don't."""

from __future__ import annotations

from pathlib import Path

import pytest

from wsdl.diagnostics import Problems
from wsdl.diagnostics.span import Source
from wsdl.syntax.formatter import format_source

PROGRAMS = sorted((Path(__file__).parent / "programs").glob("*.wsd"))


def formatted(text: str) -> str:
    result = format_source(Source("test.wsd", text), Problems())
    assert result is not None
    return result


@pytest.mark.parametrize("path", PROGRAMS, ids=lambda path: path.stem)
def test_the_programs_of_the_design_stay_as_they_are(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert formatted(text) == text


LONG = ", ".join(f"argument{i}=value{i}" for i in range(8))

REWRITES = {
    "spaces": ("let  a=1+2*f( x,y = 3 )", "let a = 1 + 2 * f(x, y=3)\n"),
    "parentheses that say nothing go, those that help stay": ("let a = ((x)) + (b * c)\n", "let a = x + (b * c)\n"),
    "parentheses that are needed": ("let a = (b + c) * -(d - e) ** 2", "let a = (b + c) * -(d - e) ** 2\n"),
    "slices": ("freeze a[0:6,::3,2*i:n,i+1:]", "freeze a[0:6, ::3, 2 * i : n, i + 1 :]\n"),
    "blank lines": ("\n\nlet a = 1\n\n\n\nlet b = 2\nlet c = 3\n\n\n", "let a = 1\n\nlet b = 2\nlet c = 3\n"),
    "around blocks": (
        "let a = 1\nblock A()(x: [d]) { return x }\nlet b = 1",
        "let a = 1\n\nblock A()(x: [d]) {\n    return x\n}\n\nlet b = 1\n",
    ),
    "comments behind adjacent lines": (
        "let a = 1 # one\nlet long = 2     # two\n",
        "let a = 1     # one\nlet long = 2  # two\n",
    ),
    "a column the author chose": ("let a = 1       # one\nlet b = 22      # two\n",) * 2,
    "a comment among arguments": (
        "let a = f(x, # first\n  # own line\n  y)  # last",
        "let a = f(\n    x,  # first\n    # own line\n    y,\n)  # last\n",
    ),
    "a comment where it has no place": ("let a = (x +  # why\n  y)", "# why\nlet a = x + y\n"),
    "a long call": (
        f"let a = Something({LONG}, {LONG})",
        "let a = Something(\n" + "".join(f"    {argument},\n" for argument in f"{LONG}, {LONG}".split(", ")) + ")\n",
    ),
    "a call that fits on a line of its own": (
        f"let something = f({LONG[:87]})",
        f"let something = f(\n    {LONG[:87]}\n)\n",
    ),
    "lines of a pipeline": (
        "block A()(x: [d]) {\n  return x |> f\n |> g |> h\n}",
        "block A()(x: [d]) {\n    return x |> f\n        |> g |> h\n}\n",
    ),
    "empty bodies": ("block A()(x: [d]) {\n\n}", "block A()(x: [d]) { }\n"),
    "else": (
        "block A()(x: [d]) { if a { } else if b { y = 1 } else { z = 2 } }",
        "block A()(x: [d]) {\n    if a { } else if b {\n        y = 1\n    } else {\n        z = 2\n    }\n}\n",
    ),
    "a list of `for` on a line of its own, before a brace": (
        "block A()(x: [n]) {\n scan a in x along n with h = [b\n for b in [x]], c = x {\n  emit c\n }\n}",
        "block A()(x: [n]) {\n    scan a in x along n with h = [b for b in [x]], c = x {\n        emit c\n    }\n}\n",
    ),
    "a `load`": (
        'load "a" into b except c,d fit 0.2{"x".T[0:d]->{p}_e.{q...}\n\nignore "y","z"}',
        'load "a" into b except c, d fit 0.2 {\n    "x".T[0:d] -> {p}_e.{q...}\n\n    ignore "y", "z"\n}\n',
    ),
    "a share group": ("share  x{a.w,b.w.T,} for i in 0..3", "share x { a.w, b.w.T } for i in 0..3\n"),
    "a way of sharing": ("share  x  as Delta( rank = 8 ){a,}", "share x as Delta(rank=8) { a }\n"),
    "parameters of a way": (
        "block A()(x:[d]) {\n shared  param a:[d]=ones  per group   nodecay\n param b:[d] per member\n}",
        "block A()(x: [d]) {\n    shared param a: [d] = ones per group nodecay\n    param b: [d] per member\n}\n",
    ),
    "windows": ("let a=1\r\nlet b=2\r\n", "let a = 1\r\nlet b = 2\r\n"),
    "nothing": ("", ""),
    "comments alone": ("# a\n\n\n# b", "# a\n\n# b\n"),
}


@pytest.mark.parametrize("name", REWRITES)
def test_rewrites(name: str) -> None:
    before, after = REWRITES[name]
    assert formatted(before) == after
    assert formatted(after) == after


def test_what_does_not_parse_is_left_alone() -> None:
    problems = Problems()
    assert format_source(Source("test.wsd", "let a = "), problems) is None
    assert [d.code for d in problems] == ["E0112"]
