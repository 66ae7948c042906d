"""The variational autoencoder of `examples/training/vae.wsd`, with its noise: the random numbers of a program can be
computed anywhere from the seed, the step and the place."""

from __future__ import annotations

from hashlib import sha256
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from references.training.autoencoders import scaled


def noise(seed: int, step: int, shape: tuple[int, ...], path: str = "vae") -> NDArray[np.float64]:
    """What the first `random_normal` in the layer or model `path` draws (docs/decisions/0022 and 0056)."""
    place = int.from_bytes(sha256(f"{path}\0random_normal\0{1}".encode()).digest()[:8], "little")
    start: Any = np.array([seed, step, place], np.uint64) * np.array([0xD1342543DE82EF95, 0xDABA0B6EB09322E3, 1], "u8")
    bits = start.sum(dtype=np.uint64) + np.arange(np.prod(shape), dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)
    for shift, factor in (32, 0xBF58476D1CE4E5B9), (29, 0x94D049BB133111EB):
        bits = (bits ^ bits >> np.uint64(shift)) * np.uint64(factor)
    upper = bits >> np.uint64(32)
    lower = (bits ^ upper) & np.uint64(2**32 - 1)
    radius = np.sqrt(-2 * np.log((upper + 0.5) / 2**32))
    return np.asarray(radius * np.cos(2 * np.pi * (lower / 2**32))).reshape(shape)


class Decoder(nn.Module):
    """The weights of its layers are those of the encoder."""

    def __init__(self, encode: nn.Linear, center_of: nn.Linear) -> None:
        super().__init__()
        self.widen, self.draw = nn.Linear(16, 256), nn.Linear(256, 784)
        del self.widen.weight, self.draw.weight
        self._encoder = [encode, center_of]  # a list, so that they aren't parts of this module too

    def forward(self, z: Tensor) -> Tensor:
        encode, center_of = self._encoder
        h = F.relu(F.linear(z, center_of.weight.T, self.widen.bias))
        return F.linear(h, encode.weight.T, self.draw.bias)


class VAE(nn.Module):
    """Draws the noise of step after step while it is trained, and that of the first one otherwise."""

    def __init__(self, seed: int = 0) -> None:
        super().__init__()
        self.encode, self.center_of, self.spread_of = nn.Linear(784, 256), nn.Linear(256, 16), nn.Linear(256, 16)
        self.decoder = Decoder(self.encode, self.center_of)
        self.seed, self.step = seed, 0

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        h = F.relu(self.encode(scaled(image).flatten(1)))
        center, log_variance = self.center_of(h), self.spread_of(h)
        drawn = noise(self.seed, self.step if self.training else 0, tuple(center.shape))
        self.step += self.training
        z = center + torch.exp(log_variance / 2) * torch.tensor(drawn, dtype=center.dtype)
        return self.decoder(z), center, log_variance

    def loss(self, image: Tensor) -> Tensor:
        """The negative evidence lower bound, in nats."""
        logits, center, log_variance = self(image)
        reconstruction = F.binary_cross_entropy_with_logits(logits, scaled(image).flatten(1), reduction="none").sum(1)
        divergence = (center**2 + log_variance.exp() - 1 - log_variance).sum(1) / 2
        return (reconstruction + divergence).mean()
