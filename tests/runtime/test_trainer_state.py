"""The state of a training: restored, written, handed to sessions; scalars in every kind of file."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import numpy_helper
from safetensors.numpy import save_file

import wsdl
from tests.runtime.training import CLASSIFY, data, program
from wsdl.diagnostics import CompileError
from wsdl.diagnostics.run_error import RunError
from wsdl.runtime.checkpoint import read_checkpoint

SCALE = """\
model m(x: f32[n, 4]) -> (y: f32[n, 4]) {
    param scale: [] = ones
    param count: [] = zeros
    layer dense = Dense(4)
    return dense(x) * scale + count
}

train m(wanted: f32[n, 4]) {
    loss mse(y, wanted)
    optimizer AdamW(lr=0.01, ema=0.9)
}
"""
ROWS = {name: np.random.default_rng(i).normal(size=(6, 4)).astype("f4") for i, name in enumerate(("x", "wanted"))}
FROZEN = CLASSIFY.replace("optimizer", "freeze head\n    optimizer").replace("cosine(1e-2, warmup=5)", "1e-2")


def onnx_file(path: Path, arrays: Mapping[str, Any]) -> None:
    graph = onnx.helper.make_graph([], "g", [], [], [numpy_helper.from_array(a, n) for n, a in arrays.items()])
    onnx.save(onnx.helper.make_model(graph), path)


WRITERS: dict[str, Callable[[Path, Mapping[str, Any]], None]] = {
    "safetensors": lambda path, arrays: save_file(dict(arrays), path),
    "npz": lambda path, arrays: np.savez(path, **arrays),
    "onnx": onnx_file,
}

# -- scalars -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("suffix", WRITERS)
@pytest.mark.parametrize("way", ["weights", "load", "load by table", "mapping"])
def test_scalars_are_read(suffix: str, way: str, tmp_path: Path) -> None:
    wanted = {n: np.asarray(a + np.float32(0.5)) for n, a in wsdl.compile(SCALE).stored.items()}
    file = tmp_path / f"w.{suffix}"
    WRITERS[suffix](file, wanted)
    text, weights = SCALE, None
    if way == "load":
        text += f'load "{file.name}" into m\n'
    elif way == "load by table":
        table = '    "m.scale" -> scale\n    "m.count" -> count\n    "m.dense.{p}" -> dense.{p}\n'
        text += f'load "{file.name}" into m {{\n{table}}}\n'
    else:
        weights = file if way == "weights" else wanted
    (tmp_path / "m.wsd").write_text(text, encoding="utf-8")
    made = wsdl.compile(tmp_path / "m.wsd", weights=weights)
    for name, array in wanted.items():
        np.testing.assert_array_equal(made.stored[name], array, strict=True)
    trainer = made.trainer()
    trainer.step(ROWS)
    assert trainer.state["m.scale"].shape == ()


def test_scalars_go_on(tmp_path: Path) -> None:
    """Through a checkpoint, as weights, and as what a compiled model starts with."""
    made = wsdl.compile(SCALE)
    ours, whole = made.trainer(), made.trainer()
    for trainer in (ours, whole):
        trainer.step(ROWS)
    path = ours.save(tmp_path)
    for begun in (wsdl.compile(SCALE, weights=path, seed=9), wsdl.compile(SCALE, seed=9)):
        again = begun.trainer()
        again.restore(read_checkpoint(path))
        assert again.step(ROWS) == made_step(whole, ours)
        np.testing.assert_array_equal(again.state["m.scale"], whole.state["m.scale"], strict=True)
    values = {name: ours.state[name] for name in made.stored}  # without the averages
    learned = wsdl.compile(SCALE, weights=path).session()(x=ROWS["x"])["y"]
    np.testing.assert_array_equal(learned, made.session(weights=values)(x=ROWS["x"])["y"])


def made_step(whole: Any, ours: Any) -> float:
    """The loss of the second step of a training that was not stopped; made once."""
    if whole.steps == ours.steps:
        whole.last = whole.step(ROWS)
    return float(whole.last)


# -- restored and written ----------------------------------------------------------------------------------------------


def test_restoring_takes_what_is_frozen_from_the_checkpoint(tmp_path: Path) -> None:
    ours, other = program(FROZEN).trainer(batch=16), program(FROZEN, seed=5).trainer(batch=16)
    ours.step(data())
    other.evaluate(data())
    other.restore(read_checkpoint(ours.save(tmp_path)))
    assert ours.weights["classify.head.weight"].tolist() == other.weights["classify.head.weight"].tolist()
    assert ours.evaluate(data()) == other.evaluate(data())
    assert ours.step(data()) == other.step(data())
    assert ours.checkpoint().arrays.keys() == other.checkpoint().arrays.keys()


@pytest.mark.parametrize("name", ["classify.blocks.0.inner.bias", "classify.head.bias", "step"])
def test_a_snapshot_is_not_written_to(name: str) -> None:
    ours = program(FROZEN).trainer()
    for arrays in (ours.state, ours.weights):
        with pytest.raises(TypeError, match=r"`trainer\.write\(\{'x': array\}\)` changes the state of the training"):
            arrays["x"] = np.zeros(3)
        with pytest.raises(ValueError, match="read-only"):
            next(iter(arrays.values()))[...] = 0
    before = {**ours.weights, **ours.state}[name]
    ours.write({name: before + 1})
    np.testing.assert_array_equal({**ours.weights, **ours.state}[name], before + 1, strict=True)
    ours.step(data())
    assert ours.steps == 1 + (name == "step")


def test_what_is_written_counts_from_the_next_step_on() -> None:
    ours, other = program(FROZEN).trainer(), program(FROZEN, seed=5).trainer()
    ours.step(data())
    other.write(ours.weights)
    other.write({name: array for name, array in ours.state.items() if name not in ours.weights})
    assert ours.step(data()) == other.step(data())
    assert ours.evaluate(data()) == other.evaluate(data())


@pytest.mark.parametrize(
    ("arrays", "code"),
    [
        ({"classify.head.wait": np.zeros((3, 8), "f4")}, "E0711"),
        ({"classify.head.weight": np.zeros((3, 8))}, "E0712"),
        ({"classify.blocks.0.inner.bias": np.zeros(9, "f4")}, "E0713"),
        ({"step": np.zeros(1, np.int64)}, "E0713"),
    ],
)
def test_what_can_not_be_written(arrays: Mapping[str, Any], code: str) -> None:
    ours = program(FROZEN).trainer()
    before = ours.state
    with pytest.raises(RunError) as caught:
        ours.write({"classify.blocks.0.inner.weight": np.zeros((8, 8), "f4"), **arrays})
    assert [d.code for d in caught.value.diagnostics] == [code]
    assert all(np.array_equal(ours.state[name], array) for name, array in before.items())


def test_weights_that_were_never_sound() -> None:
    ours = program(FROZEN).trainer()
    ours.write({"classify.blocks.0.inner.bias": np.full(8, np.nan, "f4")})
    with pytest.raises(RunError) as caught:
        ours.step(data())
    [found] = caught.value.diagnostics
    assert found.details == ("`classify.blocks.0.inner.bias` has 8 elements that are not finite: since the start",)


def test_weights_are_whole_unless_they_may_be_partial() -> None:
    made, one = program(FROZEN), {"classify.head.bias": np.ones(3, "f4")}
    for attempt in (
        lambda **options: made.session(weights=one, **options),
        lambda **options: made.models["classify"].session(weights=one, **options),
        lambda **options: made.trainer(weights=one, **options),
        lambda **options: wsdl.compile(FROZEN, weights=one, **options),
    ):
        with pytest.raises(CompileError, match="3 of 4 stored tensors are not in the weights") as caught:
            attempt()
        assert caught.value.diagnostics[0].help == (
            "some are enough for `partial=True`, `wsdl compile --partial` and `wsdl train --partial`"
        )
        attempt(partial=True)
    x = data()["x"]
    moved = made.session(weights=one, partial=True)(x=x)["logits"] - made.session()(x=x)["logits"]
    np.testing.assert_allclose(moved, np.broadcast_to(1 - made.stored["classify.head.bias"], moved.shape), atol=1e-5)


TWO = """\
layer shared = Dense(4)

model one(x: f32[n, 4]) -> (y: f32[n, 4]) {
    layer wide = Dense(8)
    return x |> shared |> wide |> Dense(4)
}

model two(x: f32[n, 4]) -> (y: f32[n, 4]) {
    layer narrow = Dense(4)
    return x |> shared |> narrow
}

share { one.wide.weight[0:4], two.narrow.weight }
"""


def test_a_session_needs_what_its_model_reads() -> None:
    made, x = wsdl.compile(TWO), np.eye(4, dtype="f4")
    weights = {name: array + 1 for name, array in made.stored.items() if name in made.inventory.models["two"].reads}
    assert made.session("two", weights=weights)(x=x)["y"].shape == (4, 4)
    with pytest.raises(CompileError, match="3 of 6 stored tensors are not in the weights"):
        made.session("one", weights=weights)
    with pytest.raises(CompileError, match="3 of 7 stored tensors are not in the weights"):
        wsdl.compile(TWO, weights=weights)


def test_a_part_of_a_tensor_leaves_the_rest() -> None:
    made, part = wsdl.compile(TWO), {"two.narrow.weight": np.eye(4, dtype="f4")}
    changed = wsdl.compile(TWO, weights=part, partial=True).stored["one.wide.weight"]
    np.testing.assert_array_equal(changed[:4], np.eye(4))
    np.testing.assert_array_equal(changed[4:], made.stored["one.wide.weight"][4:])
    shifted = made.session("two", weights=part, partial=True)(x=np.zeros((1, 4), "f4"))["y"]
    bias, own = made.stored["shared.bias"], made.stored["two.narrow.bias"]
    np.testing.assert_allclose(shifted[0], bias + own, rtol=1e-5)
