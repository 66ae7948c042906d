"""`gradient(y, x)` in models and in losses against PyTorch: by ONNX Runtime, and by references of operations."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

import numpy as np
import pytest
import torch
from torch.nn.functional import linear, softplus

import wsdl
from tests.stages import examined, storage_of
from wsdl.diagnostics import CompileError, Problems
from wsdl.diagnostics.span import Source
from wsdl.ir.target import Loops, Target
from wsdl.onnx.emit import emit
from wsdl.ops.interpreter import evaluate
from wsdl.ops.verify import verify
from wsdl.pipelines.inference import lower
from wsdl.pipelines.training import split_step, train_step
from wsdl.runtime.session import Session
from wsdl.weights.initial_values import initial_values

Tensor: TypeAlias = torch.Tensor
Tensors: TypeAlias = Mapping[str, Tensor]
Twin: TypeAlias = Callable[[Tensors, Tensor], "Tensor | tuple[Tensor, ...]"]
ROWS = 5


def grad(y: Tensor, *x: Tensor) -> Any:
    of = torch.autograd.grad(y, x, create_graph=True)
    return of if len(of) > 1 else of[0]


def dense(w: Tensors, name: str, x: Tensor) -> Tensor:
    return linear(x, w[f"{name}.weight"], w[f"{name}.bias"])


# -- models ------------------------------------------------------------------------------------------------------------


def saliency(w: Tensors, x: Tensor) -> tuple[Tensor, ...]:
    h = torch.tanh(dense(w, "m.f", x))
    y = dense(w, "m.g", h)
    return y, grad(y[:, 0].sum(), x), grad(y[:, 0].sum(), h), grad((y**2).mean(), w["m.f.weight"])


SALIENCY = """
model m(x: f32[n, 4]) -> (y: f32[n, 3], dx: f32[n, 4], dh: f32[n, 5], dw: f32[5, 4]) {
    layer f = Dense(5)
    layer g = Dense(3)
    h = tanh(f(x))
    y = g(h)
    score = sum(y[:, 0])
    return y, gradient(score, x), gradient(score, h), gradient(mean(y ** 2), f.weight)
}
"""


def tied(w: Tensors, x: Tensor) -> tuple[Tensor, ...]:
    own = w["m.encode.weight"]
    y = linear(torch.tanh(dense(w, "m.encode", x)), own.T)
    y = y + linear(x, own[1:3], w["m.part.bias"]).sum(-1, keepdim=True)
    of = grad((y**2).sum(), own)
    return of, of.T, of[1:3]


TIED = """
model m(x: f32[n, 4]) -> (a: f32[5, 4], b: f32[4, 5], c: f32[2, 4]) {
    layer encode = Dense(5)
    layer decode = Dense(4, bias=false)
    layer part = Dense(2)
    share { encode.weight, decode.weight.T }
    share { encode.weight[1:3], part.weight }
    y = decode(tanh(encode(x))) + sum(part(x), axis=-1, keepdims=true)
    s = sum(y ** 2)
    return gradient(s, encode.weight), gradient(s, decode.weight), gradient(s, part.weight)
}
"""


def computed(w: Tensors, x: Tensor) -> tuple[Tensor, ...]:
    own = w["m.encode.weight"]
    formula = own.T * 2 + 1
    s = (linear(torch.tanh(dense(w, "m.encode", x)), formula) ** 2).sum()
    return grad(s, own), grad(s, formula), x @ grad(s, formula)


COMPUTED = """
model m(x: f32[n, 4]) -> (a: f32[5, 4], b: f32[4, 5], c: f32[n, 5]) {
    layer encode = Dense(5)
    layer decode = Dense(4, bias=false)
    layer same = Dense(5, bias=false)
    param decode.weight = encode.weight.T * 2 + 1
    share { decode.weight, same.weight.T }
    s = sum(decode(tanh(encode(x))) ** 2)
    z = 0 * same(x)
    return gradient(s, encode.weight), gradient(s, decode.weight), x @ gradient(s, same.weight).T + z
}
"""


def langevin(w: Tensors, z: Tensor) -> Tensor:
    for _ in range(9):
        z = z - 0.1 * grad(softplus(dense(w, "m.f", z)).sum(), z)
    return z


LANGEVIN = """
model m(z: f32[n, 4]) -> f32[n, 4] {
    layer f = Dense(8)
    for i in 0..9 {
        z = z - 0.1 * gradient(sum(softplus(f(z))), z)
    }
    return z
}
"""
IN_A_BLOCK = """
block Descend(energy: block)(z: [n, d]) -> [n, d] {
    layer energy = energy
    return z - 0.1 * gradient(sum(softplus(energy(z))), z)
}
model m(z: f32[n, 4]) -> f32[n, 4] {
    layer f = Descend(Dense(8))
    for i in 0..9 { z = f(z) }
    return z
}
"""
IN_A_SCAN = """
model m(z: f32[n, 4]) -> f32[n, 4] {
    layer f = Dense(8)
    scan i in 0..9 with z = z {
        z = z - 0.1 * gradient(sum(softplus(f(z))), z)
    }
    return z
}
"""


def recurrent(w: Tensors, x: Tensor) -> tuple[Tensor, ...]:
    steps, h = x.reshape(ROWS, 2, 2), torch.zeros(ROWS, 3)
    for t in range(2):
        h = torch.tanh(
            linear(steps[:, t], w["m.f.cell.weight_ih"], w["m.f.cell.bias_ih"])
            + linear(h, w["m.f.cell.weight_hh"], w["m.f.cell.bias_hh"])
        )
    return grad((h**2).sum(), x), grad((h**2).sum(), w["m.f.cell.weight_hh"])


RECURRENT = """
model m(x: f32[n, 4]) -> (a: f32[n, 4], b: f32[3, 3]) {
    layer f = RNN(3)
    h = f(reshape(x, [n, 2, 2]))[:, -1]
    return gradient(sum(h ** 2), x), gradient(sum(h ** 2), f.cell.weight_hh)
}
"""


def second(w: Tensors, x: Tensor) -> tuple[Tensor, ...]:
    u = dense(w, "m.g", torch.tanh(dense(w, "m.f", x)))
    first = grad(u.sum(), x)
    laplacian = torch.stack([grad(first[:, i].sum(), x)[:, i] for i in range(4)], 1).sum(1)
    return laplacian, grad((first**2).sum(), w["m.f.weight"])


SECOND = """
model m(x: f32[n, 4]) -> (a: f32[n], b: f32[5, 4]) {
    layer f = Dense(5)
    layer g = Dense(1)
    du = gradient(sum(g(tanh(f(x)))), x)
    laplacian = zeros([n])
    for i in 0..4 {
        laplacian = laplacian + gradient(sum(du[:, i]), x)[:, i]
    }
    return laplacian, gradient(sum(du ** 2), f.weight)
}
"""


def stopped(w: Tensors, x: Tensor) -> Tensor:
    return grad((torch.sigmoid(x).detach() * x).sum(), x)


STOPPED = """
model m(x: f32[n, 4]) -> f32[n, 4] {
    return gradient(sum(stop_gradient(sigmoid(x)) * x), x)
}
"""


def pictures(w: Tensors, x: Tensor) -> Tensor:
    f = torch.nn.functional
    h = f.conv2d(x.reshape(-1, 1, 2, 2), w["m.f.weight"], w["m.f.bias"], padding=1)
    h = f.batch_norm(
        h, w["m.norm.running_mean"].detach(), w["m.norm.running_var"].detach(), w["m.norm.weight"], w["m.norm.bias"]
    )
    return grad(f.max_pool2d(f.relu(h), 2, stride=1).sum(), x)


PICTURES = """
model m(x: f32[n, 4]) -> f32[n, 4] {
    layer f = Conv2d(3, kernel=3, pad=1)
    layer norm = BatchNorm()
    h = max_pool(relu(norm(f(reshape(x, [n, 1, 2, 2])))), kernel=2, stride=1)
    return gradient(sum(h), x)
}
"""
MODELS: dict[str, tuple[str, Twin]] = {
    "saliency": (SALIENCY, saliency),
    "tied": (TIED, tied),
    "computed": (COMPUTED, computed),
    "in a for": (LANGEVIN, langevin),
    "in a block": (IN_A_BLOCK, lambda w, z: langevin({k.replace("f.energy", "f"): v for k, v in w.items()}, z)),
    "in a scan": (IN_A_SCAN, langevin),
    "of a scan": (RECURRENT, recurrent),
    "of a gradient": (SECOND, second),
    "stopped": (STOPPED, stopped),
    "pictures": (PICTURES, pictures),
}


def values_of(program: Any) -> dict[str, Any]:
    """Numbers for all that is stored, positive and away from 0: nothing that a pass could mistake for another."""
    rng = np.random.default_rng(1)
    return {k: rng.uniform(0.2, 1.0, a.shape).astype(a.dtype) for k, a in initial_values(program, 0).items()}


def rows() -> Any:
    return np.random.default_rng(0).normal(size=(ROWS, 4)).astype("f4")


def close(got: Any, wanted: Tensor) -> None:
    expected = wanted.detach().numpy()
    np.testing.assert_allclose(got, expected, rtol=1e-4, atol=1e-5 * max(1.0, float(np.abs(expected).max())))


@pytest.mark.parametrize("loops", ["auto", "unroll"])
@pytest.mark.parametrize(("text", "twin"), MODELS.values(), ids=MODELS)
def test_models(text: str, twin: Twin, loops: Loops) -> None:
    program = storage_of(text)
    values, x = values_of(program), rows()
    tensors = {name: torch.tensor(array).requires_grad_() for name, array in values.items()}
    expected = twin(tensors, torch.tensor(x, requires_grad=True))
    lowered = lower(program, Target(loops))
    verify(lowered)
    if text in (LANGEVIN, IN_A_BLOCK):
        assert [choice.rolled for choice in lowered.loops] == [loops == "auto"]
    model = lowered.models["m"]
    session = Session(emit(lowered, model, values).SerializeToString())
    by_runtime = list(session.run(dict.fromkeys(session.inputs, x)).values())
    for results in by_runtime, evaluate(model.graph, [x], values):
        for got, want in zip(results, expected if isinstance(expected, tuple) else (expected,), strict=True):
            close(got, want)


# -- losses ------------------------------------------------------------------------------------------------------------


def penalty(w: Tensors, x: Tensor) -> Tensor:
    y = dense(w, "m.g", torch.tanh(dense(w, "m.f", x)))
    slopes = grad(y.sum(), x).pow(2).sum(1).sqrt()
    return y.mean() + 10 * ((slopes - 1) ** 2).mean()


PENALTY = """
model m(x: f32[n, 4]) -> (y: f32[n, 1]) {
    layer f = Dense(5)
    layer g = Dense(1)
    return g(tanh(f(x)))
}
train m() {
    slopes = sqrt(sum(gradient(sum(y), x) ** 2, axis=-1))
    loss mean(y) + 10 * mean((slopes - 1) ** 2)
    optimizer SGD(lr=1.0)
}
"""


def normalized(w: Tensors, x: Tensor) -> Tensor:
    f = torch.nn.functional
    h = f.batch_norm(dense(w, "m.f", x), None, None, w["m.norm.weight"], w["m.norm.bias"], training=True)
    y = f.layer_norm(torch.nn.functional.gelu(h), (5,), w["m.rows.weight"], w["m.rows.bias"])
    return (grad((y**3).sum(), x) ** 2).mean()


NORMALIZED = """
model m(x: f32[n, 4]) -> (y: f32[n, 5]) {
    layer f = Dense(5)
    layer norm = BatchNorm()
    layer rows = LayerNorm()
    return rows(gelu(norm(f(x))))
}
train m() {
    loss mean(gradient(sum(y ** 3), x) ** 2)
    optimizer SGD(lr=1.0)
}
"""


def frozen(w: Tensors, x: Tensor) -> Tensor:
    h = dense(w, "m.f", x)
    y = torch.nn.functional.batch_norm(
        h,
        w["m.norm.running_mean"].detach(),
        w["m.norm.running_var"].detach(),
        w["m.norm.weight"].detach(),
        w["m.norm.bias"].detach(),
    )
    return (grad((y**3).sum(), x) ** 2).mean()


FROZEN = """
model m(x: f32[n, 4]) -> (y: f32[n, 5]) {
    layer f = Dense(5)
    layer norm = BatchNorm()
    return norm(f(x))
}
train m() {
    freeze norm eval
    loss mean(gradient(sum(y ** 3), x) ** 2)
    optimizer SGD(lr=1.0)
}
"""


def over_time(w: Tensors, x: Tensor) -> Tensor:
    of_x, of_w = recurrent(w, x)
    return (of_x**2).mean() + (of_w**2).mean()


OVER_TIME = """
model m(x: f32[n, 4]) -> (a: f32[n, 4], b: f32[3, 3]) {
    layer f = RNN(3)
    h = f(reshape(x, [n, 2, 2]))[:, -1]
    return gradient(sum(h ** 2), x), gradient(sum(h ** 2), f.cell.weight_hh)
}
train m() {
    loss mean(a ** 2) + mean(b ** 2)
    optimizer SGD(lr=1.0)
}
"""


def descended(w: Tensors, z: Tensor) -> Tensor:
    return (langevin(w, z) ** 2).mean()


TRAINED = "train m() {\n    loss mean(z1 ** 2)\n    optimizer SGD(lr=1.0)\n}\n"
LOSSES: dict[str, tuple[str, Twin]] = {
    "penalty": (PENALTY, penalty),
    "normalized": (NORMALIZED, normalized),
    "frozen": (FROZEN, frozen),
    "over time": (OVER_TIME, over_time),
    "through a for": (LANGEVIN.replace("-> f32[n, 4]", "-> (z1: f32[n, 4])") + TRAINED, descended),
    "through a scan": (IN_A_SCAN.replace("-> f32[n, 4]", "-> (z1: f32[n, 4])") + TRAINED, descended),
}


@pytest.mark.parametrize(("text", "twin"), LOSSES.values(), ids=LOSSES)
def test_losses(text: str, twin: Twin) -> None:
    program = storage_of(text)
    training = program.trainings["m"]
    step = train_step(program, training)
    verify(step.program)
    halves = split_step(program, training)
    assert [s.name for s in halves.trained] == [s.name for s in step.trained]
    values, x = values_of(program), rows()
    tensors = {name: torch.tensor(array).requires_grad_() for name, array in values.items()}
    expected = twin(tensors, torch.tensor(x, requires_grad=True))
    assert isinstance(expected, Tensor)
    expected.backward()
    feeds: dict[str, Any] = {step.model.graph.inputs[0].name: x, "step": np.int64(0), "total_steps": np.int64(9)}
    feeds |= {name: values[name] for name in step.phase.fed}
    session = Session(emit(step.program, step.model, values, fed=step.phase.fed).SerializeToString())
    outputs = session.run({name: feeds[name] for name in session.inputs})
    np.testing.assert_allclose(outputs["loss"], expected.item(), rtol=1e-4)
    for stored in step.trained:
        wanted = tensors[stored.name].grad
        assert wanted is not None, stored.name
        close(values[stored.name] - outputs[f"next/{stored.name}"], wanted)
    assert all(tensors[n].grad is None for n in values if n not in {s.name for s in step.trained})


def test_a_depth_that_the_run_knows() -> None:
    program = wsdl.compile("""
        model m(x: f32[n, 4], depth: i64) -> (h: f32[n, 4], dx: f32[n, 4]) {
            layer cell = Dense(4)
            scan step in 0..depth with h = x {
                next = tanh(cell(h) + x)
                until max(abs(next - h)) < 0.0
                h = next
            }
            return h, gradient(sum(h ** 2), x)
        }
        train m() {
            loss mean(dx ** 2)
            optimizer SGD(lr=1.0)
        }
    """)
    trainer, x = program.trainer(), rows()
    w = {name: torch.tensor(a, requires_grad=True) for name, a in trainer.weights.items()}
    loss = trainer.step({"x": x, "depth": np.int64(5)})
    h = inputs = torch.tensor(x, requires_grad=True)
    for _ in range(5):
        h = torch.tanh(dense(w, "m.cell", h) + inputs)
    expected = (grad((h**2).sum(), inputs) ** 2).mean()
    expected.backward()
    assert abs(loss - expected.item()) < 1e-5
    for name, tensor in w.items():
        assert tensor.grad is not None
        close(tensor.detach().numpy() - trainer.weights[name], tensor.grad)


# -- parts of a batch, dropout, 16 bits, limits ------------------------------------------------------------------------


@pytest.mark.parametrize("text", [PENALTY, FROZEN, OVER_TIME.replace(" + mean(b ** 2)", "")])
def test_parts_of_a_batch_train_as_the_whole(text: str) -> None:
    program = wsdl.compile(text)
    whole, parts = program.trainer(batch=6), program.trainer(batch=6, accumulate=3)
    x = np.random.default_rng(0).normal(size=(6, 4)).astype("f4")
    losses = [trainer.step({"x": x}) for trainer in (whole, parts)]
    np.testing.assert_allclose(losses[1], losses[0], rtol=1e-4)
    for name, array in whole.weights.items():
        np.testing.assert_allclose(parts.weights[name], array, rtol=1e-3, atol=1e-4)


def test_no_parts_of_a_batch_that_a_norm_needs_whole() -> None:
    with pytest.raises(CompileError, match="which normalizes by the batch"):
        wsdl.compile(NORMALIZED).trainer(batch=6, accumulate=3)


def test_dropout_has_one_mask() -> None:
    """What is dropped has no derivative, what is kept has the factor that it has in the value."""
    trainer = wsdl.compile("""
        model m(x: f32[n, 64]) -> (y: f32[n, 64]) {
            param gain: [64] = ones
            return dropout(x * gain, 0.5)
        }
        train m() {
            slope = gradient(sum(y), x)
            loss mean((y - x * slope) ** 2) + mean(slope ** 2) - mean(slope)
            optimizer SGD(lr=1e-9)
        }
    """).trainer()
    loss = trainer.step({"x": np.random.default_rng(0).normal(size=(8, 64)).astype("f4")})
    assert 0.8 < loss < 1.2  # of 2 ** 2 - 2 and 0, half each


@pytest.mark.parametrize("text", [SALIENCY, LANGEVIN, RECURRENT, PICTURES])
def test_half_precision(text: str) -> None:
    x = rows()
    [name] = wsdl.compile(text).session().inputs
    wide, narrow = (wsdl.compile(text, dtype=dtype, keep_io=True).session()(**{name: x}) for dtype in ("f32", "f16"))
    for key, array in wide.items():
        assert np.abs(narrow[key] - array).max() < 0.02 * max(np.abs(array).max(), 0.1), key


def test_what_computes_a_gradient_counts_in_limits_and_doesn_t_read_weights() -> None:
    text = """
        model m(x: f32[n, 8]) -> (y: f32[n, 4], dx: f32[n, 8]) {
            limit macs MOST
            layer f = Dense(4)
            y = f(x)
            return y, gradient(sum(y ** 2), x)
        }
    """
    storage = storage_of(text.replace("MOST", "64"))
    assert {path: reads.times for path, reads in storage.models["m"].reads.items()} == {"m.f.weight": 1, "m.f.bias": 1}
    problems = Problems()
    examined(Source("m.wsd", text.replace("MOST", "63")), problems)
    assert [error.code for error in problems.errors] == ["E0601"]
