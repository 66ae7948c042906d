"""The examples of several trainings beside PyTorch, 20 steps from the same start; what is random is given to both."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import conv1d, cross_entropy, embedding, leaky_relu

import wsdl
from wsdl.diagnostics.span import Source

FOLDER = Path(__file__).parents[2] / "examples" / "trainings"
STEPS = 20
Array = NDArray[Any]


def program(name: str, *given: tuple[str, str]) -> wsdl.Program:
    """An example, with some of its text replaced."""
    text = (FOLDER / f"{name}.wsd").read_text("utf-8")
    for old, new in given:
        assert old in text
        text = text.replace(old, new)
    return wsdl.compile(Source(f"{name}.wsd", text))


def tensors(weights: Any) -> dict[str, Tensor]:
    return {name: torch.tensor(array, requires_grad=True) for name, array in weights.items()}


def dense(w: dict[str, Tensor], path: str, x: Tensor) -> Tensor:
    return x @ w[f"{path}.weight"].T + w[f"{path}.bias"]


def test_a_gan_with_gradient_penalty() -> None:
    ours = program(
        "gan",
        ("random_normal([n, 16])", "noise"),
        ("random_uniform([n, 1])", "place"),
        ("critic of judge()", "critic of judge(noise: f32[n, 16], place: f32[n, 1])"),
        ("maker of judge()", "maker of judge(noise: f32[n, 16])"),
    ).trainers()
    w = tensors(ours.weights)
    nets = {"critic": [t for n, t in w.items() if n.startswith("net")]}
    nets["maker"] = [t for n, t in w.items() if n.startswith("make")]
    optimizers = {name: torch.optim.Adam(net, lr=5e-4, betas=(0.5, 0.9)) for name, net in nets.items()}
    first, second, third = sorted(n.removesuffix(".weight") for n in w if n.startswith("make") and "weight" in n)
    layers = sorted(n.removesuffix(".weight") for n in w if n.startswith("net") and "weight" in n)

    def make(noise: Tensor) -> Tensor:
        return dense(w, third, dense(w, second, dense(w, first, noise).relu()).relu()).sigmoid()

    def net(x: Tensor) -> Tensor:
        for path in layers[:-1]:
            x = leaky_relu(dense(w, path, x))
        return dense(w, layers[-1], x)

    random = np.random.default_rng(0)
    for _ in range(STEPS):
        name = ours.turn
        assert name is not None
        batch = {
            "image": random.integers(0, 17, (12, 1, 8, 8)).astype("u1"),
            "noise": random.normal(size=(12, 16)).astype("f4"),
            "place": random.random((12, 1)).astype("f4"),
        }
        made = make(torch.tensor(batch["noise"]))
        if name == "critic":
            made = made.detach()
            real = torch.tensor(batch["image"]).float().flatten(1) / 16
            between = (real + torch.tensor(batch["place"]) * (made - real)).requires_grad_()
            [slopes] = torch.autograd.grad(net(between).sum(), between, create_graph=True)
            slope = ((slopes**2).sum(1) + 1e-12).sqrt()
            loss = net(made).mean() - net(real).mean() + 10 * ((slope - 1) ** 2).mean()
        else:
            loss = -net(made).mean()
            del batch["place"]
        optimizers[name].zero_grad()
        loss.backward()
        optimizers[name].step()
        assert ours[name].step(batch) == pytest.approx(loss.item(), rel=1e-4, abs=1e-4)
    for path, array in ours.weights.items():
        assert np.allclose(array, w[path].detach(), atol=1e-4), path
    assert (ours["critic"].steps, ours["maker"].steps) == (15, 5)


@pytest.mark.parametrize("order", ["turns { count 1, place 1, sound 1 }", "mix { count 1, place 1, sound 1 }"])
def test_words_with_a_data_set_for_each_head(order: str) -> None:
    schedule = ("cosine(2e-3, warmup=50)", "2e-3")
    ours = program("words", schedule, ("mix { count 1, place 1, sound 1 }", order)).trainers()
    w = tensors(ours.weights)
    heads = {"count": "ask_syllables", "place": "ask_stress", "sound": "ask_first"}
    optimizers = {
        name: torch.optim.AdamW(
            [t for n, t in w.items() if n.startswith("words.trunk") or f".{head}." in n], lr=2e-3, weight_decay=0.01
        )
        for name, head in heads.items()
    }
    random = np.random.default_rng(1)
    made = []
    for _ in range(STEPS):
        name = ours.turn
        assert name is not None
        made.append(name)
        letters, label = random.integers(0, 27, (6, 9)), random.integers(0, 8, 6)
        h = embedding(torch.tensor(letters), w["words.trunk.embed.weight"]).permute(0, 2, 1)
        for layer, pad in ("conv1", 1), ("conv2", 2):
            path = f"words.trunk.{layer}"
            h = conv1d(h, w[f"{path}.weight"], w[f"{path}.bias"], padding=pad).relu()
        loss = cross_entropy(dense(w, f"words.{heads[name]}", h.amax(2)), torch.tensor(label))
        optimizers[name].zero_grad()
        loss.backward()
        optimizers[name].step()
        assert ours[name].step({"letters": letters, name: label}) == pytest.approx(loss.item(), rel=1e-4)
    assert set(made) == {*heads}
    for path, array in ours.weights.items():
        assert np.allclose(array, w[path].detach(), atol=1e-4), path
