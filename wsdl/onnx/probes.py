"""Tiny models that find out what a runtime can do."""

from __future__ import annotations

from onnx import TensorProto, helper

from wsdl.ops.blocked import DOMAIN

FEW = 4  # channels: fewer than any block has


def reordering() -> bytes:
    """A model that brings `x` f32[1, 4, 1, 1] into the CPU's blocked layout, where its channels are filled up."""
    x, y = (helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in ("x", "y"))
    graph = helper.make_graph([helper.make_node("ReorderInput", ["x"], ["y"], domain=DOMAIN)], "reordering", [x], [y])
    domains = [helper.make_opsetid("", 21), helper.make_opsetid(DOMAIN, 1)]
    return bytes(helper.make_model(graph, opset_imports=domains, ir_version=10).SerializeToString())
