"""Losses of blocks: added to each training for each application, reported by name, no part of a compiled model."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F

import wsdl
from tests.compiling import compiled_once
from tests.stages import storage_of
from wsdl import compiler
from wsdl.diagnostics.span import Source
from wsdl.ir.target import DEFAULT
from wsdl.ir.text import to_text
from wsdl.pipelines.training import LOWERING
from wsdl.training.gradients import objective_of

Arrays = dict[str, Any]
Tensors = dict[str, torch.Tensor]

TRAIN = """
train m(wanted: f32[n, 4]) {
    loss fit = mse(y, wanted)
    metric error = mean(abs(y - wanted))
    %s
    optimizer SGD(lr=1.0)
}
"""
MIXTURE = """
block Mixture(experts: int, units: int)(x: [n, d]) -> [n, units] {
    layer gate = Dense(experts)
    layer expert = Dense(experts * units)
    chosen = softmax(gate(x), axis=-1)
    load = mean(chosen, axis=0)
    loss balance = experts * sum(load ** 2)
    values = expert(x)
    loss activity = 0.1 * mean(values ** 2, axis=1)     # one value for each row
    return sum(chosen.reshape(n, experts, 1) * values.reshape(n, experts, units), axis=1)
}

model m(x: f32[n, 8]) -> (y: f32[n, 4]) {
    layer first = Mixture(3, 8)
    layer second = Mixture(2, 4)
    return x |> first |> relu |> first |> second
}
"""
RECURRENT = """
block Step()(x: [n, d], h: [n, 8]) -> [n, 8] {
    h = tanh(x + h)
    loss pressure = 0.5 * mean(h ** 2, axis=1)
    loss activity = abs(sum(h, axis=1))
    return h
}

model m(x: f32[n, 8]) -> (y: f32[n, 4]) {
    layer step = Step()
    layer f = Dense(8)
    steps = f(x).reshape(n, 4, 2)
    scan part in steps along 4 with h = zeros([n, 8]) {
        h = step(concat([part, part, part, part], axis=1), h)
    }
    return h |> Dense(4)
}
"""
FORMULA = """
block Own()(center: [d, d]) -> [d, d] {
    param own: [d, d]
    loss pull = 0.5 * sum((own - center) ** 2)
    return own
}

model m(x: f32[n, 8]) -> (y: f32[n, 4]) {
    layer make = Own()
    layer a = Dense(8)
    layer b = Dense(8)
    param b.weight = make(a.weight)
    return x |> a |> b |> b |> Dense(4)
}
"""


def linear(p: Tensors, path: str, x: torch.Tensor) -> torch.Tensor:
    return F.linear(x, p[f"m.{path}.weight"], p[f"m.{path}.bias"])


def mixture(p: Tensors, x: torch.Tensor) -> tuple[torch.Tensor, Tensors]:
    balance, activity = [], []

    def apply(path: str, experts: int, x: torch.Tensor) -> torch.Tensor:
        chosen, values = torch.softmax(linear(p, f"{path}.gate", x), -1), linear(p, f"{path}.expert", x)
        balance.append(experts * chosen.mean(0).square().sum())
        activity.append(0.1 * values.square().mean())
        return (chosen[:, :, None] * values.reshape(len(x), experts, -1)).sum(1)

    y = apply("second", 2, apply("first", 3, apply("first", 3, x).relu()))
    return y, {"balance": torch.stack(balance).sum(), "activity": torch.stack(activity).sum()}


def recurrent(p: Tensors, x: torch.Tensor) -> tuple[torch.Tensor, Tensors]:
    h, pressure, activity = torch.zeros(len(x), 8), [], []
    for part in linear(p, "f", x).reshape(-1, 4, 2).unbind(1):
        h = torch.tanh(part.repeat(1, 4) + h)
        pressure.append(0.5 * h.square().mean())
        activity.append(h.sum(1).abs().mean())
    return linear(p, "dense", h), {"pressure": torch.stack(pressure).sum(), "activity": torch.stack(activity).sum()}


def formula(p: Tensors, x: torch.Tensor) -> tuple[torch.Tensor, Tensors]:
    own, h = p["m.make.own"], linear(p, "a", x)
    for _ in range(2):
        h = F.linear(h, own, p["m.b.bias"])
    return linear(p, "dense", h), {"pull": 0.5 * (own - p["m.a.weight"]).square().sum()}


PULLED = """
block Gated()(x: [d, d]) -> [d, d] {
    param own: [d, d]
    param center: [d, d]                    # which the loss alone reads
    loss pull = 0.5 * sum((own - center) ** 2)
    return own * x
}

model m(x: f32[n, 8]) -> (y: f32[n, 4]) {
    layer make = Gated()
    layer a = Dense(8)
    layer b = Dense(8)
    param b.weight = make(a.weight)
    return x |> a |> b |> Dense(4)
}
"""


def pulled(p: Tensors, x: torch.Tensor) -> tuple[torch.Tensor, Tensors]:
    own, center = p["m.make.own"], p["m.make.center"]
    h = F.linear(linear(p, "a", x), own * p["m.a.weight"], p["m.b.bias"])
    return linear(p, "dense", h), {"pull": 0.5 * (own - center).square().sum()}


DEEP = """
block Block()(x: [n, d]) -> [n, d] {
    layer f = Dense(d)
    y = tanh(f(x))
    loss activity = 0.1 * mean(y ** 2)
    return x + y
}

model m(x: f32[n, 8]) -> (y: f32[n, 4]) {
    layer blocks[8] = Block()
    share { blocks[*] }
    for block in blocks {
        x = block(x)
    }
    return x |> Dense(4)
}
"""


def deep(p: Tensors, x: torch.Tensor) -> tuple[torch.Tensor, Tensors]:
    activity = []
    for _ in range(8):
        y = linear(p, "blocks.0.f", x).tanh()
        activity.append(0.1 * y.square().mean())
        x = x + y
    return linear(p, "dense", x), {"activity": torch.stack(activity).sum()}


CASES: dict[str, tuple[str, Callable[[Tensors, torch.Tensor], tuple[torch.Tensor, Tensors]], dict[str, float]]] = {
    "once for each application": (MIXTURE, mixture, {}),
    "weights": (MIXTURE, mixture, {"balance": 0.25, "activity": -2.0}),
    "a weight of 0": (MIXTURE, mixture, {"balance": 0.0}),
    "in the steps of a `for` over one set of weights": (DEEP, deep, {"activity": 0.5}),
    "in the steps of a scan": (RECURRENT, recurrent, {"pressure": 3.0}),
    "once in a formula that is read twice": (FORMULA, formula, {}),
    "a weight of 0 in a formula": (FORMULA, formula, {"pull": 0.0}),
    "a parameter that a loss alone reads": (PULLED, pulled, {"pull": 0.5}),
    "a parameter that only a loss without weight reads": (PULLED, pulled, {"pull": 0.0}),
}


def rows() -> Arrays:
    rng = np.random.default_rng(0)
    return {"x": rng.normal(size=(24, 8)).astype("f4"), "wanted": rng.normal(size=(24, 4)).astype("f4")}


def program(text: str, weights: dict[str, float]) -> wsdl.Program:
    lines = "\n    ".join(f"weight {name} = {value}" for name, value in weights.items())
    return compiled_once(text + TRAIN % lines)


@pytest.mark.parametrize(("text", "reference", "weights"), CASES.values(), ids=CASES)
def test_values_and_gradients_are_those_of_pytorch(text: str, reference: Any, weights: dict[str, float]) -> None:
    compiled, data = program(text, weights), rows()
    parameters = {name: torch.tensor(value, requires_grad=True) for name, value in compiled.stored.items()}
    y, losses = reference(parameters, torch.tensor(data["x"]))
    wanted = torch.tensor(data["wanted"])
    fit = F.mse_loss(y, wanted)
    loss = fit + sum(weights.get(name, 1.0) * value for name, value in losses.items())
    loss.backward()
    expected = {"loss": loss, "fit": fit, "error": (y - wanted).abs().mean(), **losses}
    found = compiled.trainer().evaluate(data)
    assert list(found) == list(expected)
    assert np.allclose(
        list(found.values()), [float(value.detach()) for value in expected.values()], rtol=1e-5, atol=1e-6
    )
    for accumulate in (1, 3):
        trainer = compiled.trainer(batch=24, accumulate=accumulate)
        assert np.isclose(trainer.step(data), float(loss.detach()), rtol=1e-5)
        for name, before in compiled.stored.items():
            gradient = parameters[name].grad
            expected_gradient = np.zeros_like(before) if gradient is None else gradient.numpy()
            assert np.allclose(before - trainer.weights[name], expected_gradient, rtol=1e-4, atol=1e-5), name


@pytest.mark.parametrize("text", [MIXTURE, RECURRENT, FORMULA])
def test_results_dont_depend_on_how_rows_are_cut(text: str) -> None:
    found = [program(text, {}).trainer(batch=batch).evaluate(rows()) for batch in (24, 7, 1)]
    assert all(np.allclose(list(one.values()), list(found[0].values()), rtol=1e-5) for one in found)


@pytest.mark.parametrize("text", [MIXTURE, RECURRENT, FORMULA])
def test_a_compiled_model_has_nothing_of_them(text: str) -> None:
    """Neither in its graph, nor in what is counted of it."""
    plain = "\n".join("" if line.strip().startswith("loss ") else line for line in text.splitlines())
    train = (TRAIN % "").replace("loss fit =", "loss")
    for dtype in ("f32", "f16"):
        files = [wsdl.compile(Source("m.wsd", t), dtype=dtype).protos["m"] for t in (text, plain)]
        assert [node.op_type for node in files[0].graph.node] == [node.op_type for node in files[1].graph.node]
    graphs = [to_text(compiler.lower(storage_of(t + train))) for t in (text, plain)]
    assert graphs[0] == graphs[1] or text is FORMULA  # which is a share without its loss
    assert to_text(compiler.lower(storage_of(text))) == graphs[0]


def test_the_steps_of_a_for_stay_one_loop() -> None:
    for text in (DEEP, DEEP.replace("    loss activity = 0.1 * mean(y ** 2)\n", "")):
        storage = storage_of(text + (TRAIN % "").replace("loss fit =", "loss"))
        draft = objective_of(storage, storage.trainings["m"], DEFAULT)
        for run_on in LOWERING:
            run_on(draft)
        assert [choice.rolled for choice in draft.phase.program.loops] == [True]


HEAD = """
block Head()(x: [n, d]) -> [n, d] {
    layer aux = Dense(1)
    loss small = mean(aux(x) ** 2)
    return x
}

model m(x: f32[n, 8]) -> (y: f32[n, 4]) {
    limit macs 32
    return x |> Head() |> Dense(4)
}
"""
ALONE = """
model m(x: f32[n, 8]) -> (y: f32[n, 4]) {
    y = Dense(4)(x)
    loss size = mean(y ** 2)
    return y
}

train m() {
    optimizer SGD(lr=0.1)
}
"""


def test_a_layer_that_only_a_loss_applies_is_trained_and_not_compiled() -> None:
    compiled = program(HEAD, {})
    assert {name for name in compiled.stored if "aux" in name} == {"m.head.aux.weight", "m.head.aux.bias"}
    assert "m.head.aux.weight" not in {tensor.name for tensor in compiled.protos["m"].graph.initializer}
    trainer = compiled.trainer()
    trainer.step(rows())
    assert not np.array_equal(trainer.weights["m.head.aux.weight"], compiled.stored["m.head.aux.weight"])


def test_a_training_may_have_nothing_else_to_minimize() -> None:
    trainer = wsdl.compile(Source("m.wsd", ALONE)).trainer()
    losses = [trainer.step({"x": rows()["x"]}) for _ in range(3)]
    assert losses[0] > losses[1] > losses[2] > 0


def test_each_variant_reports_its_own() -> None:
    plain = FORMULA.replace("    param b.weight = make(a.weight)\n", "").replace("    layer make = Own()\n", "")
    variant = "variant soft { param m.b.weight = make(m.a.weight) }\n"
    source = Source("m.wsd", f"layer make = Own()\n{plain}{TRAIN % 'weight pull = 0.5'}{variant}")
    base, soft = (list(wsdl.compile(source, variant=v).trainer().evaluate(rows())) for v in (None, "soft"))
    assert base == ["loss", "fit", "error"]
    assert soft == ["loss", "fit", "error", "pull"]
