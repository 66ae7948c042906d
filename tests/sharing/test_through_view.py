"""Gradients through views, against NumPy; and what is read in several places."""

from __future__ import annotations

import numpy as np
from hypothesis import given

from tests.differentiation.test_differentiate import run, session_of
from tests.ir.test_views import SHAPE, views
from tests.ops.build import typed
from wsdl.differentiation.differentiate import differentiate
from wsdl.ir.graph import Graph, Value
from wsdl.ir.types import TensorType
from wsdl.ir.views import View
from wsdl.ops.build import Build
from wsdl.ops.interpreter import evaluate
from wsdl.rewrite.prune import prune_graph
from wsdl.sharing.through_view import through_view


@given(views())
def test_what_is_read_gets_its_gradient_and_the_rest_none(view: View) -> None:
    graph = Graph([Value(TensorType.of("f64", view.shape), "x0")])
    graph.outputs = [through_view(Build(graph), graph.inputs[0], view)]
    gradient = np.random.default_rng(0).normal(size=view.shape)
    expected, places = np.zeros(SHAPE), view.of(np.arange(np.prod(SHAPE)).reshape(SHAPE))
    np.put(expected, places, gradient)
    np.testing.assert_array_equal(evaluate(graph, [gradient], {})[0], expected)


def test_the_transpose_of_a_product_exchanges_the_factors() -> None:
    graph = Graph([Value(typed(text), f"x{i}") for i, text in enumerate(["f32[n, 3]", "f32[n, 4]"])])
    b = Build(graph)
    product = b("gemm", *graph.inputs, trans_a=True)
    both = b.add([product, b("gemm", *graph.inputs, trans_a=True)])
    graph.outputs = [through_view(b, g, View.identity((4, 3)).transposed) for g in (product, both)]
    prune_graph(graph)
    assert {node.op for node in graph.nodes} == {"gemm", "add"}
    x, y = (np.random.default_rng(i).normal(size=(5, 3 + i)).astype(np.float32) for i in (0, 1))
    once, twice = run(session_of(graph), [x, y])
    np.testing.assert_allclose(once, y.T @ x, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(twice, 2 * (y.T @ x), rtol=1e-5, atol=1e-6)


def test_an_embedding_that_is_also_the_head() -> None:
    """One gradient: the product, onto which the rows that were looked up are added."""
    graph = Graph([Value(typed("i64[n]"), "x0"), Value(typed("f32[9, 4]"), "x1"), Value(typed("f32[4, 9]"), "x2")])
    ids, table, head = graph.inputs
    b = Build(graph)
    loss = b("sum", b("logsumexp", b("matmul", b("gather", table, ids), head), axis=-1))
    views = [View.identity((9, 4)), View.identity((9, 4)).transposed]
    gradients = differentiate(graph, loss, [table, head])
    b = Build(graph)
    parts = [through_view(b, g, view) for g, view in zip(gradients, views, strict=True) if g is not None]
    graph.outputs = [b.add(parts)]
    prune_graph(graph)
    ops = [node.op for node in graph.nodes]
    assert "zeros" not in ops
    assert "transpose" not in ops
    assert ops.count("scatter_add") == 1
    picked, weight = np.array([1, 3, 3, -1]), np.random.default_rng(0).normal(size=(9, 4)).astype(np.float32)
    logits = weight[picked] @ weight.T
    shares = np.exp(logits) / np.exp(logits).sum(-1, keepdims=True)
    expected = shares.T @ weight[picked]
    np.add.at(expected, picked, shares @ weight)
    np.testing.assert_allclose(run(session_of(graph), [picked, weight, weight.T])[0], expected, rtol=1e-5, atol=1e-6)
