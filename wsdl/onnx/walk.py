"""Nodes and tensors of ONNX graphs, those of subgraphs among them."""

from __future__ import annotations

from collections.abc import Iterator
from math import prod

from onnx import AttributeProto, GraphProto, NodeProto, TensorProto, helper


def subgraphs(node: NodeProto) -> Iterator[GraphProto]:
    """The graphs that a node holds."""
    for attribute in node.attribute:
        if attribute.type == AttributeProto.GRAPH:
            yield attribute.g


def walk(graph: GraphProto) -> Iterator[NodeProto]:
    """All nodes; those of a subgraph come after the node that has it."""
    for node in graph.node:
        yield node
        for body in subgraphs(node):
            yield from walk(body)


def tensor_bytes(tensor: TensorProto) -> int:
    """The bytes of an initializer, whether its values are there or not."""
    return int(prod(tensor.dims) * helper.tensor_dtype_to_np_dtype(tensor.data_type).itemsize)
