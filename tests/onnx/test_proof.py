"""The proof must see every copy that the runtime makes, and none where there is none."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import ModelProto, helper, numpy_helper

from tests.onnx import models
from tests.onnx.running import compiled, onnx_of, random
from wsdl.onnx import proof
from wsdl.onnx.likeness import count_copies
from wsdl.onnx.proof import Proof, prove


def proof_of(proto: ModelProto, name: str = "W") -> Proof:
    return next(p for p in prove(proto).tensors if p.stored == name)


@pytest.mark.parametrize(
    ("proto", "copies"),
    [
        (models.transposed(), 2.0),
        (models.scaled(), 6.0),
        (models.normalized(), 3.0),
        (models.sliced(), 1.5),
        (models.once(), 1.0),
    ],
    ids=["transposed", "scaled", "normalized", "sliced", "once"],
)
def test_copies_after_optimization(proto: ModelProto, copies: float) -> None:
    result = prove(proto)
    proof = next(p for p in result.tensors if p.stored == "W")
    assert (proof.copies_in_file, proof.copies_after_optimization, proof.copies_at_full_level) == (1.0, copies, copies)
    assert result.holds == (copies == 1.0)
    assert (result.optimized_bytes > result.file_bytes + 1024) == (copies > 1.0)


@pytest.mark.parametrize("value", [0.0, 1.0])
def test_a_tensor_of_one_number_is_told_from_others(value: float) -> None:
    proto = models.scaled()
    proto.graph.initializer[0].CopyFrom(numpy_helper.from_array(np.full((32, 32), value, np.float32), "W"))
    assert proof_of(proto).copies_after_optimization == 6.0


def test_equal_tensors_are_no_copies_of_each_other() -> None:
    weight = random(32, 32)
    nodes = [helper.make_node("MatMul", ["x", "A"], ["a"]), helper.make_node("MatMul", ["a", "B"], ["y"])]
    result = prove(models.model(nodes, {"A": weight, "B": weight.copy()}, ["n", 32]))
    assert result.holds
    assert [p.copies_in_file for p in result.tensors] == [1.0, 1.0]


def test_a_copy_inside_a_body_counts() -> None:
    text = """
model m(x: f32[n, 32]) -> (y: f32[n, 32]) {
    param weight: [32, 32] = normal
    for i in 0..9 {
        x = tanh(x @ weight.T)
    }
    return x
}
"""
    proto = onnx_of(compiled(text))
    assert prove(proto).holds
    [loop] = [node for node in proto.graph.node if node.op_type == "Loop"]
    body = next(a.g for a in loop.attribute if a.name == "body")
    copy = onnx.TensorProto()
    copy.CopyFrom(proto.graph.initializer[0])
    copy.name = "own"
    body.initializer.append(copy)
    product = next(node for node in body.node if "m.weight" in node.input)
    product.input[:] = ["own" if name == "m.weight" else name for name in product.input]
    body.node.append(helper.make_node("MatMul", [body.input[2].name, "m.weight"], ["unused"]))
    assert proof_of(proto, "m.weight").copies_in_file == 2.0


def test_a_file_with_external_data(tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    onnx.save_model(models.transposed(128), path, save_as_external_data=True, location="model.data")
    result = prove(path)
    assert (result.stored_bytes, result.optimized_bytes) == (128 * 128 * 4, 2 * 128 * 128 * 4)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["model.data", "model.onnx"]


@pytest.mark.parametrize("random_bytes", [proof.RANDOM, 100], ids=["small", "large"])
def test_numbers_that_cannot_be_told_apart_beside_external_data(
    random_bytes: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Zeros are replaced, in memory, where they are few; the rest still lies in the file."""
    monkeypatch.setattr(proof, "RANDOM", random_bytes)
    nodes = [helper.make_node("Gemm", ["x", "A", "b"], ["y"], transB=1)]
    model = models.model(nodes, {"A": random(256, 256), "b": np.zeros(256, np.float32)}, ["n", 256])
    path = tmp_path / "model.onnx"
    onnx.save_model(model, path, save_as_external_data=True, location="model.data", size_threshold=0)
    result = prove(path)
    assert [(p.stored, p.copies_after_optimization) for p in result.tensors] == [("A", 1.0), ("b", 1.0)]


def test_packed_matrices_are_a_figure_of_their_own() -> None:
    result = prove(models.once())
    assert result.full_level_bytes == result.stored_bytes
    assert result.packed_bytes > 0


# -- likeness ----------------------------------------------------------------------------------------------------------


def blocked(array: np.ndarray, block: int) -> np.ndarray:
    """`OIHWBiBo` with padding, as the runtime lays out convolutions."""
    pad = [(0, -size % block) if axis < 2 else (0, 0) for axis, size in enumerate(array.shape)]
    padded = np.pad(array, pad)
    o, i, h, w = padded.shape
    tiles = padded.reshape(o // block, block, i // block, block, h, w).transpose(0, 2, 4, 5, 3, 1)
    return np.ascontiguousarray(tiles).reshape(padded.shape)


W = random(12, 20, 3, 3)
SCALE = random(12, 1, 1, 1) + 2


@pytest.mark.parametrize(
    ("found", "copies"),
    [
        (W, 1.0),
        (W.transpose(2, 3, 1, 0), 1.0),
        (W.reshape(12, -1).T, 1.0),
        (W * SCALE, 1.0),
        ((W * SCALE).transpose(1, 0, 2, 3), 1.0),
        (W * np.float32(3), 1.0),
        (W[:6], 0.5),
        (np.concatenate([W.ravel(), random(4000)]), 1.0),
        (blocked(W, 8), 1.0),
        (blocked(W * SCALE, 8), 1.0),
        (random(12, 20, 3, 4), 0.0),
    ],
)
def test_likeness(found: np.ndarray, copies: float) -> None:
    other = {"other": random(50, 50)}
    result = count_copies({"W": W, **other}, [("stranger", np.ascontiguousarray(found)), *other.items()])
    assert result.copies == {"W": pytest.approx(copies), "other": 1.0}


PARTS = {"base": random(32, 32), "up": np.zeros((32, 4), np.float32), "down": random(4, 32)}
SUM = 32 * 32 / (32 * 32 + 2 * 32 * 4)


@pytest.mark.parametrize(
    ("values", "kept", "equal", "different"),
    [
        ({"sum": ["base", "up", "down"]}, [], 1.0, SUM),
        ({"sum": ["base", "up", "down"]}, ["up", "down"], 1.0, SUM),
        ({"sum": ["base", "up", "down"]}, ["base"], 2.0, 1 + SUM),
        ({"sum": ["base", "up", "down"], "half": ["base", "up"]}, [], 2.0, 2 * SUM),
    ],
)
def test_sums(values: dict[str, list[str]], kept: list[str], equal: float, different: float) -> None:
    """The copies of `base` where the runtime holds `values` of these origins, and of the origins themselves those in
    `kept`: while `up` is 0, so that the values are equal to `base`, and later."""
    held = [(name, PARTS[name]) for name in kept]
    for value, copies in (PARTS["base"].T, equal), (random(32, 32) + 1, different):
        result = count_copies(PARTS, [*((name, value) for name in values), *held], values)
        assert result.copies["base"] == pytest.approx(copies)
