"""A small program, data for it, and the same network in PyTorch, for the tests of the trainer."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.nn import functional as F

from tests.compiling import compiled_once

CLASSIFY = """\
model classify(x: f32[n, 8]) -> (logits: f32[n, 3]) {
    layer blocks[2] = Residual(Dense(8))
    layer head = Dense(3)
    share { blocks[*] }
    for block in blocks {
        x = block(x) |> tanh
    }
    return head(x)
}

train classify(label: i64[n]) {
    loss cross_entropy(logits, label)
    metric accuracy = mean(argmax(logits, axis=1) == label)
    optimizer AdamW(lr=cosine(1e-2, warmup=5), weight_decay=0.01)
}
"""


def data(rows: int = 100, seed: int = 0) -> dict[str, Any]:
    """Three clouds."""
    rng = np.random.default_rng(seed)
    label = rng.integers(0, 3, rows)
    return {"x": (rng.normal(size=(rows, 8)) + 2 * np.eye(3, 8)[label]).astype("f4"), "label": label}


def program(text: str = CLASSIFY, **options: Any) -> Any:
    return compiled_once(text, "classify", **options)


def in_files(folder: Path, text: str = CLASSIFY) -> None:
    """The program, and data to train and to evaluate with."""
    (folder / "classify.wsd").write_text(text, encoding="utf-8")
    np.savez(folder / "train.npz", **data())
    np.savez(folder / "test.npz", **data(50, seed=1))


class Classify:
    """`CLASSIFY` in PyTorch, from the same initial weights."""

    def __init__(self, values: Mapping[str, Any], total_steps: int) -> None:
        names = ("blocks.0.inner.weight", "blocks.0.inner.bias", "head.weight", "head.bias")
        self.tensors = [torch.nn.Parameter(torch.tensor(values[f"classify.{n}"])) for n in names]
        self.optimizer = torch.optim.AdamW(self.tensors, lr=1e-2, weight_decay=0.01)
        self.total, self.done = total_steps, 0

    def losses(self, batches: Iterable[Mapping[str, Any]]) -> list[float]:
        """One step for each batch."""
        return [self.step(torch.tensor(b["x"]), torch.tensor(b["label"])) for b in batches]

    def step(self, x: torch.Tensor, label: torch.Tensor) -> float:
        past = max(0, self.done - 5) / (self.total - 5)
        rate = 0.005 * (1 + np.cos(np.pi * past)) * min(1, (self.done + 1) / 5)
        self.optimizer.param_groups[0]["lr"] = float(rate)
        weight, bias, head, head_bias = self.tensors
        for _ in range(2):
            x = torch.tanh(x + F.linear(x, weight, bias))
        loss = F.cross_entropy(F.linear(x, head, head_bias), label)
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()
        self.done += 1
        return loss.item()
