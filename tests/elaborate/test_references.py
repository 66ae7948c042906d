"""Use and definition of names, as editors ask for them: the programs in `references.txt`.

In these a use is written `<name:1>` and its definition `<1:name>`; `<name:1,2>` is defined in two places, and what
`<name:std>` stands for in the standard library.
"""

from __future__ import annotations

import re
from collections import defaultdict
from pathlib import Path

import pytest

from wsdl.compiler import check
from wsdl.diagnostics import Problems
from wsdl.diagnostics.span import Source, Span
from wsdl.ir.references import Either, Places, listed
from wsdl.sharing.path_references import references

CASES = Path(__file__).with_name("references.txt").read_text("utf-8").split("# -----\n")
MARKED = re.compile(r"<(?P<definition>\d+):(?P<defined>\w+)>|<(?P<used>\w+):(?P<use>[\d,]+|std)>")


def _unmarked(text: str) -> tuple[Source, dict[str, set[tuple[int, int]]], list[tuple[int, int, str]]]:
    """The program, the places of each definition, and the uses with the numbers of theirs."""
    definitions: dict[str, set[tuple[int, int]]] = defaultdict(set)
    uses: list[tuple[int, int, str]] = []
    program, end = "", 0
    for mark in MARKED.finditer(text):
        program += text[end : mark.start()]
        name, end = mark["defined"] or mark["used"], mark.end()
        if mark["defined"]:
            definitions[mark["definition"]].add((len(program), len(program) + len(name)))
        else:
            uses.append((len(program), len(program) + len(name), mark["use"]))
        program += name
    return Source("m.wsd", program + text[end:]), definitions, uses


def _where(place: Span) -> tuple[int, int] | str:
    return "std" if place.source.is_standard else (place.start, place.end)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.partition("\n")[0].removeprefix("# "))
def test_each_use_knows_its_definitions(case: str) -> None:
    source, definitions, uses = _unmarked(case)
    problems = Problems()
    found = references(check(source, problems))
    assert not problems.errors, [f"{d.span}: {d.message}" for d in problems.errors]
    by_place = {(use.start, use.end): use for use in found.definitions if use.source.path == "m.wsd"}
    for start, end, numbers in uses:
        what = f"`{source.text[start:end]}` in line {source.span(start, end).line}"
        use = by_place.get((start, end))
        assert use is not None, f"{what} has no definition"
        expected = set().union(*({"std"} if n == "std" else definitions[n] for n in numbers.split(",")))
        assert set(map(_where, found.definitions[use])) == expected, what
        for place in found.definitions[use]:
            assert use in found.uses(place)


STORIES = """\
    h = x |> Dense(8)
    left, right = h * 2.0, relu(h) |> Dense(8)
    z = arange(3)
    return left + right
"""


def test_each_name_knows_where_its_value_comes_from() -> None:
    program = check(Source("m.wsd", f"model m(x: f32[n, 4]) -> (y: f32[n, 8]) {{\n{STORIES}}}\n"), Problems())
    stories = {}
    for binding in program.bindings:
        origin, producer = program.origins.of(binding.value), program.origins.producers.get(binding.value)
        stories[binding.name] = f"{producer.op if producer else 'input'} of {origin.name if origin else 'nothing'}"
    assert stories == {
        "x": "input of the input `x`",
        "h": "add of `Dense(8)`",
        "left": "mul of `Dense(8)`",
        "right": "add of `Dense(8)`",
        "z": "arange of nothing",
    }


def test_what_branches_define_is_listed_when_an_editor_asks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Behind each of many branches a name is defined in all of those before: a check doesn't list them."""
    source = Source("m.wsd", "model m(x: f32[n, 8]) {\n" + "    if true { x = x }\n" * 200 + "    return x\n}\n")
    with monkeypatch.context() as patch:
        patch.setattr("wsdl.ir.references.listed", lambda places: pytest.fail("listed"))
        program = check(source, Problems())
    found = references(program).definitions
    last = max((use for use in found if use.text == "x"), key=lambda use: use.start)
    assert len(found[last]) == 201
    assert [place.start for place in found[last][:-1]] == sorted((p.start for p in found[last][:-1]), reverse=True)


def test_locations_are_listed_once() -> None:
    source = Source("m.wsd", "a b c")
    a, b, c = ((source.span(i, i + 1),) for i in (0, 2, 4))
    assert listed(Either(Either(b, a), Either(a, Either(c, b)))) == (*b, *a, *c)
    many: Places = a
    for _ in range(5000):
        many = Either(many, many)
    assert listed(many) == a
