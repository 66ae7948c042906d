"""The blocks of networks for images, under the names of timm's weights."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

import torch
from torch import Tensor, nn
from torch.nn import functional as F

Activation: TypeAlias = Callable[[Tensor], Tensor]
Part: TypeAlias = "nn.Module | None"


def norm(channels: int, eps: float = 1e-5, momentum: float = 0.1) -> nn.BatchNorm2d:
    return nn.BatchNorm2d(channels, eps, momentum)


def convolution(before: int, channels: int, kernel: int = 1, stride: int = 1, **options: Any) -> nn.Conv2d:
    """Without a bias, keeping the size, divided by the stride."""
    pad = (kernel - 1) // 2 * options.get("dilation", 1)
    return nn.Conv2d(before, channels, kernel, stride, options.pop("padding", pad), bias=False, **options)


class ConvNorm(nn.Module):
    def __init__(
        self,
        before: int,
        channels: int,
        kernel: int = 3,
        stride: int = 1,
        activation: Activation | None = F.relu,
        eps: float = 1e-5,
        momentum: float = 0.1,
        **options: Any,
    ) -> None:
        super().__init__()
        self.conv = convolution(before, channels, kernel, stride, **options)
        self.bn = norm(channels, eps, momentum)
        self.activation = activation

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.bn(self.conv(x))
        return y if self.activation is None else self.activation(y)


class _Around(nn.Module):
    """Base of blocks with a residual connection, which has a convolution if the shape changes."""

    def __init__(self, before: int, channels: int, stride: int, activation: Activation, se: Part, **norms: Any) -> None:
        super().__init__()
        self.activation, self.se = activation, se or nn.Sequential()
        self.downsample = nn.Sequential()
        if stride != 1 or before != channels:
            self.downsample = nn.Sequential(convolution(before, channels, 1, stride), norm(channels, **norms))


class BasicBlock(_Around):
    def __init__(
        self,
        before: int,
        channels: int,
        stride: int = 1,
        activation: Activation = F.relu,
        se: Part = None,
        **norms: Any,
    ) -> None:
        super().__init__(before, channels, stride, activation, se, **norms)
        self.conv1, self.bn1 = convolution(before, channels, 3, stride), norm(channels, **norms)
        self.conv2, self.bn2 = convolution(channels, channels, 3), norm(channels, **norms)

    def forward(self, x: Tensor) -> Tensor:
        y = self.bn2(self.conv2(self.activation(self.bn1(self.conv1(x)))))
        return self.activation(self.se(y) + self.downsample(x))


class Bottleneck(_Around):
    def __init__(
        self,
        before: int,
        channels: int,
        width: int | None = None,
        stride: int = 1,
        groups: int = 1,
        dilation: int = 1,
        activation: Activation = F.relu,
        se: Part = None,
        **norms: Any,
    ) -> None:
        super().__init__(before, channels, stride, activation, se, **norms)
        width = width or channels // 4
        self.conv1, self.bn1 = convolution(before, width), norm(width, **norms)
        self.conv2 = convolution(width, width, 3, stride, groups=groups, dilation=dilation)
        self.bn2 = norm(width, **norms)
        self.conv3, self.bn3 = convolution(width, channels), norm(channels, **norms)

    def forward(self, x: Tensor) -> Tensor:
        y = self.activation(self.bn1(self.conv1(x)))
        y = self.activation(self.bn2(self.conv2(y)))
        return self.activation(self.se(self.bn3(self.conv3(y))) + self.downsample(x))


class RegNetBlock(nn.Module):
    def __init__(
        self,
        before: int,
        channels: int,
        stride: int = 1,
        group_width: int = 16,
        se: Part = None,
        activation: Activation = F.relu,
        **norms: Any,
    ) -> None:
        super().__init__()
        self.activation, self.se = activation, se or nn.Sequential()
        groups = channels // group_width
        self.conv1 = ConvNorm(before, channels, 1, 1, activation, **norms)
        self.conv2 = ConvNorm(channels, channels, 3, stride, activation, groups=groups, **norms)
        self.conv3 = ConvNorm(channels, channels, 1, 1, None, **norms)
        is_same = stride == 1 and before == channels
        self.downsample = nn.Sequential() if is_same else ConvNorm(before, channels, 1, stride, None, **norms)

    def forward(self, x: Tensor) -> Tensor:
        return self.activation(self.conv3(self.se(self.conv2(self.conv1(x)))) + self.downsample(x))


class SqueezeExcite(nn.Module):
    """`names` are those of the two convolutions."""

    def __init__(
        self,
        channels: int,
        width: int,
        activation: Activation = F.relu,
        gate: Activation = torch.sigmoid,
        names: tuple[str, str] = ("fc1", "fc2"),
    ) -> None:
        super().__init__()
        for name, sizes in zip(names, ((channels, width), (width, channels)), strict=True):
            self.add_module(name, nn.Conv2d(*sizes, 1))
        self.activation, self.gate, self.names = activation, gate, names

    def forward(self, x: Tensor) -> Tensor:
        first, second = (self.get_submodule(name) for name in self.names)
        return x * self.gate(second(self.activation(first(x.mean((2, 3), keepdim=True)))))


class InvertedResidual(nn.Module):
    def __init__(
        self,
        before: int,
        channels: int,
        stride: int = 1,
        expand: int = 6,
        kernel: int = 3,
        width: int | None = None,
        activation: Activation = F.relu6,
        se: Part = None,
        padding: tuple[int, int] | None = None,
        **norms: Any,
    ) -> None:
        super().__init__()
        width = width or before * expand
        self.activation, self.se = activation, se or nn.Sequential()
        self.is_around, self.expands = stride == 1 and before == channels, width != before
        self.bn1, self.bn2 = norm(width, **norms), norm(width if self.expands else channels, **norms)
        pad = {} if padding is None else {"padding": padding}
        self.conv_dw = convolution(width, width, kernel, stride, groups=width, **pad)
        self.conv_pw = convolution(before, width if self.expands else channels)
        if self.expands:
            self.conv_pwl, self.bn3 = convolution(width, channels), norm(channels, **norms)

    def forward(self, x: Tensor) -> Tensor:
        if self.expands:
            y = self.activation(self.bn1(self.conv_pw(x)))
            y = self.activation(self.bn2(self.conv_dw(y)))
            y = self.bn3(self.conv_pwl(self.se(y)))
        else:
            y = self.bn2(self.conv_pw(self.se(self.activation(self.bn1(self.conv_dw(x))))))
        return x + y if self.is_around else y


class LayerNorm2d(nn.LayerNorm):
    """Of the channels at each place."""

    def __init__(self, channels: int, eps: float = 1e-6) -> None:
        super().__init__(channels, eps)

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)


class Mlp(nn.Module):
    def __init__(self, d: int, width: int, activation: Activation) -> None:
        super().__init__()
        self.fc1, self.fc2, self.activation = nn.Linear(d, width), nn.Linear(width, d), activation

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.fc2(self.activation(self.fc1(x)))
        return y


class ConvNeXtBlock(nn.Module):
    def __init__(
        self,
        channels: int,
        expand: int = 4,
        kernel: int = 7,
        activation: Activation = F.gelu,
        scale: float = 1e-6,
        eps: float = 1e-6,
    ) -> None:
        super().__init__()
        self.gamma = nn.Parameter(scale * torch.ones(channels))
        self.conv_dw = nn.Conv2d(channels, channels, kernel, padding=kernel // 2, groups=channels)
        self.norm = nn.LayerNorm(channels, eps)
        self.mlp = Mlp(channels, expand * channels, activation)

    def forward(self, x: Tensor) -> Tensor:
        y = self.mlp(self.norm(self.conv_dw(x).permute(0, 2, 3, 1)))
        return x + (self.gamma * y).permute(0, 3, 1, 2)
