"""Optimizers and schedules against PyTorch's, over 100 steps."""

from collections.abc import Callable
from math import cos, pi
from typing import Any

import numpy as np
import pytest
import torch

from wsdl.ir.graph import Graph, Value
from wsdl.ir.types import TensorType
from wsdl.ops.build import Build
from wsdl.ops.interpreter import evaluate
from wsdl.training.optimizers import OPTIMIZERS, Scalars, learning_rate

SCALAR = TensorType.of("f32")
SHAPE = (3, 4)

CASES: list[tuple[str, dict[str, Any], Callable[..., torch.optim.Optimizer], dict[str, Any]]] = [
    ("SGD", {"momentum": 0, "nesterov": False, "weight_decay": 0}, torch.optim.SGD, {}),
    ("SGD", {"momentum": 0, "nesterov": False, "weight_decay": 0.1}, torch.optim.SGD, {}),
    ("SGD", {"momentum": 0.9, "nesterov": False, "weight_decay": 0.1}, torch.optim.SGD, {}),
    ("SGD", {"momentum": 0.9, "nesterov": True, "weight_decay": 0}, torch.optim.SGD, {}),
    ("Adam", {"betas": [0.9, 0.999], "eps": 1e-8, "weight_decay": 0}, torch.optim.Adam, {}),
    ("Adam", {"betas": [0.8, 0.99], "eps": 1e-6, "weight_decay": 0.1}, torch.optim.Adam, {}),
    ("AdamW", {"betas": [0.9, 0.999], "eps": 1e-8, "weight_decay": 0.1}, torch.optim.AdamW, {}),
    ("RMSprop", {"alpha": 0.99, "eps": 1e-8, "momentum": 0, "weight_decay": 0}, torch.optim.RMSprop, {}),
    ("RMSprop", {"alpha": 0.9, "eps": 1e-8, "momentum": 0.9, "weight_decay": 0.1}, torch.optim.RMSprop, {}),
]


def gradient(step: int) -> Any:
    return np.random.default_rng(step).normal(size=SHAPE).astype("f4")


def run(name: str, options: dict[str, Any], lr: float, steps: int) -> Any:
    optimizer = OPTIMIZERS[name]
    graph = Graph([Value(TensorType.of("f32", SHAPE), n) for n in ("p", "g", *optimizer.states(options))])
    graph.inputs.append(Value(SCALAR, "step"))
    b = Build(graph)
    p, g, *state = graph.inputs[:-1]
    names = optimizer.states(options)
    scalars = Scalars(b, b("add", graph.inputs[-1], 1.0), options)
    new, kept = optimizer.step(b, p, g, dict(zip(names, state, strict=True)), b.constant(lr, SCALAR), scalars)
    graph.outputs = [new, *(kept[n] for n in names)]
    arrays = [np.linspace(-1, 1, 12, dtype="f4").reshape(SHAPE), *(np.zeros(SHAPE, "f4") for _ in names)]
    for step in range(steps):
        arrays = evaluate(graph, [arrays[0], gradient(step), *arrays[1:], np.float32(step)], {})
    return arrays[0]


@pytest.mark.parametrize(
    ("name", "options", "make", "extra"), CASES, ids=lambda v: str(v) if isinstance(v, str | dict) else ""
)
def test_equal_to_pytorch(name: str, options: dict[str, Any], make: Any, extra: dict[str, Any]) -> None:
    p = torch.nn.Parameter(torch.linspace(-1, 1, 12).reshape(SHAPE))
    theirs = make([p], lr=0.01, **options, **extra)
    for step in range(100):
        p.grad = torch.from_numpy(gradient(step))
        theirs.step()
    np.testing.assert_allclose(run(name, options, 0.01, 100), p.detach().numpy(), rtol=1e-5, atol=1e-6)


def test_lion_is_the_paper() -> None:
    """Chen et al. 2023, algorithm 2."""
    p, m = np.linspace(-1, 1, 12).reshape(SHAPE), np.zeros(SHAPE)
    for step in range(100):
        g = gradient(step).astype("f8")
        p = p - 0.01 * (np.sign(0.9 * m + (1 - 0.9) * g) + 0.1 * p)
        m = 0.99 * m + (1 - 0.99) * g
    ours = run("Lion", {"betas": [0.9, 0.99], "weight_decay": 0.1}, 0.01, 100)
    np.testing.assert_allclose(ours, p, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("kind", "given", "expected"),
    [
        ("constant", {"lr": 0.1}, lambda s: 0.1),
        ("linear", {"lr": 0.1, "steps": 10, "warmup": 0, "end": 0}, lambda s: 0.1 * max(0, 1 - s / 10)),
        (
            "cosine",
            {"lr": 0.1, "steps": None, "warmup": 0, "end": 0.01},
            lambda s: 0.01 + 0.045 * _wave(s / 40),
        ),
        (
            "cosine",
            {"lr": 0.1, "steps": 20, "warmup": 5, "end": 0},
            lambda s: _warm(s, 5) * 0.05 * _wave(_after(s, 5) / 15),
        ),
        ("step", {"lr": 0.1, "every": 7, "factor": 0.5, "warmup": 0}, lambda s: 0.1 * 0.5 ** (s // 7)),
    ],
)
def test_schedules(kind: str, given: dict[str, Any], expected: Callable[[int], float]) -> None:
    graph = Graph([Value(SCALAR, "step"), Value(SCALAR, "total")])
    graph.outputs = [learning_rate(Build(graph), kind, given, *graph.inputs)]
    for step in range(40):
        [rate] = evaluate(graph, [np.float32(step), np.float32(40)], {})
        assert rate == pytest.approx(expected(step), rel=1e-5, abs=1e-7)


def _warm(step: int, warmup: int) -> float:
    return min(1, (step + 1) / warmup)


def _after(step: int, warmup: int) -> int:
    return max(0, step - warmup)


def _wave(progress: float) -> float:
    return 1 + cos(pi * min(1, progress))
