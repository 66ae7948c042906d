"""Networks of convolutions for each channel by itself: keywords, EfficientDet; and the U-Net."""

from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from references.vision.blocks import InvertedResidual


class Separable(nn.Module):
    def __init__(self, before: int, channels: int, bias: bool = True) -> None:
        super().__init__()
        self.depthwise = nn.Conv2d(before, before, 3, padding=1, groups=before, bias=False)
        self.pointwise = nn.Conv2d(before, channels, 1, bias=bias)

    def forward(self, x: Tensor) -> Tensor:
        return self.pointwise(self.depthwise(x))


class KeywordBlock(Separable):
    def __init__(self, channels: int) -> None:
        super().__init__(channels, channels, bias=False)
        self.norm1, self.norm2 = nn.BatchNorm2d(channels), nn.BatchNorm2d(channels)

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.norm2(self.pointwise(F.relu(self.norm1(self.depthwise(x))))))


class Keywords(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(1, 64, (10, 4), 2, (5, 1), bias=False)
        self.norm = nn.BatchNorm2d(64)
        self.blocks = nn.ModuleList(KeywordBlock(64) for _ in range(4))
        self.last = nn.Linear(64, 12)

    def forward(self, sound: Tensor) -> Tensor:
        x = F.relu(self.norm(self.first(sound)))
        for block in self.blocks:
            x = block(x)
        return self.last(x.mean((2, 3)))


class Twice(nn.Module):
    def __init__(self, before: int, channels: int) -> None:
        super().__init__()
        self.conv2d = nn.Conv2d(before, channels, 3, padding=1, bias=False)
        self.batch_norm = nn.BatchNorm2d(channels)
        self.conv2d_2 = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.batch_norm_2 = nn.BatchNorm2d(channels)

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(self.batch_norm(self.conv2d(x)))
        return F.relu(self.batch_norm_2(self.conv2d_2(x)))


class UNet(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        widths = [16, 32, 64, 128]
        self.down = nn.ModuleList(Twice(a, b) for a, b in pairwise([1, *widths]))
        self.bottom = Twice(128, 256)
        self.grow = nn.ModuleList(nn.ConvTranspose2d(2 * w, w, 2, 2) for w in widths)
        self.up = nn.ModuleList(Twice(2 * w, w) for w in widths)
        self.last = nn.Conv2d(16, 1, 1)

    def forward(self, image: Tensor) -> Tensor:
        x, seen = image, []
        for down in self.down:
            x = down(x)
            seen.append(x)
            x = F.max_pool2d(x, 2)
        x = self.bottom(x)
        for i in reversed(range(4)):
            x = self.up[i](torch.cat([seen[i], self.grow[i](x)], 1))
        return self.last(x)


class Fuse(nn.Module):
    def __init__(self, count: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(count))
        self.conv = Separable(32, 32, bias=False)
        self.norm = nn.BatchNorm2d(32)

    def forward(self, *maps: Tensor) -> Tensor:
        parts = F.relu(self.weight)
        mixed = sum(part * x for part, x in zip(parts, maps, strict=True)) / (parts.sum() + 1e-4)
        return self.norm(self.conv(F.silu(mixed)))


class Exchange(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.down = nn.ModuleList(Fuse(2) for _ in range(4))
        self.up = nn.ModuleList(Fuse(count) for count in (3, 3, 3, 2))

    def forward(self, levels: list[Tensor]) -> list[Tensor]:
        down = [levels[4]]  # from the coarsest to the finest
        for i in reversed(range(4)):
            down.insert(0, self.down[i](levels[i], F.interpolate(down[0], scale_factor=2)))
        up = [down[0]]
        for i, fuse in enumerate(self.up):
            seen = [levels[i + 1], down[i + 1]] if i < 3 else [levels[4]]
            up.append(fuse(*seen, F.max_pool2d(up[-1], 3, 2, 1)))
        return up


class Head(nn.Module):
    """Convolutions from `like`, where it is given, and normalizations of its own."""

    def __init__(self, outputs: int, like: "Head | None" = None) -> None:
        super().__init__()
        self.outputs = outputs
        self.convs = like.convs if like else nn.ModuleList(Separable(32, 32, bias=False) for _ in range(3))
        self.norms = nn.ModuleList(nn.BatchNorm2d(32) for _ in range(3))
        self.last = like.last if like else Separable(32, 9 * outputs)

    def forward(self, x: Tensor) -> Tensor:
        for conv, norm in zip(self.convs, self.norms, strict=True):
            x = F.silu(norm(conv(x)))
        x = self.last(x)
        n, _, h, w = x.shape
        return x.view(n, 9, self.outputs, h, w).permute(0, 3, 4, 1, 2).reshape(n, -1, self.outputs)


class EfficientDet(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.stem, self.norm = nn.Conv2d(3, 16, 3, 2, 1, bias=False), nn.BatchNorm2d(16)
        shapes = ((16, 16, 2), (16, 24, 2), (24, 24, 1), (24, 40, 2), (40, 40, 1), (40, 80, 2))
        self.stages = nn.ModuleList(InvertedResidual(*shape) for shape in shapes)
        self.lateral = nn.ModuleList(nn.Conv2d(c, 32, 1) for c in (24, 40, 80, 80))
        self.exchanges = nn.ModuleList(Exchange() for _ in range(3))
        classify, locate = Head(10), Head(4)
        self.classify = nn.ModuleList([classify, *(Head(10, classify) for _ in range(4))])
        self.locate = nn.ModuleList([locate, *(Head(4, locate) for _ in range(4))])

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor]:
        x = F.silu(self.norm(self.stem(image)))
        maps = []
        for stage in self.stages:
            x = stage(x)
            maps.append(x)
        levels = [lateral(maps[i]) for lateral, i in zip(self.lateral, (2, 4, 5), strict=False)]
        levels.append(self.lateral[3](F.max_pool2d(maps[5], 2)))
        levels.append(F.max_pool2d(levels[3], 2))
        for exchange in self.exchanges:
            levels = exchange(levels)
        scores = [head(level) for head, level in zip(self.classify, levels, strict=True)]
        offsets = [head(level) for head, level in zip(self.locate, levels, strict=True)]
        return torch.cat(scores, 1), torch.cat(offsets, 1)
