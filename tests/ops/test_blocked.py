"""Convolutions in the CPU's blocked layout give what the others give, and stand in no file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
import pytest

import wsdl
from tests.ops.build import assert_close, evaluated, typed
from wsdl.ir.graph import Graph, Lowered, Model, Module, Node, Value
from wsdl.onnx.emit import emit
from wsdl.ops import OPERATIONS
from wsdl.ops.blocked import DOMAIN
from wsdl.runtime.channel_block import channel_block

BLOCK = channel_block()
needs_layout = pytest.mark.skipif(not BLOCK, reason="this CPU has no blocked layout")

# The operation, its types, whether it is blocked where a block has 16 channels or fewer, its attributes.
WINDOWS: list[tuple[str, list[str], bool, dict[str, Any]]] = [
    ("conv2d", ["[n, 16, 9, 7]", "[32, 16, 3, 3]", "[32]"], True, {"pad": 1}),
    ("conv2d", ["[n, 32, 9, 8]", "[16, 32, 3, 2]"], True, {"pad": [1, 0], "stride": 2}),
    ("conv2d", ["[n, 16, t, d]", "[16, 16, 3, 3]"], True, {"dilation": 2}),
    ("conv2d", ["[n, 16, 9, 8]", "[16, 16, 3, 3]"], True, {"pad": [[0, 1], [2, 0]], "stride": 2}),
    ("conv2d", ["[n, 3, 9, 9]", "[16, 3, 3, 3]"], False, {}),
    ("conv2d", ["[n, 16, 9, 9]", "[16, 8, 3, 3]"], False, {"groups": 2}),
    ("conv2d", ["[n, 16, 9, 9]", "[16, 16, 1, 1]"], False, {}),
    ("conv_transpose2d", ["[n, 32, 5, 6]", "[32, 16, 3, 3]", "[16]"], True, {"pad": 1}),
    ("conv_transpose2d", ["[n, 16, 5, 5]", "[16, 16, 3, 3]"], True, {"dilation": 2}),
    ("conv_transpose2d", ["[n, 16, 5, 6]", "[16, 16, 3, 3]"], True, {"pad": [[0, 2], [1, 0]]}),
    ("conv_transpose2d", ["[n, 16, 5, 5]", "[16, 16, 2, 2]"], False, {"pad": [[2, 0], [0, 0]]}),
    ("conv_transpose2d", ["[n, 16, 5, 5]", "[16, 16, 3, 3]"], False, {"stride": 2}),
    ("conv_weight_gradient", ["[n, 16, 9, 7]", "[n, 32, 9, 7]"], True, {"kernel": [3, 3], "pad": 1}),
    ("conv_weight_gradient", ["[n, 32, 9, 8]", "[n, 16, 4, 4]"], True, {"kernel": [3, 3], "stride": 2, "pad": [0, 1]}),
    (
        "conv_weight_gradient",
        ["[n, 32, 9, 8]", "[n, 16, 4, 4]"],
        True,
        {"kernel": [3, 3], "stride": 2, "pad": [[0, 1], [1, 0]]},
    ),
    ("conv_weight_gradient", ["[n, 16, 9, 9]", "[n, 16, 5, 5]"], True, {"kernel": [3, 3], "dilation": 2}),
    ("conv_weight_gradient", ["[n, 16, t, 9]", "[n, 16, t, 9]"], False, {"kernel": [3, 3], "pad": 1}),
]


def model(op: str, types: list[str], attributes: dict[str, Any], block: int) -> onnx.ModelProto:
    operands = [Value(typed(f"f32{text}"), f"x{i}") for i, text in enumerate(types)]
    names = [p.name for p in OPERATIONS[op].operands]
    results = OPERATIONS[op].result_types(**{n: v.type for n, v in zip(names, operands, strict=False)}, **attributes)
    node = Node(op, [*operands], dict(attributes), [Value(results[0], "y")])
    one = Model("m", Graph(operands, [node], [node.result]), Module("m", "", None), output_names=["y"])  # type: ignore[arg-type] # no span
    return emit(Lowered(models={"m": one}), one, {}, block=block)


def domains(graph: onnx.GraphProto) -> set[str]:
    """Of its nodes, in branches too."""
    branches = [attribute.g for node in graph.node for attribute in node.attribute if attribute.HasField("g")]
    return {node.domain for node in graph.node}.union(*map(domains, branches))


@needs_layout
@pytest.mark.parametrize("rows", [1, 5, 16, 33])
@pytest.mark.parametrize(("op", "types", "is_blocked", "attributes"), WINDOWS)
def test_the_same_numbers(op: str, types: list[str], is_blocked: bool, attributes: dict[str, Any], rows: int) -> None:
    proto = model(op, types, attributes, BLOCK)
    assert (DOMAIN in domains(proto.graph)) == is_blocked
    rng, sizes = np.random.default_rng(0), {"n": rows, "t": 9, "d": 8}
    shapes = [[sizes.get(d, 0) or int(d) for d in text.strip("[]").split(", ")] for text in types]
    arrays = [rng.normal(size=shape).astype("f4") for shape in shapes]
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    session = ort.InferenceSession(proto.SerializeToString(), options)
    (actual,) = session.run(None, {f"x{i}": array for i, array in enumerate(arrays)})
    (wanted,) = evaluated(op, arrays, attributes)
    assert actual.shape == wanted.shape
    assert_close(actual, wanted, 30)


def test_without_a_block_there_is_nothing_of_it() -> None:
    for op, types, _, attributes in WINDOWS:
        proto = model(op, types, attributes, 0)
        assert domains(proto.graph) == {""}
        assert [entry.domain for entry in proto.opset_import] == [""]


TEXT = """
model m(x: f32[n, 16, 6, 6]) -> (logits: f32[n, 3]) {
    return x |> Conv2d(16, kernel=3, pad=1) |> BatchNorm() |> relu |> Conv2d(32, kernel=3) |> flatten |> Dense(3)
}

train m(label: i64[n]) {
    loss cross_entropy(logits, label)
    optimizer SGD(lr=0.05)
}
"""


@needs_layout
def test_only_the_trainer_has_it(tmp_path: Path) -> None:
    program = wsdl.compile(TEXT)
    trainer = program.trainer()
    assert DOMAIN in domains(trainer.models.gradients.graph)
    program.save(tmp_path, train=True)
    for path in tmp_path.glob("*.onnx"):
        assert domains(onnx.load(path).graph) == {""}, path


@needs_layout
def test_it_trains_as_without(monkeypatch: pytest.MonkeyPatch) -> None:
    ours = wsdl.compile(TEXT).trainer()
    monkeypatch.setattr("wsdl.runtime.channel_block.channel_block", lambda: 0)
    other = wsdl.compile(TEXT).trainer()
    assert DOMAIN not in domains(other.models.gradients.graph)
    rng = np.random.default_rng(0)
    for rows in (16, 7, 16, 1):
        batch = {"x": rng.normal(size=(rows, 16, 6, 6)).astype("f4"), "label": rng.integers(0, 3, rows)}
        assert ours.step(batch) == pytest.approx(other.step(batch), rel=1e-4)
