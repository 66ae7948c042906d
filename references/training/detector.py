"""The detector over three levels, with one head and with three."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

WIDTH, DIGITS = 32, 10
WEIGHT = torch.tensor([1.0] * DIGITS + [1 / 32])


class Conv(nn.Module):
    def __init__(self, before: int, channels: int) -> None:
        super().__init__()
        self.conv2d = nn.Conv2d(before, channels, 3, 2, 1, bias=False)
        self.batch_norm = nn.BatchNorm2d(channels)

    def forward(self, x: Tensor) -> Tensor:
        return F.silu(self.batch_norm(self.conv2d(x)))


class Pyramid(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.stem = Conv(1, 16)
        self.stages = nn.ModuleList([Conv(16, 32), Conv(32, 48), Conv(48, 64)])
        self.lateral = nn.ModuleList(nn.Conv2d(c, WIDTH, 1) for c in (32, 48, 64))

    def forward(self, image: Tensor) -> list[Tensor]:
        c1 = self.stages[0](self.stem(image.float() / 255))
        c2 = self.stages[1](c1)
        p3 = self.lateral[2](self.stages[2](c2))
        p2 = self.lateral[1](c2) + F.interpolate(p3, scale_factor=2)
        return [self.lateral[0](c1) + F.interpolate(p2, scale_factor=2), p2, p3]


class Head(nn.Module):
    """Convolutions from `like`, where it is given, and a normalization of its own."""

    def __init__(self, stride: int, like: "Head | None" = None) -> None:
        super().__init__()
        self.stride = stride
        self.convs = (
            like.convs if like else nn.ModuleList(nn.Conv2d(WIDTH, WIDTH, 3, padding=1, bias=False) for _ in range(2))
        )
        self.norms = nn.ModuleList(nn.BatchNorm2d(WIDTH) for _ in range(2))
        self.classify = like.classify if like else nn.Conv2d(WIDTH, DIGITS + 1, 3, padding=1)
        self.locate = like.locate if like else nn.Conv2d(WIDTH, 4, 3, padding=1)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        for conv, norm in zip(self.convs, self.norms, strict=True):
            x = F.silu(norm(conv(x)))
        height, width = x.shape[2:]
        down, across = torch.meshgrid(torch.arange(height) + 0.5, torch.arange(width) + 0.5, indexing="ij")
        center = torch.stack([across, down, across, down])
        box = center + F.softplus(self.locate(x)) * torch.tensor([-1.0, -1, 1, 1]).view(4, 1, 1)
        return self.classify(x).flatten(2).transpose(1, 2), self.stride * box.flatten(2).transpose(1, 2)


class Finder(nn.Module):
    def __init__(self, shared: bool) -> None:
        super().__init__()
        self.pyramid = Pyramid()
        first = Head(4)
        self.heads = nn.ModuleList([first, *(Head(stride, first if shared else None) for stride in (8, 16))])

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor]:
        found = [head(level) for head, level in zip(self.heads, self.pyramid(image), strict=True)]
        logits, boxes = zip(*found, strict=True)
        return torch.cat(logits, 1), torch.cat(boxes, 1)


class Detector(nn.Module):
    def __init__(self, shared: bool) -> None:
        super().__init__()
        self.detector = Finder(shared)

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor]:
        return self.detector(image)

    def loss(self, image: Tensor, label: Tensor, box: Tensor) -> Tensor:
        logits, boxes = self(image)
        there, height = (label < DIGITS).float(), (box[..., 3] - box[..., 1]).clamp(min=1)
        off = ((boxes - box) ** 2).sum(-1) / height**2
        misses = F.cross_entropy(logits.transpose(1, 2), label, WEIGHT)
        return misses + 5 * (there * off).sum() / (there.sum() + 1)
