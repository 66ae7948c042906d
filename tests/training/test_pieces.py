"""The update of large tensors piece by piece is the update as a whole."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import wsdl
from tests.training.test_train_step import program
from wsdl import compiler
from wsdl.ir.phase import Phase
from wsdl.ir.step import NORM, Gradient, Next, NextPiece, Piece, Variable
from wsdl.ir.training_graphs import SplitStep
from wsdl.onnx.training import initial_state
from wsdl.ops.interpreter import evaluate
from wsdl.ops.verify import verify
from wsdl.pipelines.training import split_step
from wsdl.runtime.piecewise import PIECE
from wsdl.weights.initial_values import initial_values

# `up` and `down` are large, of different shapes; the biases are not.
TEXT = """
model m(x: f32[n, 130]) -> (y: f32[n, 130]) {
    layer up = Dense(300)
    layer down = Dense(130)
    return x |> up |> tanh |> down
}

train m() {
    loss mean((y - x) ** 2)
    optimizer OPTIMIZER
}
"""
OPTIMIZERS = [
    "SGD(lr=0.1)",
    "SGD(lr=0.1, momentum=0.9, nesterov=true)",
    "AdamW(lr=cosine(1e-2, warmup=2, steps=9), weight_decay=0.1, decay_norms_and_biases=false)",
    "AdamW(lr=1e-2, clip_norm=0.1, ema=0.9)",
    "RMSprop(lr=1e-2, momentum=0.9, clip_value=0.01)",
    "Lion(lr=1e-3)",
]
LARGE = ("m.up.weight", "m.down.weight")


def run(phase: Phase, arrays: dict[str, Any]) -> dict[str, Any]:
    graph, model = phase.graph, phase.model
    stored = {name: array for name, array in arrays.items() if name in phase.fed}
    return dict(zip(model.output_names, evaluate(graph, [arrays[v.name] for v in graph.inputs], stored), strict=True))


def given(step: SplitStep, values: dict[str, Any]) -> dict[str, Any]:
    rng = np.random.default_rng(0)
    arrays = initial_state(step.variables, values)
    states = [v for v in step.variables if v.role == "optimizer"]
    gradients = {Gradient(v.of).name: rng.normal(size=v.type.sizes).astype("f4") for v in step.trained}
    arrays |= {**gradients, NORM.name: np.sqrt(sum(np.sum(g**2) for g in gradients.values()))}
    arrays |= {v.name: rng.uniform(size=v.type.sizes).astype("f4") for v in states}
    return {**arrays, "step": np.int64(3)}


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_pieces_together_are_the_whole(optimizer: str) -> None:
    p = program(TEXT.replace("OPTIMIZER", optimizer))
    whole, cut = (split_step(p, p.trainings["m"], piecewise=piecewise) for piecewise in (False, True))
    verify(cut.update.program)
    arrays = given(whole, initial_values(p, 0))
    expected, rest = run(whole.update, arrays), run(cut.update, arrays)
    assert not whole.pieces
    assert sorted(ports[Piece("value")].of for pieces in cut.pieces for ports in pieces.tensors) == sorted(LARGE)
    assert not any(name.endswith(LARGE) for name in [*rest, *cut.update.fed])
    for pieces in cut.pieces:
        verify(pieces.phase.program)
        for ports in pieces.tensors:
            flat = {piece.name: arrays[port.name].ravel() for piece, port in ports.items()}
            halves = [{kind: a[part] for kind, a in flat.items()} for part in (slice(7000), slice(7000, None))]
            found = [run(pieces.phase, {**half, **rest}) for half in halves]
            for output in pieces.phase.values(NextPiece):
                variable = ports[output.of]
                assert isinstance(variable, Variable)
                name = Next(variable).name
                got = np.concatenate([f[output.name] for f in found])
                np.testing.assert_array_equal(got, expected.pop(name).ravel(), err_msg=name)
    for name, array in expected.items():
        np.testing.assert_array_equal(rest[name], array, err_msg=name)


def test_what_is_treated_alike_is_one_program() -> None:
    p = program(TEXT.replace("OPTIMIZER", "AdamW(lr=1e-2)"))
    assert [len(pieces.tensors) for pieces in split_step(p, p.trainings["m"], piecewise=True).pieces] == [2]


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize("threads", [1, 3])
def test_the_trainer_goes_piece_by_piece(optimizer: str, threads: int, monkeypatch: pytest.MonkeyPatch) -> None:
    text, whole = TEXT.replace("OPTIMIZER", optimizer), compiler.split_step
    p = wsdl.compile(text)
    assert all(p.stored[name].size > PIECE for name in LARGE)
    ours = p.trainer(threads=threads)
    monkeypatch.setattr(compiler, "split_step", lambda *given, **named: whole(*given, **{**named, "piecewise": False}))
    other = wsdl.compile(text).trainer(threads=threads)
    for seed in range(4):
        x = np.random.default_rng(seed).normal(size=(8, 130)).astype("f4")
        assert ours.step({"x": x}) == pytest.approx(other.step({"x": x}), rel=1e-6)
    assert ours.models.pieces
    assert not other.models.pieces
    for name, array in other.state.items():
        np.testing.assert_allclose(ours.state[name], array, rtol=1e-5, atol=1e-7, err_msg=name)
