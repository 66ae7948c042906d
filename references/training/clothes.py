"""The networks for Fashion-MNIST: what is it, and are two of one kind? And the small one for digits."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from references.examples.images import distance


class Fashion(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Conv2d(1, 16, 3, padding=1), nn.Conv2d(16, 32, 3, padding=1)
        self.looks = nn.ModuleList([nn.Conv2d(32, 32, 3, padding=1)] * 3)
        self.head = nn.Linear(32 * 7 * 7, 10)

    def forward(self, image: Tensor) -> Tensor:
        x = F.max_pool2d(F.relu(self.first(image.float() / 255)), 2)
        x = F.max_pool2d(F.relu(self.second(x)), 2)
        for look in self.looks:
            x = x + F.relu(look(x))
        return self.head(x.flatten(1))

    def loss(self, image: Tensor, label: Tensor) -> Tensor:
        return F.cross_entropy(self(image), label)


class Digits(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Conv2d(1, 16, 3, padding=1), nn.Conv2d(16, 16, 3, padding=1)
        self.third = self.second
        self.head = nn.Linear(16 * 4 * 4, 10)

    def forward(self, image: Tensor) -> Tensor:
        x = F.relu(self.second(F.relu(self.first(image.float() / 16))))
        return self.head(F.relu(self.third(F.max_pool2d(x, 2))).flatten(1))

    def loss(self, image: Tensor, label: Tensor) -> Tensor:
        return F.cross_entropy(self(image), label)


class Tower(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv2d, self.conv2d_2 = nn.Conv2d(1, 16, 3, padding=1), nn.Conv2d(16, 32, 3, padding=1)
        self.dense = nn.Linear(32 * 7 * 7, 32)

    def forward(self, image: Tensor) -> Tensor:
        x = F.max_pool2d(F.relu(self.conv2d(image.float() / 255)), 2)
        return self.dense(F.max_pool2d(F.relu(self.conv2d_2(x)), 2).flatten(1))


class Siamese(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.tower = Tower()

    def forward(self, left: Tensor, right: Tensor) -> Tensor:
        return distance(self.tower(left), self.tower(right))

    def loss(self, left: Tensor, right: Tensor, same: Tensor) -> Tensor:
        away = self(left, right)
        return torch.where(same, away**2, F.relu(2 - away) ** 2).mean()
