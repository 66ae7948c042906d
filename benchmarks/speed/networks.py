"""The networks that are exported: ours, and their twins in PyTorch with the same names of weights."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Network:
    """`model` of the file at `path`, the inputs of both that `draw` gives."""

    name: str
    path: Path
    model: str
    twin: Callable[[], Any]
    draw: Callable[[], dict[str, Array]]


def _resnet18() -> Any:
    from references.vision.networks import resnet18

    return resnet18()


def _albert() -> Any:
    from references.examples.transformers import albert_all

    return albert_all()


def _bert() -> Any:
    """Twelve layers of 768 with 12 heads, as BERT-base; the embedding is also the last layer."""
    import torch
    from torch import nn

    from references.examples.transformers import EncoderLayer

    class Bert(nn.Module):
        def __init__(self, d: int = 768, vocab: int = 30522) -> None:
            super().__init__()
            self.tok, self.pos, self.norm = nn.Embedding(vocab, d), nn.Embedding(512, d), nn.LayerNorm(d)
            self.blocks = nn.ModuleList(EncoderLayer(d, 12, 4 * d) for _ in range(12))
            self.head = nn.Linear(d, vocab)
            self.head.weight = self.tok.weight

        def forward(self, x: torch.Tensor) -> Any:
            h = self.norm(self.tok(x) + self.pos(torch.arange(x.shape[1])))
            for block in self.blocks:
                h = block(h)
            return self.head(h)

    return Bert()


def _image() -> dict[str, Array]:
    return {"image": np.random.default_rng(0).standard_normal((2, 3, 224, 224)).astype(np.float32)}


def _masked() -> dict[str, Array]:
    rng = np.random.default_rng(0)
    return {"ids": rng.integers(0, 8000, (2, 32)), "mask": np.arange(32) < rng.integers(8, 33, (2, 1))}


def _ids() -> dict[str, Array]:
    return {"x": np.random.default_rng(0).integers(0, 30522, (2, 32))}


NETWORKS = {
    network.name: network
    for network in (
        Network("ResNet-18", ROOT / "examples/resnet18.wsd", "resnet18", _resnet18, _image),
        Network("ALBERT x12", ROOT / "examples/albert_all.wsd", "albert", _albert, _masked),
        Network("BERT-base", ROOT / "benchmarks/training/models/bert.wsd", "bert", _bert, _ids),
    )
}
