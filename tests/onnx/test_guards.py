"""A guarded model gives the same results, and the runtime's optimiser finds nothing to copy in it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import ModelProto

import wsdl
from tests.onnx import models
from tests.onnx.running import random
from wsdl.onnx.guards import guard_sharing
from wsdl.onnx.proof import prove
from wsdl.runtime.session import Session


def guarded(proto: ModelProto) -> ModelProto:
    guard_sharing(proto)
    onnx.checker.check_model(proto, full_check=True)
    return proto


def guards(proto: ModelProto) -> int:
    return sum(node.name.endswith("/as stored") for node in proto.graph.node)


@pytest.mark.parametrize(
    "make",
    [models.transposed, models.reshaped, models.scaled, models.normalised, models.sliced],
    ids=lambda make: make.__name__,
)
def test_no_copies_and_the_same_results(make: type[ModelProto]) -> None:
    plain, changed = make(), guarded(make())
    assert not prove(plain).holds
    assert prove(changed).holds
    shape = (2, 16, 6, 6) if make is models.normalised else (2, models.WIDTH)
    expected, got = (Session(m.SerializeToString(), threads=1)(x=random(*shape))["y"] for m in (plain, changed))
    np.testing.assert_allclose(got, expected, rtol=1e-5, atol=1e-5 * np.abs(expected).max())


def test_where_all_shapes_are_known_when_compiling() -> None:
    """`Shape` of an input of known shape is folded; the number of elements is not."""
    assert prove(guarded(models.sliced(static=True))).holds


@pytest.mark.parametrize(
    "make",
    [models.once, lambda: models.scaled(layers=1), lambda: models.normalised(uses=1)],
    ids=["nothing to fold", "folded once", "normalised once"],
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
