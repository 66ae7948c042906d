"""Training in f64, step by step as PyTorch does it: no part of a step is computed in fewer bits."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F

import wsdl

SOURCE = """\
model m(x: f64[n, 4]) -> (y: f64[n, 3]) {{
    layer first = Dense(5)
    layer second = Dense(3)
    return x |> first |> LayerNorm() |> tanh |> second
}}

train m(label: i64[n]) {{
    loss cross_entropy(y, label, label_smoothing=0.1) + 0.01 * mean(y ** 2)
    metric accuracy = mean(argmax(y, axis=-1) == label)
    optimizer {optimizer}
}}
"""


@pytest.mark.parametrize("accumulate", [1, 3])
@pytest.mark.parametrize(
    ("optimizer", "make"),
    [
        ("SGD(0.125, momentum=0.5)", lambda p: torch.optim.SGD(p, 0.125, momentum=0.5)),
        ("AdamW(0.125, weight_decay=0.25)", lambda p: torch.optim.AdamW(p, 0.125, weight_decay=0.25)),
        ("RMSprop(0.125)", lambda p: torch.optim.RMSprop(p, 0.125)),
    ],
)
def test_steps(optimizer: str, make: Callable[[Any], torch.optim.Optimizer], accumulate: int) -> None:
    program = wsdl.compile(SOURCE.format(optimizer=optimizer))
    trainer = program.trainer(batch=6, accumulate=accumulate)
    w = {name: torch.tensor(array, requires_grad=True) for name, array in program.stored.items()}
    first, norm, second = ([w[n] for n in w if part in n] for part in ("first", "layer_norm", "second"))
    twin = make(list(w.values()))
    x, label = np.random.default_rng(0).normal(size=(6, 4)), np.arange(6) % 3
    for _ in range(4):
        hidden = F.layer_norm(F.linear(torch.tensor(x), *first), [5], norm[0], norm[1])
        y = F.linear(hidden.tanh(), *second)
        loss = F.cross_entropy(y, torch.tensor(label), label_smoothing=0.1) + 0.01 * (y**2).mean()
        assert trainer.step({"x": x, "label": label}) == pytest.approx(loss.item(), rel=1e-10)
        twin.zero_grad()
        loss.backward()
        twin.step()
    for name, array in trainer.weights.items():
        assert array.dtype == np.float64
        np.testing.assert_allclose(array, w[name].detach().numpy(), rtol=1e-6, atol=1e-8, err_msg=name)
