"""Multiply-accumulates of an ONNX model, by the definitions of its operators."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from math import prod
from typing import TypeAlias

import onnx
from onnx import GraphProto, ModelProto, NodeProto

Shape: TypeAlias = Sequence[int]


def _gemm(node: NodeProto, y: Shape, a: Shape, b: Shape, *_: Shape) -> int:
    transposed = any(attribute.name == "transA" and attribute.i for attribute in node.attribute)
    return prod(y) * a[0 if transposed else 1]


def _recurrent(node: NodeProto, y: Shape, x: Shape, w: Shape, r: Shape, *_: Shape) -> int:
    return x[0] * x[1] * (prod(w) + prod(r))


COUNTS: dict[str, Callable[..., int]] = {
    "MatMul": lambda node, y, a, b: prod(y) * a[-1],
    "Gemm": _gemm,
    "Conv": lambda node, y, x, w, *_: prod(y) * prod(w[1:]),
    "ConvTranspose": lambda node, y, x, w, *_: prod(x) * prod(w[1:]),
    "RNN": _recurrent,
    "GRU": _recurrent,
    "LSTM": _recurrent,
}
UNKNOWN = {"Attention", "ConvInteger", "DeformConv", "Einsum", "MatMulInteger", "QLinearConv", "QLinearMatMul"}


def multiplications_in(model: ModelProto) -> int:
    """Those of all its products of matrices and convolutions, whose sizes have to be known."""
    nodes = list(_nodes(model.graph))
    assert UNKNOWN.isdisjoint(node.op_type for node in nodes), "say how it is counted"
    if not any(node.op_type in COUNTS for node in nodes):
        return 0
    graph = onnx.shape_inference.infer_shapes(model, data_prop=True).graph
    shapes: dict[str, Shape] = {t.name: t.dims for t in graph.initializer}
    for value in (*graph.input, *graph.value_info, *graph.output):
        shapes[value.name] = [dim.dim_value for dim in value.type.tensor_type.shape.dim]
    return sum(
        COUNTS[node.op_type](node, *(shapes.get(name, ()) for name in (node.output[0], *node.input)))
        for node in nodes
        if node.op_type in COUNTS
    )


def _nodes(graph: GraphProto) -> Iterator[NodeProto]:
    for node in graph.node:
        yield node
        for attribute in node.attribute:
            yield from _nodes(attribute.g)
