"""LeNet, the Siamese towers, the slimmable network, the detector."""

from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from references.vision.blocks import BasicBlock


class LeNet(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv2d = nn.Conv2d(1, 6, 5, padding=2)
        self.conv2d_2 = nn.Conv2d(6, 16, 5)
        self.dense = nn.Linear(400, 120)
        self.dense_2 = nn.Linear(120, 84)
        self.dense_3 = nn.Linear(84, 10)

    def forward(self, image: Tensor) -> Tensor:
        x = F.avg_pool2d(torch.tanh(self.conv2d(image)), 2)
        x = F.avg_pool2d(torch.tanh(self.conv2d_2(x)), 2).flatten(1)
        return self.dense_3(torch.tanh(self.dense_2(torch.tanh(self.dense(x)))))


class Tower(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv2d = nn.Conv2d(1, 16, 3, padding=1)
        self.conv2d_2 = nn.Conv2d(16, 32, 3, padding=1)
        self.dense = nn.Linear(32 * 7 * 7, 64)

    def forward(self, image: Tensor) -> Tensor:
        x = F.max_pool2d(F.relu(self.conv2d(image)), 2)
        return self.dense(F.max_pool2d(F.relu(self.conv2d_2(x)), 2).flatten(1))


def distance(a: Tensor, b: Tensor) -> Tensor:
    return (((a - b) ** 2).sum(1) + 1e-6).sqrt()


class Siamese(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.tower = Tower()

    def forward(self, left: Tensor, right: Tensor) -> Tensor:
        return distance(self.tower(left), self.tower(right))


class NormTower(nn.Module):
    """Learned weights from `like`, where it is given, and running statistics of its own."""

    def __init__(self, like: "NormTower | None" = None) -> None:
        super().__init__()
        self.conv2d = like.conv2d if like else nn.Conv2d(1, 16, 3, padding=1, bias=False)
        self.norm1 = nn.BatchNorm2d(16)
        self.conv2d_2 = like.conv2d_2 if like else nn.Conv2d(16, 32, 3, padding=1, bias=False)
        self.norm2 = nn.BatchNorm2d(32)
        self.dense = like.dense if like else nn.Linear(32 * 7 * 7, 64)
        if like:
            for own, other in ((self.norm1, like.norm1), (self.norm2, like.norm2)):
                own.weight, own.bias = other.weight, other.bias

    def forward(self, image: Tensor) -> Tensor:
        x = F.max_pool2d(F.relu(self.norm1(self.conv2d(image))), 2)
        return self.dense(F.max_pool2d(F.relu(self.norm2(self.conv2d_2(x))), 2).flatten(1))


class SiameseNorm(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        first = NormTower()
        self.towers = nn.ModuleList([first, NormTower(first)])

    def forward(self, photo: Tensor, sketch: Tensor) -> Tensor:
        return distance(self.towers[0](photo), self.towers[1](sketch))


class Mlp(nn.Module):
    """A width of the slimmable network: the first rows and columns of `wide`, its own biases."""

    def __init__(self, width: int, wide: "Mlp | None" = None) -> None:
        super().__init__()
        self.first, self.second, self.head = nn.Linear(784, width), nn.Linear(width, width), nn.Linear(width, 10)
        self.of = [wide] if wide else []  # in a list: not a submodule
        for layer in (self.first, self.second, self.head) if wide else ():
            del layer.weight

    def forward(self, image: Tensor) -> Tensor:
        width, of = self.first.bias.shape[0], (self.of or [self])[0]
        x = F.relu(F.linear(image, of.first.weight[:width], self.first.bias))
        x = F.relu(F.linear(x, of.second.weight[:width, :width], self.second.bias))
        return F.linear(x, of.head.weight[:, :width], self.head.bias)


class Slimmable(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.wide = Mlp(256)
        self.middle = Mlp(128, self.wide)
        self.narrow = Mlp(64, self.wide)

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        return self.narrow(image), self.middle(image), self.wide(image)


class Pyramid(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 16, 3, 2, 1)
        widths = [16, 32, 64, 96, 128]
        self.stages = nn.ModuleList(BasicBlock(a, b, 2) for a, b in pairwise(widths))
        self.lateral = nn.ModuleList(nn.Conv2d(c, 64, 1) for c in (64, 96, 128))
        self.smooth = nn.ModuleList(nn.Conv2d(64, 64, 3, padding=1) for _ in range(3))
        self.level6 = nn.Conv2d(128, 64, 3, 2, 1)
        self.level7 = nn.Conv2d(64, 64, 3, 2, 1)

    def forward(self, image: Tensor) -> list[Tensor]:
        c3 = self.stages[1](self.stages[0](F.relu(self.stem(image))))
        c4 = self.stages[2](c3)
        c5 = self.stages[3](c4)
        p5 = self.lateral[2](c5)
        p4 = self.lateral[1](c4) + F.interpolate(p5, scale_factor=2)
        p3 = self.lateral[0](c3) + F.interpolate(p4, scale_factor=2)
        p6 = self.level6(c5)
        return [self.smooth[0](p3), self.smooth[1](p4), self.smooth[2](p5), p6, self.level7(F.relu(p6))]


class Head(nn.Module):
    """Convolutions from `like`, where it is given, and a normalization of its own."""

    def __init__(self, outputs: int, like: "Head | None" = None) -> None:
        super().__init__()
        self.outputs = outputs
        self.convs = (
            like.convs if like else nn.ModuleList(nn.Conv2d(64, 64, 3, padding=1, bias=False) for _ in range(4))
        )
        self.norms = nn.ModuleList(nn.BatchNorm2d(64) for _ in range(4))
        self.last = like.last if like else nn.Conv2d(64, 9 * outputs, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        for conv, norm in zip(self.convs, self.norms, strict=True):
            x = F.relu(norm(conv(x)))
        x = self.last(x)
        n, _, h, w = x.shape
        return x.view(n, 9, self.outputs, h, w).permute(0, 3, 4, 1, 2).reshape(n, -1, self.outputs)


class Detector(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.pyramid = Pyramid()
        classify, locate = Head(10), Head(4)
        self.classify = nn.ModuleList([classify, *(Head(10, classify) for _ in range(4))])
        self.locate = nn.ModuleList([locate, *(Head(4, locate) for _ in range(4))])

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor]:
        levels = self.pyramid(image)
        scores = [head(level) for head, level in zip(self.classify, levels, strict=True)]
        offsets = [head(level) for head, level in zip(self.locate, levels, strict=True)]
        return torch.cat(scores, 1), torch.cat(offsets, 1)
