"""The universal transformer of `examples/training/depth.wsd`: one layer, applied as often as each row asks for."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from references.examples.transformers import Attention, FeedForward

D = 32


class Step(nn.Module):
    """An encoder layer, normalized before each part."""

    def __init__(self) -> None:
        super().__init__()
        self.attn, self.ffn = Attention(D, 4), FeedForward(D, 2 * D)
        self.norm1, self.norm2 = nn.LayerNorm(D), nn.LayerNorm(D)

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.attn(self.norm1(x))
        return x + self.ffn(self.norm2(x))


class Universal(nn.Module):
    """Images u8[n, 1, 8, 8] and depths i64[n] to logits [n, 10]."""

    def __init__(self) -> None:
        super().__init__()
        self.step, self.conv2d, self.embedding = Step(), nn.Conv2d(1, D, 2, stride=2), nn.Embedding(16, D)
        self.layer_norm, self.dense = nn.LayerNorm(D), nn.Linear(D, 10)

    def forward(self, image: Tensor, depths: Tensor) -> Tensor:
        h = self.conv2d(image.float() / 16).flatten(2).mT + self.embedding.weight
        for i in range(int(depths.max())):
            h = torch.where((i < depths)[:, None, None], self.step(h), h)
        logits: Tensor = self.dense(self.layer_norm(h).mean(1))
        return logits


class Digits(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.network = Universal()

    def loss(self, image: Tensor, depths: Tensor, label: Tensor) -> Tensor:
        return F.cross_entropy(self.network(image, depths), label)
