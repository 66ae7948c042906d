"""Each way of sharing of the standard library computes what a parametrization in PyTorch computes with the same values
of what is stored: results and all gradients."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from importlib.resources import files
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from tests.stages import storage_of
from wsdl.elaborate.scopes import standard_ways
from wsdl.ir.step import Gradient
from wsdl.onnx.emit import emit
from wsdl.pipelines.training import split_step
from wsdl.runtime.session import Session
from wsdl.weights.initial_values import initial_values

LAYERS = 3
PROGRAM = """
model m(x: f32[n, 4%s]) {
    layer f[3] = %s
    share %s { f[*] }
    for i in 0..3 {
        x = f[i](x)
    }
    return x
}

train m() {
    loss sum(sin(output))
    optimizer SGD(lr=1.0)
}
"""
Stored = Mapping[str, Tensor]
Weight = Callable[[Stored, int], Tensor]  # of what is stored, and the number of the member


class Way(nn.Module):
    """A parametrization: the weight of a member as a function of what is stored."""

    def __init__(self, weight: Weight, stored: Stored, member: int) -> None:
        super().__init__()
        self.weight, self.stored, self.member = weight, stored, member

    def forward(self, original: Tensor) -> Tensor:
        return self.weight(self.stored, self.member).reshape(original.shape)


def delta(stored: Stored, member: int) -> Tensor:
    base = stored["f.0.weight"]
    own = stored[f"f.{member}.weight.up"] @ stored[f"f.{member}.weight.down"]
    if (shift := stored.get(f"f.{member}.weight.shift")) is not None:
        own = own + torch.eye(*own.shape) * shift
    return base.flatten(1) + own


def mix(stored: Stored, member: int) -> Tensor:
    return torch.einsum("b,b...->...", stored["all.weight.mixtures"][member], stored["all.weight.templates"])


def weight_norm(stored: Stored, member: int) -> Tensor:
    direction = stored["f.0.weight"].flatten(1)
    return torch._weight_norm(direction, stored[f"f.{member}.weight.gain"], 0)


def scaled(name: str) -> Weight:
    return lambda stored, i: (
        stored[f"f.0.{name}"].flatten(1 if name == "weight" else 0)
        * stored[f"f.{i}.{name}.gain"].reshape((-1, 1) if name == "weight" else (-1,))
    )


def symmetric(stored: Stored, member: int) -> Tensor:
    upper = stored["f.0.weight"]
    return upper.triu() + upper.triu(1).T


def same(stored: Stored, member: int) -> Tensor:
    return stored["f.0.bias"]


def basis(stored: Stored, member: int) -> Tensor:
    return stored["all.weight.basis"] @ stored[f"f.{member}.weight.coefficients"]


def basis_on_the_right(stored: Stored, member: int) -> Tensor:
    return stored[f"f.{member}.weight.coefficients"] @ stored["all.weight.basis"]


def own(name: str) -> Weight:
    return lambda stored, i: stored[f"f.{i}.{name}.own"]


def pull(stored: Stored) -> Tensor:
    """The loss of `Soft(strength=0.5)`."""
    members = [
        (stored[f"all.{name}"], stored[f"f.{i}.{name}.own"]) for i in range(LAYERS) for name in ("weight", "bias")
    ]
    return sum((0.5 * ((own - center) ** 2).sum() for center, own in members), torch.zeros(()))


def hashed(stored: Stored, member: int) -> Tensor:
    values = stored["all.weight.values"]
    elements = 4 * values.shape[1]
    place = (torch.arange(elements) + elements * member + 1) * -7046029254386353131
    mixed = (place * (2 * place + 1)).double()
    return values.flatten()[(mixed.abs() * (values.numel() / 2**63)).long()] * mixed.sign().float()


def common(stored: Stored, member: int) -> Tensor:
    return stored["all.bias.common"]


# What is written, the weight and the bias of each layer in PyTorch.
WAYS: dict[str, tuple[Weight, Weight]] = {
    "as Delta(rank=2)": (delta, same),
    "as Delta(rank=2, diagonal=true)": (delta, same),
    "all as Mix(bank=2)": (mix, own("bias")),
    "all as Basis(rank=2)": (basis, own("bias")),
    "all as Basis(rank=2, right=true)": (basis_on_the_right, own("bias")),
    (SOFT := "all as Soft(strength=0.5)"): (own("weight"), own("bias")),
    "all as Hashed()": (hashed, common),
    "all as Hashed(ratio=3)": (hashed, common),
    "as Scaled()": (scaled("weight"), scaled("bias")),
    "as WeightNorm()": (weight_norm, same),
    (SQUARE := "as Symmetric()"): (symmetric, same),
}


def values_of(stored: Mapping[str, Any]) -> dict[str, np.ndarray[Any, Any]]:
    """Their initial values, shaken, so that zeros and ones make a difference."""
    rng = np.random.default_rng(0)
    return {name: (a + rng.uniform(-0.3, 0.3, a.shape)).astype(np.float32) for name, a in stored.items()}


@pytest.mark.parametrize(
    ("written", "kernels"),
    [(way, kernels) for way in WAYS for kernels in (False, True) if way != SQUARE or not kernels],
)
def test_equal_to_pytorch(written: str, kernels: bool) -> None:
    storage = storage_of(
        PROGRAM % (*((", 5, 5", "Conv2d(4, kernel=3, pad=1)") if kernels else ("", "Dense(4)")), written)
    )
    values = values_of(initial_values(storage))
    step = split_step(storage, storage.trainings["m"]).gradients
    session = Session(emit(step.program, step.model, values, fed=step.fed).SerializeToString())
    x = np.random.default_rng(1).standard_normal((2, 4, 5, 5) if kernels else (2, 4)).astype(np.float32)
    feeds = {**values, "x": x}
    found = session.run({name: feeds[name] for name in session.inputs})

    stored = {name.removeprefix("m."): torch.from_numpy(a).requires_grad_() for name, a in values.items()}
    layers = [nn.Conv2d(4, 4, 3, padding=1) if kernels else nn.Linear(4, 4) for _ in range(LAYERS)]
    for i, layer in enumerate(layers):
        for name, weight in zip(("weight", "bias"), WAYS[written], strict=True):
            parametrize.register_parametrization(layer, name, Way(weight, stored, i))
    output = torch.sin(nn.Sequential(*layers)(torch.from_numpy(x))).sum()
    if written == SOFT:
        output = output + pull(stored)
    output.backward()
    assert found["loss"] == pytest.approx(output.item(), rel=1e-4)
    for name, tensor in stored.items():
        assert tensor.grad is not None
        ours = found[Gradient(f"m.{name}").name]
        np.testing.assert_allclose(ours, tensor.grad.numpy(), rtol=1e-3, atol=1e-4, err_msg=name)


def test_every_way_is_here() -> None:
    assert {name for name in standard_ways() if not any(f"as {name}(" in written for written in WAYS)} == set()


def test_every_way_has_at_most_15_lines() -> None:
    text = (files("wsdl") / "std" / "sharing.wsd").read_text("utf-8")
    lines = {block[1]: block[0].count("\n") + 1 for block in re.finditer(r"^block (\w+).*?^\}", text, re.M | re.S)}
    assert set(lines) == set(standard_ways())
    assert max(lines.values()) <= 15
