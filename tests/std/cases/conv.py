"""Convolutions."""

from __future__ import annotations

from torch import nn

from tests.std import twins
from tests.std.case import IMAGE, SIGNAL, VOLUME, Case, one

CASES = (
    Case("Conv1d(4)", lambda: nn.Conv1d(6, 4, 3), ("f32[n, 6, t]",), SIGNAL),
    Case(
        "Conv1d(4, kernel=5, stride=2, pad=3, dilation=2, groups=2, bias=false)",
        lambda: nn.Conv1d(6, 4, 5, 2, 3, 2, 2, bias=False),
        ("f32[n, 6, t]",),
        SIGNAL,
    ),
    Case(
        "Conv1d(4, kernel=3, pad=1)",
        lambda: nn.Conv1d(6, 4, 3, padding=1),
        ("f32[n, 6, t]",),
        one((1, 6, 1), (3, 6, 2)),
    ),
    Case("Conv1d(4, pad=[[4, 0]], dilation=2)", lambda: twins.Causal(6, 4, 3, dilation=2), ("f32[n, 6, t]",), SIGNAL),
    Case(
        'Conv1d(4, kernel=4, pad="same")',
        lambda: twins.Same(nn.Conv1d(6, 4, 4)),
        ("f32[n, 6, t]",),
        SIGNAL,
    ),
    Case("Conv2d(4, kernel=1)", lambda: nn.Conv2d(6, 4, 1), ("f32[n, 6, h, w]",), IMAGE),
    Case("Conv2d(4, kernel=3, pad=1)", lambda: nn.Conv2d(6, 4, 3, padding=1), ("f32[n, 6, h, w]",), IMAGE),
    Case(
        "Conv2d(4, kernel=[3, 2], stride=[2, 1], pad=[0, 2], dilation=[1, 2], groups=2, bias=false)",
        lambda: nn.Conv2d(6, 4, (3, 2), (2, 1), (0, 2), (1, 2), 2, bias=False),
        ("f32[n, 6, h, w]",),
        IMAGE,
    ),
    Case(
        "Conv2d(4, stride=2, pad=1)",
        lambda: nn.Conv2d(6, 4, 3, 2, 1),
        ("f32[n, 6, h, w]",),
        one((1, 6, 1, 1), (2, 6, 1, 4), (3, 6, 5, 1)),
    ),
    Case(
        'Conv2d(4, kernel=[4, 3], pad="same", dilation=[1, 2])',
        lambda: twins.Same(nn.Conv2d(6, 4, (4, 3), dilation=(1, 2))),
        ("f32[n, 6, h, w]",),
        IMAGE,
    ),
    Case(
        'Conv2d(4, kernel=[2, 5], stride=2, pad="same", bias=false)',
        lambda: twins.Same(nn.Conv2d(6, 4, (2, 5), 2, bias=False)),
        ("f32[n, 6, h, w]",),
        IMAGE,
    ),
    Case("Conv3d(3, kernel=[1, 3, 2])", lambda: nn.Conv3d(2, 3, (1, 3, 2)), ("f32[n, 2, d, h, w]",), VOLUME),
    Case(
        "Conv3d(4, stride=2, pad=1, groups=2)",
        lambda: nn.Conv3d(2, 4, 3, 2, 1, groups=2),
        ("f32[n, 2, d, h, w]",),
        VOLUME,
    ),
    Case(
        "Conv3d(3, stride=[2, 1, 3], pad=[1, 2, 3], dilation=[1, 2, 1], bias=false)",
        lambda: nn.Conv3d(2, 3, 3, (2, 1, 3), (1, 2, 3), (1, 2, 1), bias=False),
        ("f32[n, 2, d, h, w]",),
        one((1, 2, 1, 1, 1), (2, 2, 4, 3, 5)),
    ),
    Case(
        'Conv3d(3, kernel=2, stride=[1, 2, 1], pad="same")',
        lambda: twins.Same(nn.Conv3d(2, 3, 2, (1, 2, 1))),
        ("f32[n, 2, d, h, w]",),
        VOLUME,
    ),
    Case("DepthwiseConv2d(pad=1)", lambda: nn.Conv2d(6, 6, 3, padding=1, groups=6), ("f32[n, 6, h, w]",), IMAGE),
    Case(
        "DepthwiseConv2d(kernel=[2, 3], stride=2, multiplier=2, bias=false)",
        lambda: nn.Conv2d(6, 12, (2, 3), 2, groups=6, bias=False),
        ("f32[n, 6, h, w]",),
        IMAGE,
    ),
    Case(
        "DepthwiseConv2d(kernel=3, stride=2, pad=[1, 2], dilation=[1, 2])",
        lambda: nn.Conv2d(6, 6, 3, 2, (1, 2), (1, 2), 6),
        ("f32[n, 6, h, w]",),
        one((1, 6, 1, 1), (2, 6, 5, 4)),
    ),
    Case(
        'DepthwiseConv2d(kernel=3, stride=2, pad="same")',
        lambda: twins.Same(nn.Conv2d(6, 6, 3, 2, groups=6)),
        ("f32[n, 6, h, w]",),
        IMAGE,
    ),
    Case(
        'ConvTranspose2d(4, stride=2, pad="same")',
        lambda: twins.Same(nn.ConvTranspose2d(6, 4, 3, 2)),
        ("f32[n, 6, h, w]",),
        IMAGE,
    ),
    Case(
        "ConvTranspose1d(4, kernel=4, stride=2, pad=[[0, 2]])",
        lambda: twins.Same(nn.ConvTranspose1d(6, 4, 4, 2), cut=(0, 2)),
        ("f32[n, 6, t]",),
        SIGNAL,
    ),
    Case(
        'ConvTranspose1d(4, stride=3, dilation=2, pad="same")',
        lambda: twins.Same(nn.ConvTranspose1d(6, 4, 3, 3, dilation=2)),
        ("f32[n, 6, t]",),
        SIGNAL,
    ),
    Case("ConvTranspose1d(4)", lambda: nn.ConvTranspose1d(6, 4, 3), ("f32[n, 6, t]",), SIGNAL),
    Case(
        "ConvTranspose1d(4, kernel=4, stride=3, pad=1, output_pad=2, groups=2)",
        lambda: nn.ConvTranspose1d(6, 4, 4, 3, 1, 2, 2),
        ("f32[n, 6, t]",),
        SIGNAL,
    ),
    Case(
        "ConvTranspose1d(4, kernel=4, stride=2, pad=1, dilation=2, bias=false)",
        lambda: nn.ConvTranspose1d(6, 4, 4, 2, 1, dilation=2, bias=False),
        ("f32[n, 6, t]",),
        one((1, 6, 1), (3, 6, 2)),
    ),
    Case(
        "ConvTranspose2d(4, stride=2, pad=[0, 1])",
        lambda: nn.ConvTranspose2d(6, 4, 3, 2, (0, 1)),
        ("f32[n, 6, h, w]",),
        one((1, 6, 1, 1), (2, 6, 1, 4), (3, 6, 5, 1)),
    ),
    Case(
        "ConvTranspose2d(4, kernel=4, stride=2, pad=1)",
        lambda: nn.ConvTranspose2d(6, 4, 4, 2, 1),
        ("f32[n, 6, h, w]",),
        IMAGE,
    ),
    Case(
        "ConvTranspose2d(4, kernel=[3, 2], stride=[2, 3], output_pad=[1, 0], dilation=[1, 2], groups=2, bias=false)",
        lambda: nn.ConvTranspose2d(6, 4, (3, 2), (2, 3), 0, (1, 0), 2, False, (1, 2)),
        ("f32[n, 6, h, w]",),
        IMAGE,
    ),
)
