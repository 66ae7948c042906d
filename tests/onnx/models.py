"""ONNX models that ONNX Runtime's optimizer makes copies of weights for, written by hand."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper

from tests.onnx.running import random

WIDTH = 32


def model(nodes: Sequence[NodeProto], tensors: dict[str, NDArray[Any]], shape: Sequence[int | str]) -> ModelProto:
    """From `x` to `y`, both of one shape."""
    value = [helper.make_tensor_value_info(name, TensorProto.FLOAT, list(shape)) for name in "xy"]
    graph = helper.make_graph(
        list(nodes), "m", value[:1], value[1:], [numpy_helper.from_array(a, name) for name, a in tensors.items()]
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)


def transposed(width: int = WIDTH) -> ModelProto:
    """`y = x W W.T`, the transpose as a node: folded into a second copy."""
    nodes = [
        helper.make_node("MatMul", ["x", "W"], ["a"]),
        helper.make_node("Transpose", ["W"], ["T"], perm=[1, 0]),
        helper.make_node("MatMul", ["a", "T"], ["y"]),
    ]
    return model(nodes, {"W": random(width, width)}, ["n", width])


def reshaped(width: int = WIDTH) -> ModelProto:
    """`y = x W V`, where `V` is the transpose of `W` as another matrix, and that reshaped back: folded into a copy."""
    nodes = [
        helper.make_node("MatMul", ["x", "W"], ["a"]),
        helper.make_node("Reshape", ["W", "wide"], ["R"]),
        helper.make_node("Reshape", ["R", "square"], ["S"]),
        helper.make_node("Transpose", ["S"], ["T"], perm=[1, 0]),
        helper.make_node("MatMul", ["a", "T"], ["b"]),
        helper.make_node("MatMul", ["b", "S"], ["y"]),
    ]
    shapes = {"wide": np.array([width // 2, width * 2]), "square": np.array([width, width])}
    return model(nodes, {"W": random(width, width), **shapes}, ["n", width])


def scaled(layers: int = 6) -> ModelProto:
    """Six layers `h (W * s_i)` over one `W`: folded into six copies."""
    nodes, tensors, at = [], {"W": random(WIDTH, WIDTH)}, "x"
    for i in range(layers):
        tensors[f"s{i}"] = random(WIDTH) + i
        nodes.append(helper.make_node("Mul", ["W", f"s{i}"], [f"W{i}"]))
        nodes.append(helper.make_node("MatMul", [at, f"W{i}"], [f"h{i}"]))
        at = f"h{i}"
    nodes.append(helper.make_node("Tanh", [at], ["y"]))
    return model(nodes, tensors, ["n", WIDTH])


def normalized(uses: int = 3) -> ModelProto:
    """One convolution at three places, each with a batch normalization of its own: a copy for each."""
    nodes, at = [], "x"
    tensors = {"W": random(16, 16, 3, 3), "b": random(16)}
    for i in range(uses):
        for name in ("scale", "shift", "mean"):
            tensors[f"{name}{i}"] = random(16, i + 1)[:, 0].copy()
        tensors[f"variance{i}"] = np.full(16, 1.0 + i, np.float32)
        statistics = [f"{name}{i}" for name in ("scale", "shift", "mean", "variance")]
        nodes.append(helper.make_node("Conv", [at, "W", "b"], [f"c{i}"], pads=[1] * 4, kernel_shape=[3, 3]))
        nodes.append(helper.make_node("BatchNormalization", [f"c{i}", *statistics], [f"n{i}"]))
        nodes.append(helper.make_node("Relu", [f"n{i}"], [f"r{i}"]))
        at = f"r{i}"
    nodes.append(helper.make_node("Neg", [at], ["y"]))
    return model(nodes, tensors, ["n", 16, 6, 6])


def sliced(static: bool = False) -> ModelProto:
    """A wide layer and its first half: the half is folded into a tensor of its own."""
    nodes = [
        helper.make_node("Slice", ["W", "from", "to"], ["half"]),
        helper.make_node("Gemm", ["x", "half"], ["a"], transB=1),
        helper.make_node("Gemm", ["x", "W"], ["b"], transB=1),
        helper.make_node("Concat", ["a", "a", "b"], ["c"], axis=1),
        helper.make_node("Gemm", ["c", "V"], ["y"], transB=1),
    ]
    tensors = {
        "W": random(WIDTH, WIDTH),
        "V": random(WIDTH, 2 * WIDTH),
        "from": np.array([0]),
        "to": np.array([WIDTH // 2]),
    }
    return model(nodes, tensors, [1 if static else "n", WIDTH])


def once() -> ModelProto:
    """Tied and stored once: `Gemm` reads `W` both ways."""
    nodes = [
        helper.make_node("Gemm", ["x", "W"], ["a"]),
        helper.make_node("Gemm", ["a", "W"], ["y"], transB=1),
    ]
    return model(nodes, {"W": random(WIDTH, WIDTH)}, ["n", WIDTH])
