"""What is computed for all steps at once is what each step would have computed."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tests.differentiation.test_differentiate import as_program
from tests.differentiation.test_differentiate_scan import scan
from tests.ops.build import typed
from wsdl.ir.graph import Graph, Value
from wsdl.ops.build import Build
from wsdl.ops.interpreter import evaluate
from wsdl.ops.verify import verify
from wsdl.rewrite.batch_steps import batch_graph

T, N = 5, 3
SHAPES = {"f32[n, t, 4]": (N, T, 4), "f32[t, n]": (T, N), "f32[4, 6]": (4, 6), "f32[4]": (4,), "f32[n, 6]": (N, 6)}


def graph_of(step: Any, reverse: bool) -> Graph:
    """`step(build, x, y, w, b)` of slices `x` [n, 4] and `y` [n], and of `w` [4, 6], `b` [4]: f32[n, 6] to add up."""
    graph = Graph([Value(typed(text), f"x{i}") for i, text in enumerate(SHAPES)])
    xs, ys, w, b, start = graph.inputs

    def body(s: Build, h: Value, x: Value, y: Value) -> tuple[list[Value], list[Value]]:
        made = step(s, x, y, w, b)
        return [s("add", s("mul", h, 0.5), made)], [made]

    graph.outputs = scan(Build(graph), body, [start], [xs, ys], [1, 0], [1], reverse)
    return graph


def wide(s: Build, x: Value, w: Value) -> Value:
    return s("matmul", x, w)


STEPS = {
    "matmul": lambda s, x, y, w, b: wide(s, x, w),
    "gemm": lambda s, x, y, w, b: s("gemm", x, s("transpose", w), trans_b=True),
    "bias": lambda s, x, y, w, b: wide(s, s("tanh", s("add", x, b)), w),
    "a narrower stack": lambda s, x, y, w, b: s("mul", wide(s, x, w), s("unsqueeze", y, axis=-1)),
    "ranks": lambda s, x, y, w, b: wide(s, s("mul", x, s("sum", y)), w),
    "split and concat": lambda s, x, y, w, b: wide(
        s, s("concat", s.all("split", x, parts=2, axis=-1)[::-1], axis=1), w
    ),
    "slice": lambda s, x, y, w, b: s(
        "concat", [x, s("slice", x, starts=[1], stops=[3], axes=[-1])], axis=-1
    ),
    "reductions": lambda s, x, y, w, b: s("add", wide(s, x, w), s("mean", x, axis=[-1], keepdims=True)),
    "softmax": lambda s, x, y, w, b: wide(s, s("softmax", x, axis=-1), w),
    "where": lambda s, x, y, w, b: wide(s, s("where", s("greater", x, b), x, s("neg", x)), w),
    "turned": lambda s, x, y, w, b: s("transpose", s("matmul", s("transpose", w), s("transpose", x))),
    "reshape": lambda s, x, y, w, b: wide(s, s("reshape", s("permute", x, axes=[1, 0]), shape=list(x.type.shape)), w),
}  # fmt: skip
STAY = {"turned"}  # the stored matrix is on the left: its product stays in the loop


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("name", STEPS)
def test_the_same_results(name: str, reverse: bool) -> None:
    arrays = [np.random.default_rng(i).normal(size=shape).astype("f4") for i, shape in enumerate(SHAPES.values())]
    wanted = evaluate(graph_of(STEPS[name], reverse), arrays, {})
    graph = graph_of(STEPS[name], reverse)
    batch_graph(graph)
    verify(as_program(graph))
    for actual, expected in zip(evaluate(graph, arrays, {}), wanted, strict=True):
        np.testing.assert_allclose(actual, expected, rtol=1e-5, atol=1e-6)
    (node,) = (n for n in graph.nodes if n.op == "scan")
    assert node.body is not None
    left = [n.op for n in node.body.nodes]
    assert ("matmul" in left) == (name in STAY)
    if name not in STAY:
        assert left == ["mul", "add"]


def test_nothing_is_done_where_all_depends_on_the_loop() -> None:
    graph = Graph([Value(typed("f32[t, n]"), "x"), Value(typed("f32[n]"), "h")])
    x, h = graph.inputs
    graph.outputs = scan(Build(graph), lambda s, h, x: ([s("add", h, x)], []), [h], [x], [0])
    batch_graph(graph)
    assert [n.op for n in graph.nodes] == ["scan"]
    assert graph.nodes[0].inputs == [h, x]
