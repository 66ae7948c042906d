"""Biases that `Gemm` adds, and those that it must not."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import wsdl
from tests.compiling import Array, compiled
from wsdl.onnx.walk import walk

WEIGHTS = {"w": (6, 4), "b": (6,), "c": (3,), "one": (1,)}


def model(body: str, inputs: str = "x: f32[n, t, 4]") -> tuple[wsdl.Program, dict[str, Array]]:
    rng = np.random.default_rng(0)
    weights = {name: rng.normal(size=shape).astype(np.float32) for name, shape in WEIGHTS.items() if f"{name}:" in body}
    return compiled(f"model m({inputs}) {{\n{body}\n}}\n", weights), weights


def operators(result: wsdl.Program) -> Counter[str]:
    return Counter(node.op_type for node in walk(result.protos["m"].graph))


@pytest.mark.parametrize("sum", ["x @ w.T + b", "b + x @ w.T"])
@pytest.mark.parametrize("shape", [(3, 4), (2, 3, 4), (0, 3, 4)])
def test_fused(sum: str, shape: tuple[int, ...]) -> None:
    type_ = "x: f32[n, 4]" if len(shape) == 2 else "x: f32[n, t, 4]"
    result, weights = model(f"param w: [6, 4]\nparam b: [6]\nreturn {sum}", type_)
    assert operators(result)["Add"] == 0
    x = np.random.default_rng(1).normal(size=shape).astype(np.float32)
    np.testing.assert_allclose(result.session()(x=x)["output"], x @ weights["w"].T + weights["b"], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("return (x @ w.T).reshape(n, t, 2, 3) + c", lambda y, b, c: y.reshape(*y.shape[:2], 2, 3) + c),
        ("y = x @ w.T\nreturn y * (y + b)", lambda y, b, c: y * (y + b)),
        ("y = x @ w.T\nreturn y + b, y", lambda y, b, c: y + b),
        ("return (x @ w.T).reshape(n, t, 6, 1) + b", lambda y, b, c: y[..., None] + b),
    ],
    ids=["a bias of parts", "read twice", "an output", "broadcast"],
)
def test_not_fused(body: str, expected: Callable[..., Any]) -> None:
    declared = "param w: [6, 4]\n" + ("param c: [3]\n" if "+ c" in body else "param b: [6]\n")
    result, weights = model(declared + body)
    assert operators(result)["Add"] == 1
    x = np.random.default_rng(1).normal(size=(2, 3, 4)).astype(np.float32)
    wanted = expected(x @ weights["w"].T, weights.get("b"), weights.get("c"))
    np.testing.assert_allclose(result.session()(x=x)["output"], wanted, rtol=1e-5, atol=1e-6)


def test_inside_a_scan() -> None:
    body = "layer up = Dense(5)\nlayer back = Dense(5)\n"
    body += "ys = scan xt in x along t with h = zeros([n, 5]) {\nh = tanh(up(xt) + back(h))\nemit h\n}\nreturn ys"
    result = wsdl.compile(f"model m(x: f32[n, t, 4]) {{\n{body}\n}}\n")
    assert operators(result)["Gemm"] == 2
    assert all(len(node.input) == 3 for node in walk(result.protos["m"].graph) if node.op_type == "Gemm")
    assert result.session()(x=np.ones((2, 3, 4), np.float32))["output"].shape == (2, 3, 5)


@pytest.mark.parametrize(
    ("body", "left"),
    [
        ("return x @ w.T + (x @ v.T) @ u.T + b", 0),
        ("return (x @ v.T) @ u.T + x @ w.T", 0),
        ("y = x @ w.T\nreturn (x @ v.T) @ u.T + y, y", 0),
        ("y = (x @ v.T) @ u.T\nreturn x @ w.T + y * y", 1),
        ("return x @ w.T + (x[:1] @ v.T) @ u.T", 1),
    ],
    ids=["with a bias", "of the later one", "read twice", "something between", "other rows"],
)
def test_sums_of_products(body: str, left: int) -> None:
    declared = "param w: [6, 4]\nparam v: [2, 4]\nparam u: [6, 2]\n" + ("param b: [6]\n" if "+ b" in body else "")
    rng = np.random.default_rng(0)
    shapes = {"w": (6, 4), "v": (2, 4), "u": (6, 2)} | ({"b": (6,)} if "+ b" in body else {})
    weights = {name: rng.normal(size=shape).astype(np.float32) for name, shape in shapes.items()}
    result = compiled(f"model m(x: f32[n, 4]) {{\n{declared}{body}\n}}\n", weights)
    assert operators(result)["Add"] == left
    x = rng.normal(size=(3, 4)).astype(np.float32)
    names: dict[str, Any] = {**weights, "x": x}
    exec(body.replace("return ", "output = ").replace(", y", ""), names)
    output = next(iter(result.session()(x=x).values()))
    np.testing.assert_allclose(output, names["output"], rtol=1e-5, atol=1e-5)
