"""What is no program is found, whatever a pass has left."""

from __future__ import annotations

import pytest

from wsdl.ir.text import from_text
from wsdl.ops.verify import InvalidProgram, verify

PROGRAM = """\
stored m.w: f32[4, 8]

model m(%x: f32[n, 8], %xs: f32[t, n, 4], %h: f32[n, 4]) -> (y: %b, last: %s) {
    %w = parameter {stored="m.w", view=".T"}: f32[8, 4]
    %a = matmul(%x, %w): f32[n, 4]
    %b = cast(%a) {dtype="f16"}: f16[n, 4]
    %s, %e = scan([%h], [%xs]) {axes=[0], reverse=false}: f32[n, 4], f32[t, n, 4] do (%c: f32[n, 4], %i: f32[n, 4]) {
        %d = add(%c, %i): f32[n, 4]
        yield %d, %d
    }
    %l = loop([%h]) {count=3}: f32[n, 4] do (%k: f32[n, 4]) {
        %m = neg(%k): f32[n, 4]
        yield %m
    }
}
"""
WRONG: dict[str, tuple[str, str, str]] = {
    "a size": ("(%x, %w): f32[n, 4]", "(%x, %w): f32[n, 5]", "result 0 (`a`) is f32[n, 5], but should be f32[n, 4]"),
    "a dtype": ('"f16"}: f16', '"f16"}: f32', "result 0 (`b`) is f32[n, 4], but should be f16[n, 4]"),
    "a rank": ("(%x, %w): f32[n, 4]", "(%x, %w): f32[4]", "result 0 (`a`) is f32[4], but should be f32[n, 4]"),
    "operands": ("matmul(%x, %w)", "matmul(%h, %w)", "`matmul` in ``: "),
    "a view": ('view=".T"', 'view=""', "reads m.w f32[4, 8] through"),
    "the dtype of a parameter": ('view=".T"}: f32', 'view=".T"}: i64', "as i64[8, 4]"),
    "a carried value": (
        "do (%c: f32[n, 4]",
        "do (%c: f32[n, 5]",
        "carried value, number or slice 0 (`c`) is f32[n, 5]",
    ),
    "a slice": ("%i: f32[n, 4]", "%i: f32[4]", "carried value, number or slice 1 (`i`) is f32[4]"),
    "what a step hands on": ("yield %d, %d", "yield %xs, %d", "next value 0 (`xs`) is f32[t, n, 4]"),
    "what is stacked": ("f32[t, n, 4] do", "f32[t, 4] do", "result 1 (`e`) is f32[t, 4], but should be f32[t, n, 4]"),
    "the result of a loop": ("f32[n, 4] do (%k", "f16[n, 4] do (%k", "result 0 (`l`) is f16[n, 4]"),
}


def test_a_program() -> None:
    verify(from_text(PROGRAM))
    verify(from_text(PROGRAM.replace("(%x, %w): f32[n, 4]", "(%x, %w): f32[t // 2, 4]")))  # for some t it is n


@pytest.mark.parametrize(("old", "new", "message"), WRONG.values(), ids=WRONG)
def test_wrong_types(old: str, new: str, message: str) -> None:
    assert old in PROGRAM
    with pytest.raises(InvalidProgram) as error:
        verify(from_text(PROGRAM.replace(old, new)))
    assert message in str(error.value)


def test_order_and_number_of_values() -> None:
    def broken(change: str) -> str:
        program = from_text(PROGRAM)
        graph = program.only.graph
        if change == "order":
            graph.nodes.reverse()
        elif change == "twice":
            graph.nodes.append(graph.nodes[1])
        elif change == "no node":
            graph.nodes.pop(2)
        elif change == "results":
            graph.nodes[1].results *= 2
        else:
            graph.nodes[3].body = None
        with pytest.raises(InvalidProgram) as error:
            verify(program)
        return str(error.value)

    assert "reads `h`" not in broken("order")
    assert "computes it" in broken("order")
    assert "`matmul` in `` has a result that another node computes already" in broken("twice")
    assert "the output `b` (f16[n, 4]) is computed by no node" in broken("no node")
    assert "should be 1" in broken("results")
    assert "`scan` in `` lacks a body" in broken("body")
