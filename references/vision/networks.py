"""MobileNetV2, MobileNetV3, EfficientNet-B0, ResNet-50, RegNetY and ConvNeXt-T."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from references.vision.blocks import (
    Activation,
    BasicBlock,
    Bottleneck,
    ConvNeXtBlock,
    ConvNorm,
    InvertedResidual,
    LayerNorm2d,
    RegNetBlock,
    SqueezeExcite,
    convolution,
    norm,
)

IN_SE = ("conv_reduce", "conv_expand")  # the names of its convolutions in `InvertedResidual`


class ResNet(nn.Module):
    def __init__(self, block: type[BasicBlock | Bottleneck], depths: Sequence[int], widths: Sequence[int]) -> None:
        super().__init__()
        self.conv1, self.bn1 = convolution(3, 64, 7, 2), norm(64)
        before = 64
        for i, (depth, width) in enumerate(zip(depths, widths, strict=True)):
            blocks = [block(before if j == 0 else width, width, stride=1 + (j == 0 < i)) for j in range(depth)]
            self.add_module(f"layer{i + 1}", nn.Sequential(*blocks))
            before = width
        self.fc = nn.Linear(before, 1000)

    def forward(self, image: Tensor) -> Tensor:
        x = F.max_pool2d(F.relu(self.bn1(self.conv1(image))), 3, 2, 1)
        for i in range(4):
            x = self.get_submodule(f"layer{i + 1}")(x)
        y: Tensor = self.fc(x.mean((2, 3)))
        return y


def resnet18() -> ResNet:
    return ResNet(BasicBlock, [2, 2, 2, 2], [64, 128, 256, 512])


def resnet50() -> ResNet:
    return ResNet(Bottleneck, [3, 4, 6, 3], [256, 512, 1024, 2048])


class Mobile(nn.Module):
    """A stem, stages of inverted residuals, a last convolution, a classifier."""

    def __init__(self, stages: Sequence[Sequence[nn.Module]], stem: int, last: int, activation: Activation) -> None:
        super().__init__()
        self.conv_stem, self.bn1 = convolution(3, stem, 3, 2), norm(stem)
        self.blocks = nn.Sequential(*(nn.Sequential(*stage) for stage in stages))
        self.conv_head, self.bn2 = convolution(last, 1280), norm(1280)
        self.classifier = nn.Linear(1280, 1000)
        self.activation = activation

    def forward(self, image: Tensor) -> Tensor:
        x = self.blocks(self.activation(self.bn1(self.conv_stem(image))))
        y: Tensor = self.classifier(self.activation(self.bn2(self.conv_head(x))).mean((2, 3)))
        return y


def stages_of(
    shapes: Sequence[tuple[int, int, int, int, int]], before: int, block: Callable[..., nn.Module]
) -> list[list[nn.Module]]:
    """For each stage the factor of its expansion, channels, blocks, stride and kernel."""
    stages: list[list[nn.Module]] = []
    for expand, channels, depth, stride, kernel in shapes:
        stages.append([])
        for i in range(depth):
            stages[-1].append(block(before, channels, 1 if i else stride, expand, kernel))
            before = channels
    return stages


def mobilenetv2() -> Mobile:
    shapes = [
        (1, 16, 1, 1, 3), (6, 24, 2, 2, 3), (6, 32, 3, 2, 3), (6, 64, 4, 2, 3), (6, 96, 3, 1, 3), (6, 160, 3, 2, 3),
        (6, 320, 1, 1, 3),
    ]  # fmt: skip
    return Mobile(stages_of(shapes, 32, InvertedResidual), 32, 320, F.relu6)


def efficientnet_b0() -> Mobile:
    shapes = [
        (1, 16, 1, 1, 3), (6, 24, 2, 2, 3), (6, 40, 2, 2, 5), (6, 80, 3, 2, 3), (6, 112, 3, 1, 5), (6, 192, 4, 2, 5),
        (6, 320, 1, 1, 3),
    ]  # fmt: skip

    def block(before: int, channels: int, stride: int, expand: int, kernel: int) -> nn.Module:
        se = SqueezeExcite(before * expand, before // 4, F.silu, names=IN_SE)
        return InvertedResidual(before, channels, stride, expand, kernel, activation=F.silu, se=se)

    return Mobile(stages_of(shapes, 32, block), 32, 320, F.silu)


class ConvNeXt(nn.Module):
    def __init__(self, depths: Sequence[int] = (3, 3, 9, 3), widths: Sequence[int] = (96, 192, 384, 768)) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, widths[0], 4, 4), LayerNorm2d(widths[0]))
        self.stages, before = nn.Sequential(), widths[0]
        for depth, width in zip(depths, widths, strict=True):
            stage = nn.Sequential()
            if before != width:
                stage.add_module("downsample", nn.Sequential(LayerNorm2d(before), nn.Conv2d(before, width, 2, 2)))
            stage.add_module("blocks", nn.Sequential(*(ConvNeXtBlock(width) for _ in range(depth))))
            self.stages.append(stage)
            before = width
        self.head = nn.ModuleDict({"norm": nn.LayerNorm(before, 1e-6), "fc": nn.Linear(before, 1000)})

    def forward(self, image: Tensor) -> Tensor:
        x = self.stages(self.stem(image)).mean((2, 3))
        y: Tensor = self.head["fc"](self.head["norm"](x))
        return y


class Last(nn.Module):
    def __init__(self, before: int, channels: int) -> None:
        super().__init__()
        self.conv, self.bn1 = convolution(before, channels), norm(channels)

    def forward(self, x: Tensor) -> Tensor:
        return F.hardswish(self.bn1(self.conv(x)))


class MobileNetV3(nn.Module):
    """The large one. For each block its kernel, the channels of its expansion, its channels, those of its squeeze and
    excitation, whether it has `hardswish`, its stride."""

    SHAPES = (
        ((3, 16, 16, 0, False, 1),),
        ((3, 64, 24, 0, False, 2), (3, 72, 24, 0, False, 1)),
        ((5, 72, 40, 24, False, 2), (5, 120, 40, 32, False, 1), (5, 120, 40, 32, False, 1)),
        ((3, 240, 80, 0, True, 2), (3, 200, 80, 0, True, 1), (3, 184, 80, 0, True, 1),
         (3, 184, 80, 0, True, 1)),
        ((3, 480, 112, 120, True, 1), (3, 672, 112, 168, True, 1)),
        ((5, 672, 160, 168, True, 2), (5, 960, 160, 240, True, 1), (5, 960, 160, 240, True, 1)),
    )  # fmt: skip

    def __init__(self) -> None:
        super().__init__()
        self.conv_stem, self.bn1 = convolution(3, 16, 3, 2), norm(16)
        self.blocks, before = nn.Sequential(), 16
        for shapes in self.SHAPES:
            stage = nn.Sequential()
            for kernel, width, channels, squeezed, is_hard, stride in shapes:
                se = SqueezeExcite(width, squeezed, F.relu, F.hardsigmoid, IN_SE) if squeezed else None
                activation = F.hardswish if is_hard else F.relu
                stage.append(InvertedResidual(before, channels, stride, 1, kernel, width, activation, se))
                before = channels
            self.blocks.append(stage)
        self.blocks.append(nn.Sequential(Last(before, 960)))
        self.conv_head, self.classifier = nn.Conv2d(960, 1280, 1), nn.Linear(1280, 1000)

    def forward(self, image: Tensor) -> Tensor:
        x = self.blocks(F.hardswish(self.bn1(self.conv_stem(image))))
        y: Tensor = self.classifier(F.hardswish(self.conv_head(x.mean((2, 3), keepdim=True))).flatten(1))
        return y


class RegNet(nn.Module):
    """RegNetY-800MF."""

    def __init__(self, depths: Sequence[int] = (1, 3, 8, 2), widths: Sequence[int] = (64, 128, 320, 768)) -> None:
        super().__init__()
        self.stem, before = ConvNorm(3, 32, 3, 2), 32
        for i, (depth, width) in enumerate(zip(depths, widths, strict=True)):
            stage = nn.Sequential()
            for j in range(depth):
                se = SqueezeExcite(width, before // 4)
                stage.add_module(f"b{j + 1}", RegNetBlock(before, width, 1 if j else 2, 16, se))
                before = width
            self.add_module(f"s{i + 1}", stage)
        self.head = nn.ModuleDict({"fc": nn.Linear(before, 1000)})

    def forward(self, image: Tensor) -> Tensor:
        x = self.stem(image)
        for i in range(4):
            x = self.get_submodule(f"s{i + 1}")(x)
        y: Tensor = self.head["fc"](x.mean((2, 3)))
        return y


def random_statistics(module: nn.Module, seed: int = 0) -> None:
    """Random weights for what starts with fixed ones: normalizations with their running statistics, and scales."""
    generator = torch.Generator().manual_seed(seed)
    for name, value in module.state_dict().items():
        if value.ndim == 1 and value.is_floating_point():
            drawn = torch.rand(value.shape, generator=generator)
            value.copy_(drawn + 0.5 if name.endswith(("weight", "var", "gamma")) else drawn - 0.5)
