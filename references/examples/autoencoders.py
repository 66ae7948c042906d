"""Autoencoders whose decoder is the encoder backwards."""

from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class TiedAutoencoder(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.encode = nn.Linear(784, 64)
        self.decode = nn.ParameterDict({"bias": torch.zeros(784)})

    def forward(self, image: Tensor) -> Tensor:
        code = F.relu(self.encode(image))
        return torch.sigmoid(F.linear(code, self.encode.weight.T, self.decode["bias"]))


class DeepAutoencoder(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        sizes = [784, 256, 64, 16]
        self.encoder = nn.ModuleList(nn.Linear(a, b) for a, b in pairwise(sizes))
        self.decoder = nn.ModuleList(nn.ParameterDict({"bias": torch.zeros(d)}) for d in (64, 256, 784))

    def forward(self, image: Tensor) -> Tensor:
        x = image
        for layer in self.encoder:
            x = F.relu(layer(x))
        for i in range(3):
            encoder: Any = self.encoder[2 - i]
            decoder: Any = self.decoder[i]
            x = F.linear(x, encoder.weight.T, decoder["bias"])
            x = F.relu(x) if i < 2 else torch.sigmoid(x)
        return x


class ConvAutoencoder(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.down1, self.down2 = nn.Conv2d(1, 16, 4, 2, 1), nn.Conv2d(16, 32, 4, 2, 1)
        self.up2, self.up1 = nn.ConvTranspose2d(32, 16, 4, 2, 1), nn.ConvTranspose2d(16, 1, 4, 2, 1)
        self.up2.weight, self.up1.weight = self.down2.weight, self.down1.weight

    def forward(self, image: Tensor) -> Tensor:
        code = F.relu(self.down2(F.relu(self.down1(image))))
        return torch.sigmoid(self.up1(F.relu(self.up2(code))))
