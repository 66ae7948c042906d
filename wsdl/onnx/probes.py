"""Tiny models that test what a runtime supports."""

from __future__ import annotations

from onnx import TensorProto, helper

from wsdl.ops.blocked import DOMAIN

FEW = 4  # channels: fewer than in any block


def reordering() -> bytes:
    """A model that converts `x` f32[1, 4, 1, 1] to the CPU's blocked layout, where its channels are padded."""
    x, y = (helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in ("x", "y"))
    graph = helper.make_graph([helper.make_node("ReorderInput", ["x"], ["y"], domain=DOMAIN)], "reordering", [x], [y])
    domains = [helper.make_opsetid("", 21), helper.make_opsetid(DOMAIN, 1)]
    return bytes(helper.make_model(graph, opset_imports=domains, ir_version=10).SerializeToString())
