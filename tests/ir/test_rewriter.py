"""Rewriting: who makes and who reads a value is right at each moment, in bodies too; text in, text out."""

from __future__ import annotations

import ast
from collections.abc import Callable
from pathlib import Path
from time import process_time

import pytest

from wsdl.ir.graph import Graph, Node, Value
from wsdl.ir.rewriter import Reader, Rewriter
from wsdl.ir.text import from_text, to_text
from wsdl.ir.types import TensorType
from wsdl.ops.build import Build

BEFORE = """\
model m(%x: f32[n, 4], %w: f32[4, 4]) -> (y: %y, z: %b) {
    %a = neg(%x): f32[n, 4]
    %b = relu(%a): f32[n, 4]
    %y = loop([%b]) {count=3}: f32[n, 4] do (%h: f32[n, 4]) {
        %c = matmul(%h, %w): f32[n, 4]
        %d = add(%c, %a): f32[n, 4]
        yield %d
    }
}
"""
Edit = Callable[[Rewriter, dict[str, Value], dict[str, Node]], None]


def bypass(rewriter: Rewriter, v: dict[str, Value], n: dict[str, Node]) -> None:
    rewriter.replace(v["a"], v["x"])
    rewriter.erase(n["a"])


def hoist(rewriter: Rewriter, v: dict[str, Value], n: dict[str, Node]) -> None:
    rewriter.replace(v["h"], v["x"])
    rewriter.move([n["c"]], before=n["y"])


def insert(rewriter: Rewriter, v: dict[str, Value], n: dict[str, Node]) -> None:
    build = Build.at(n["d"])
    c = build("tanh", v["c"])
    rewriter.insert(build.nodes, before=n["d"])
    rewriter.substitute(n["d"], {v["c"]: c})


def replace_node(rewriter: Rewriter, v: dict[str, Value], n: dict[str, Node]) -> None:
    build = Build.at(n["a"])
    a = build("tanh", build("abs", v["x"]))
    rewriter.replace_node(n["a"], build.nodes, [a])
    assert rewriter.current(v["a"]).name == "a"


EDITS: dict[str, tuple[Edit, list[tuple[str, str]]]] = {
    "replace a value that a body captures": (
        bypass,
        [("    %a = neg(%x): f32[n, 4]\n", ""), ("(%a)", "(%x)"), (", %a)", ", %x)")],
    ),
    "replace an output": (
        lambda rewriter, v, n: rewriter.replace(v["b"], v["x"]),
        [("z: %b", "z: %x"), ("loop([%b])", "loop([%x])")],
    ),
    "insert into a body": (
        insert,
        [("        %d = add(%c", "        %0 = tanh(%c): f32[n, 4]\n        %d = add(%0")],
    ),
    "replace a node": (
        replace_node,
        [("    %a = neg(%x)", "    %0 = abs(%x): f32[n, 4]\n    %a = tanh(%0)")],
    ),
    "move a node out of a body": (
        hoist,
        [
            ("        %c = matmul(%h, %w): f32[n, 4]\n", ""),
            ("    %y", "    %c = matmul(%x, %w): f32[n, 4]\n    %y"),
        ],
    ),
}


@pytest.mark.parametrize(("edit", "changes"), EDITS.values(), ids=EDITS)
def test_edits(edit: Edit, changes: list[tuple[str, str]]) -> None:
    program = from_text(BEFORE)
    graph = program.only.graph
    values = {v.name: v for node in graph.walk() for v in [*node.results, *node.inputs]}
    with Rewriter(graph) as rewriter:
        edit(rewriter, values, {v.name: node for node in graph.walk() for v in node.results})
    expected = BEFORE
    for old, new in changes:
        expected = expected.replace(old, new)
    assert to_text(program) == expected
    anew = Rewriter(graph)
    for value in {v: None for node in graph.walk() for v in [*node.results, *node.inputs]}:
        assert rewriter.producer(value) is anew.producer(value)
        assert {*rewriter.readers(value)} == {*anew.readers(value)}, value.name


def test_who_reads_a_value() -> None:
    graph = from_text(BEFORE).only.graph
    a, b, loop = graph.nodes
    assert loop.body is not None
    c, d = loop.body.nodes
    rewriter = Rewriter(graph)

    def readers(value: Value) -> list[Reader]:
        return rewriter.readers(value)

    assert (readers(a.result), readers(b.result)) == ([b, d], [loop, graph])
    assert (readers(loop.body.inputs[0]), readers(d.result), readers(c.result)) == ([c], [loop.body], [d])
    assert rewriter.producer(loop.result) is loop
    assert rewriter.producer(loop.body.inputs[0]) is None


def test_a_node_that_is_read_is_not_erased() -> None:
    graph = from_text(BEFORE).only.graph
    with pytest.raises(AssertionError, match="still read"):
        Rewriter(graph).erase(graph.nodes[0])


def test_time_is_proportional_to_the_graph() -> None:
    """Insertions anywhere, and a value that everything reads, in four times as many nodes."""

    def seconds(count: int) -> float:
        graph = Graph([Value(TensorType.of("f32"), "x")])
        build, x = Build(graph), graph.inputs[0]
        for value in [build("neg", x) for _ in range(count)]:
            build("exp", value)
        start = process_time()
        with Rewriter(graph) as rewriter:
            for node in graph.nodes:
                before = Build.at(node)
                rewriter.replace_node(node, before.nodes, [before("abs", before("tanh", x))])
        return process_time() - start

    small, large = min(seconds(500) for _ in range(3)), min(seconds(2000) for _ in range(3))
    assert large < 10 * small + 0.05


def test_nothing_is_known_by_its_id() -> None:
    """Values, nodes and other objects that are equal only to themselves are keys as they are."""
    for path in (Path(__file__).parents[2] / "wsdl").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            is_id = isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "id"
            assert not is_id, f"{path}:{getattr(node, 'lineno', 0)}"


def test_the_products_of_a_long_sum() -> None:
    """A matrix that thousands of steps share: its gradient is a sum of as many products."""
    graph = Graph([Value(TensorType.of("f32", [4, 4]), "x")])
    build, x = Build(graph), graph.inputs[0]
    total = build.add([build("gemm", x, x) for _ in range(2000)])
    build.transposed(total)
    assert [node.op for node in graph.nodes[-2000:]].count("add") == 1999
