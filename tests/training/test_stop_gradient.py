"""`stop_gradient`: what is trained past it, what isn't, and no trace of it in the compiled file."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pytest
import torch

import wsdl
from tests.stages import examined, storage_of
from wsdl.diagnostics import Problems
from wsdl.diagnostics.span import Source
from wsdl.ir.stages import Storage
from wsdl.ir.target import Loops, Target
from wsdl.onnx.emit import emit
from wsdl.ops.interpreter import evaluate
from wsdl.ops.verify import verify
from wsdl.pipelines.training import split_step, train_step
from wsdl.runtime.session import Session
from wsdl.weights.initial_values import initial_values

Tensors = Mapping[str, torch.Tensor]

TEACHER = """
model m(x: f32[n, t, 4]) -> (y: f32[n, 3], target: f32[n, 3]) {
    layer student = Dense(3)
    layer teacher = Dense(3)
    return student(x[:, 0]), stop_gradient(teacher(x[:, 0]))
}

train m() {
    loss mse(y, target)
    loss 0.1 * stop_gradient(mean(y ** 2)) * mean(y)
    optimizer SGD(lr=1.0)
}
"""
OVER_TIME = """
model m(x: f32[n, t, 4]) -> (y: f32[n, 4]) {
    layer up = Dense(4)
    layer gate = Dense(4)
    layer start = Dense(4)
    layer level = Dense(4)
    firsts = start(x)
    scan xt in x, first in firsts along t with h = level(x[:, 0]) {
        h = tanh(up(stop_gradient(h)) + xt) * stop_gradient(sigmoid(gate(xt)) + first)
    }
    return h
}

train m() {
    loss mean(y ** 2)
    optimizer SGD(lr=1.0)
}
"""
OVER_LAYERS = """
model m(x: f32[n, t, 4]) -> (y: f32[n, 4]) {
    layer up = Dense(4)
    layer gate = Dense(4)
    layer start = Dense(4)
    h = start(x[:, 0])
    for i in 0..9 {
        h = tanh(up(h)) * stop_gradient(sigmoid(gate(h)))
    }
    return h
}

train m() {
    loss mean(y ** 2)
    optimizer SGD(lr=1.0)
}
"""

THROUGH_TIME = """\
model last(x: f32[n, t]) -> (h: f32[n]) {
    param w: [1] = constant(0.5)
    _ = scan xt in x along t with h = zeros([n]) {
        h = stop_gradient(h) * w + xt
        emit h
    }
    return h
}

train last() {
    loss mean(h)
    optimizer SGD(lr=1.0)
}
"""
HALF = """\
model m(x: f32[n, 3]) -> (y: f32[n, 3]) {
    layer f = Dense(3)
    return f(x) + stop_gradient(f(2 * x))
}

train m(t: f32[n, 3]) {
    loss mse(y, t)
    optimizer SGD(lr=1.0)
}
"""


def dense(w: Tensors, name: str, x: torch.Tensor) -> torch.Tensor:
    return torch.nn.functional.linear(x, w[f"m.{name}.weight"], w[f"m.{name}.bias"])


def teacher(w: Tensors, x: torch.Tensor) -> torch.Tensor:
    y = dense(w, "student", x[:, 0])
    error = ((y - dense(w, "teacher", x[:, 0]).detach()) ** 2).mean()
    return error + 0.1 * (y**2).mean().detach() * y.mean()


def over_time(w: Tensors, x: torch.Tensor) -> torch.Tensor:
    h = dense(w, "level", x[:, 0])
    for t in range(x.shape[1]):
        gate = torch.sigmoid(dense(w, "gate", x[:, t])) + dense(w, "start", x[:, t])
        h = torch.tanh(dense(w, "up", h.detach()) + x[:, t]) * gate.detach()
    return (h**2).mean()


def over_layers(w: Tensors, x: torch.Tensor) -> torch.Tensor:
    h = dense(w, "start", x[:, 0])
    for _ in range(9):
        h = torch.tanh(dense(w, "up", h)) * torch.sigmoid(dense(w, "gate", h)).detach()
    return (h**2).mean()


def program_of(text: str) -> Storage:
    return storage_of(text)


@pytest.mark.parametrize("loops", ["auto", "unroll", "loop"])
@pytest.mark.parametrize(
    ("text", "loss", "trained"),
    [
        (TEACHER, teacher, ["student"]),
        (OVER_TIME, over_time, ["up"]),
        (OVER_LAYERS, over_layers, ["up", "start"]),
    ],
    ids=["teacher", "over time", "over layers"],
)
def test_gradients_are_those_of_pytorch(
    text: str, loss: Callable[[Tensors, torch.Tensor], torch.Tensor], trained: list[str], loops: Loops
) -> None:
    program = program_of(text)
    step = train_step(program, program.trainings["m"], Target(loops))
    verify(step.program)
    assert [s.name for s in step.trained] == [f"m.{name}.{part}" for name in trained for part in ("weight", "bias")]

    values = initial_values(program, 0)
    x = np.random.default_rng(0).normal(size=(5, 6, 4)).astype("f4")
    tensors = {name: torch.tensor(array).requires_grad_() for name, array in values.items()}
    expected = loss(tensors, torch.tensor(x))
    expected.backward()

    feeds: dict[str, Any] = {"x": x, "step": np.int64(0), "total_steps": np.int64(9)}
    feeds |= {name: values[name] for name in step.phase.fed}
    session = Session(emit(step.program, step.model, values, fed=step.phase.fed).SerializeToString())
    by_runtime = session.run({name: feeds[name] for name in session.inputs})
    given = [feeds[v.name] for v in step.model.graph.inputs]
    by_reference = dict(zip(step.model.output_names, evaluate(step.model.graph, given, values), strict=True))
    for outputs in by_runtime, by_reference:
        np.testing.assert_allclose(outputs["loss"], expected.item(), rtol=1e-5)
        for stored in step.trained:
            gradient = values[stored.name] - outputs[f"next/{stored.name}"]
            wanted = tensors[stored.name].grad
            assert wanted is not None
            np.testing.assert_allclose(gradient, wanted.numpy(), rtol=1e-4, atol=1e-6)
    assert all(tensors[n].grad is None for n in values if n not in {s.name for s in step.trained})


@pytest.mark.parametrize("text", [TEACHER, OVER_TIME, OVER_LAYERS])
def test_a_step_in_halves_trains_the_same(text: str) -> None:
    program = program_of(text)
    training = program.trainings["m"]
    halves, whole = split_step(program, training), train_step(program, training)
    assert [s.name for s in halves.trained] == [s.name for s in whole.trained]


@pytest.mark.parametrize("text", [TEACHER, OVER_TIME, OVER_LAYERS])
def test_a_compiled_model_has_no_trace_of_it(text: str) -> None:
    """The same nodes, under the same names, as without it."""
    model, _, _ = text.partition("train")
    with_it, without = (
        wsdl.compile(Source("m.wsd", t)).protos["m"].graph for t in (model, model.replace("stop_gradient", ""))
    )
    assert with_it.node == without.node


def test_a_loss_that_is_stopped_trains_nothing() -> None:
    problems = Problems()
    examined(Source("m.wsd", TEACHER.replace("mse(y, target)", "stop_gradient(mse(y, target))")), problems)
    [error] = problems.errors
    assert error.code == "E0816"
    assert error.label == "`stop_gradient` has no gradient"


def test_the_gradient_of_one_term_only() -> None:
    program = wsdl.compile(HALF)
    trainer = program.trainer()
    before = trainer.weights
    weight, bias = before["m.f.weight"], before["m.f.bias"]
    rng = np.random.default_rng(0)
    x, t = (rng.standard_normal((4, 3)).astype(np.float32) for _ in range(2))
    trainer.step({"x": x, "t": t})
    slope = 2 * ((x @ weight.T + bias) + (2 * x @ weight.T + bias) - t) / x.size
    np.testing.assert_allclose(trainer.weights["m.f.weight"], weight - slope.T @ x, rtol=1e-5, atol=1e-6)


def test_it_cuts_a_scan_between_its_steps() -> None:
    trainer = wsdl.compile(THROUGH_TIME).trainer()
    x = np.array([[1, 2, 4]], np.float32)
    trainer.step({"x": x})
    second = 2 + 0.5 * 1  # the state before the last step: all that the gradient sees
    assert trainer.weights["last.w"].tolist() == [0.5 - second]
