"""A guarded model gives the same results, and the runtime's optimizer finds nothing to copy in it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import ModelProto, TensorProto, helper, numpy_helper

import wsdl
from tests.onnx import models
from tests.onnx.running import random
from wsdl.diagnostics.run_error import RunError
from wsdl.onnx.folding import SMALL
from wsdl.onnx.guards import guard_sharing
from wsdl.onnx.proof import prove
from wsdl.onnx.walk import tensor_bytes
from wsdl.runtime.session import Session


def guarded(proto: ModelProto) -> ModelProto:
    guard_sharing(proto, [tensor.name for tensor in proto.graph.initializer if tensor_bytes(tensor) >= SMALL])
    onnx.checker.check_model(proto, full_check=True)
    return proto


def guards(proto: ModelProto) -> int:
    return sum(node.name.endswith("/as stored") for node in proto.graph.node)


@pytest.mark.parametrize(
    "make",
    [models.transposed, models.reshaped, models.scaled, models.normalized, models.sliced],
    ids=lambda make: make.__name__,
)
def test_no_copies_and_the_same_results(make: type[ModelProto]) -> None:
    plain, changed = make(), guarded(make())
    assert not prove(plain).holds
    assert prove(changed).holds
    shape = (2, 16, 6, 6) if make is models.normalized else (2, models.WIDTH)
    expected, got = (Session(m.SerializeToString(), threads=1)(x=random(*shape))["y"] for m in (plain, changed))
    np.testing.assert_allclose(got, expected, rtol=1e-5, atol=1e-5 * np.abs(expected).max())


def test_where_all_shapes_are_known_when_compiling() -> None:
    """`Shape` of an input of known shape is folded; the number of elements is not."""
    assert prove(guarded(models.sliced(static=True))).holds


@pytest.mark.parametrize(
    "make",
    [models.once, lambda: models.scaled(layers=1), lambda: models.normalized(uses=1)],
    ids=["nothing to fold", "folded once", "normalized once"],
)
def test_nothing_is_guarded_without_need(make: type[ModelProto]) -> None:
    assert guards(guarded(make())) == 0


def test_guarding_twice_changes_nothing() -> None:
    once = guarded(models.scaled())
    before = once.SerializeToString(deterministic=True)
    assert guarded(once).SerializeToString(deterministic=True) == before


@pytest.mark.parametrize(
    "value",
    [
        "x @ w @ w.reshape(32, 128).T.reshape(64, 64)",
        'einsum("nhk,dhk->nd", einsum("nd,dhk->nhk", x, v), v)',
        "x @ v.reshape(64, 64) @ v.reshape(64, 64).T",
    ],
)
def test_weights_that_a_program_reshapes(value: str, tmp_path: Path) -> None:
    parameters = "    param w: [64, 64] = normal(0.1)\n    param v: [64, 4, 16] = normal(0.1)\n"
    text = f"model m(x: f32[n, 64]) -> (y: f32[n, 64]) {{\n{parameters}    return {value}\n}}\n"
    manifest = wsdl.compile(text).save(tmp_path, proof=True)
    assert manifest["proof_totals"]["m"]["holds"]


def softmax(x: np.ndarray) -> np.ndarray:
    powers = np.exp(x - x.max(axis=-1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=-1, keepdims=True))


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("attention(z, z, z)", lambda x, z: softmax(z @ z.T * 6**-0.5) @ z),
        ("x.T @ z, (z * 0.5) @ x.T", lambda x, z: x.T @ z),
        ("x.T @ z, x.T @ (z / 3.0)", lambda x, z: x.T @ z),
        ("z @ x.T, (z.T * 0.5) @ x", lambda x, z: z @ x.T),
        ("(z * 0.5 / 3.0) @ z.T @ (z * 0.5)", lambda x, z: (z * 0.5 / 3) @ z.T @ (z * 0.5)),
        ("sum(stack([z @ x[0], z * 0.5 @ x[1]]))", lambda x, z: np.sum(z @ x[0] + z * 0.5 @ x[1])),
    ],
)
def test_scales_in_a_row(body: str, expected: Callable[..., np.ndarray]) -> None:
    session = wsdl.compile(f"model m(x: f32[4, 6]) {{\n    z = tanh(x) * 0.8\n    return {body}\n}}\n").session()
    x = random(4, 6)
    first, *_ = session(x=x).values()
    np.testing.assert_allclose(first, expected(x, np.tanh(x) * 0.8), rtol=1e-4, atol=1e-5)


def test_the_runtime_still_breaks_scales_in_a_row() -> None:
    """The smallest graph that it can't load. Where it can, `_scales_in_a_row` of `wsdl.onnx.guards` may go."""
    nodes = [
        helper.make_node("Mul", ["x", "a"], ["z"]),
        helper.make_node("Mul", ["z", "b"], ["scaled"]),
        helper.make_node("MatMul", ["x", "z"], ["y"]),
        helper.make_node("MatMul", ["scaled", "x"], ["y2"]),
    ]
    numbers = [numpy_helper.from_array(np.array(0.5, np.float32), name) for name in "ab"]
    types = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [4, 4]) for name in ("x", "y", "y2")]
    graph = helper.make_graph(nodes, "scales", types[:1], types[1:], numbers)
    proto = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)
    with pytest.raises(RunError, match="Node input 'z' is not a graph input"):
        Session(proto.SerializeToString())
    guard_sharing(proto, [])
    Session(proto.SerializeToString())


D = 320


@pytest.mark.parametrize(
    ("parameters", "matrix", "expected"),
    [
        ("param w: [d] = normal", "gather(w, (arange(d).reshape(d, 1) - arange(d)) % d)",
         lambda w: w[(np.arange(D)[:, None] - np.arange(D)) % D]),
        ("param w: [2 * d - 1] = normal", "gather(w, arange(d).reshape(d, 1) - arange(d) + d - 1)",
         lambda w: w[np.arange(D)[:, None] - np.arange(D) + D - 1]),
        ("param w: [256] = normal", "gather(w, (arange(d).reshape(d, 1) * 7919 + arange(d) * 104729) % 256)",
         lambda w: w[(np.arange(D)[:, None] * 7919 + np.arange(D) * 104729) % 256]),
        ("param w: [d] = normal", "where(tril(ones([d, d])) > 0.0, w, 0.0)", lambda w: np.tril(np.ones((D, D))) * w),
        ("param w: [d, 1] = normal", "w * w.T", lambda w: w * w.T),
        ("param w: [1, d] = normal", "expand(w, [d, d])", lambda w: np.repeat(w, D, 0)),
        ("param w: [d, 2] = normal", "w @ w.T", lambda w: w @ w.T),
    ],
)  # fmt: skip
def test_matrices_made_of_few_weights(
    parameters: str, matrix: str, expected: Callable[[np.ndarray], np.ndarray], tmp_path: Path
) -> None:
    """A session holds the weights, not the matrix, nor the indices by which it is gathered."""
    text = f"let d = {D}\nmodel m(x: f32[n, d]) {{\n    {parameters}\n    return x @ {matrix}\n}}\n"
    program = wsdl.compile(text)
    totals = program.save(tmp_path, proof=True)["proof_totals"]["m"]
    assert totals["holds"]
    assert prove(tmp_path / "m.onnx").optimized_bytes < program.stored["m.w"].nbytes + 64 * D
    x = random(3, D)
    [result] = program.session()(x=x).values()
    np.testing.assert_allclose(result, x @ expected(program.stored["m.w"]), rtol=1e-3, atol=1e-3)
