"""Blocks of image models."""

from __future__ import annotations

from functools import partial
from typing import Any

import torch
from torch import nn
from torch.nn import functional as F

from references.vision import blocks
from tests.std import twins
from tests.std.case import IMAGE, SIGNAL, Case, one
from tests.std.names import in_mlp

POINTS = one((1, 6, 1, 1), (2, 6, 1, 3))
X = ("f32[n, 6, h, w]",)
NORMS: dict[str, Any] = {"eps": 0.1, "momentum": 0.3}
se = partial(blocks.SqueezeExcite, width=3)

CASES = (
    Case("PReLU()", nn.PReLU, ("f32[n, 6, t]",), SIGNAL),
    Case("PReLU(per_channel=true, init=0.5)", lambda: nn.PReLU(6, 0.5), X, IMAGE),
    Case("PReLU(per_channel=true)", lambda: nn.PReLU(6), ("f32[n, 6, t]",), one((1, 6, 1), (4, 6, 1))),
    Case("ConvNorm(4)", lambda: blocks.ConvNorm(6, 4), X, IMAGE),
    Case("ConvNorm(4, kernel=5, stride=2, activation=none)", lambda: blocks.ConvNorm(6, 4, 5, 2, None), X, IMAGE),
    Case('ConvNorm(4, pad="same")', lambda: blocks.ConvNorm(6, 4), X, POINTS),
    Case(
        "ConvNorm(4, stride=2, pad=[1, 0], dilation=2, groups=2, activation=silu, eps=0.1, momentum=0.3)",
        lambda: blocks.ConvNorm(6, 4, 3, 2, F.silu, padding=(1, 0), dilation=2, groups=2, **NORMS),
        X,
        IMAGE,
    ),
    Case("ResNetBlock(6)", lambda: blocks.BasicBlock(6, 6), X, IMAGE),
    Case("ResNetBlock(4)", lambda: blocks.BasicBlock(6, 4), X, IMAGE),
    Case("ResNetBlock(6, stride=2)", lambda: blocks.BasicBlock(6, 6, 2), X, IMAGE),
    Case("ResNetBlock(4, stride=2)", lambda: blocks.BasicBlock(6, 4, 2), X, POINTS),
    Case(
        "ResNetBlock(4, activation=silu, se=SqueezeExcite(3), drop_path=0.2, eps=0.1, momentum=0.3)",
        lambda: blocks.BasicBlock(6, 4, 1, F.silu, se(4), **NORMS),
        X,
        IMAGE,
    ),
    Case("Bottleneck(8, stride=2, width=4)", lambda: blocks.Bottleneck(6, 8, 4, 2), X, POINTS),
    Case("Bottleneck(6)", lambda: blocks.Bottleneck(6, 6, 1), X, IMAGE),
    Case("Bottleneck(8, stride=2)", lambda: blocks.Bottleneck(6, 8, 2, 2), X, IMAGE),
    Case("Bottleneck(8, width=6, groups=3, dilation=2)", lambda: blocks.Bottleneck(6, 8, 6, 1, 3, 2), X, IMAGE),
    Case(
        "Bottleneck(6, activation=silu, se=SqueezeExcite(3), drop_path=0.2, eps=0.1, momentum=0.3)",
        lambda: blocks.Bottleneck(6, 6, activation=F.silu, se=se(6), **NORMS),
        X,
        IMAGE,
    ),
    Case("RegNetBlock(6, group_width=2)", lambda: blocks.RegNetBlock(6, 6, group_width=2), X, IMAGE),
    Case("RegNetBlock(16, stride=2)", lambda: blocks.RegNetBlock(6, 16, 2), X, POINTS),
    Case(
        "RegNetBlock(4, group_width=4, se=SqueezeExcite(3), activation=silu, drop_path=0.2, eps=0.1, momentum=0.3)",
        lambda: blocks.RegNetBlock(6, 4, 1, 4, se(4), F.silu, **NORMS),
        X,
        IMAGE,
    ),
    Case("SqueezeExcite(2)", lambda: blocks.SqueezeExcite(6, 2), X, IMAGE),
    Case(
        "SqueezeExcite(3, silu, tanh)",
        lambda: blocks.SqueezeExcite(6, 3, F.silu, torch.tanh),
        X,
        one((1, 6, 1, 1), (3, 6, 5, 2)),
    ),
    Case("InvertedResidual(6)", lambda: blocks.InvertedResidual(6, 6), X, POINTS),
    Case("InvertedResidual(6)", lambda: blocks.InvertedResidual(6, 6), X, IMAGE),
    Case(
        "InvertedResidual(4, stride=2, expand=2, kernel=5)",
        lambda: blocks.InvertedResidual(6, 4, 2, 2, 5),
        X,
        IMAGE,
    ),
    Case("InvertedResidual(6, expand=1)", lambda: blocks.InvertedResidual(6, 6, expand=1), X, IMAGE),
    Case(
        "InvertedResidual(4, expand=1, se=SqueezeExcite(3))",
        lambda: blocks.InvertedResidual(6, 4, expand=1, se=se(6)),
        X,
        IMAGE,
    ),
    Case(
        "InvertedResidual(6, width=8, activation=hardswish, se=SqueezeExcite(3, gate=hardsigmoid), "
        "drop_path=0.2, eps=0.1, momentum=0.3)",
        lambda: blocks.InvertedResidual(6, 6, width=8, activation=F.hardswish, se=se(8, gate=F.hardsigmoid), **NORMS),
        X,
        IMAGE,
    ),
    Case(
        'InvertedResidual(4, stride=2, expand=2, pad="same")',
        lambda: twins.padded_alike(blocks.InvertedResidual(6, 4, 2, 2)),
        X,
        IMAGE,
    ),
    Case(
        "InvertedResidual(4, stride=2, expand=2, pad=[1, 0])",
        lambda: blocks.InvertedResidual(6, 4, 2, 2, padding=(1, 0)),
        X,
        IMAGE,
    ),
    Case("ConvNeXtBlock(scale=0.5)", lambda: blocks.ConvNeXtBlock(6, scale=0.5), X, IMAGE, in_mlp),
    Case(
        "ConvNeXtBlock(expand=2, kernel=3, activation=relu, drop_path=0.2, eps=0.1)",
        lambda: blocks.ConvNeXtBlock(6, 2, 3, F.relu, eps=0.1),
        X,
        POINTS,
        in_mlp,
    ),
    Case(
        "FeaturePyramid(4)",
        lambda: twins.FeaturePyramid([3, 5], 4),
        ("f32[n, 3, h, w]", "f32[n, 5, h // 2, w // 2]"),
        (((1, 3, 4, 6), (1, 5, 2, 3)), ((2, 3, 9, 7), (2, 5, 4, 3))),
    ),
    Case(
        "FeaturePyramid(4)",
        lambda: twins.FeaturePyramid([3, 5, 2], 4),
        ("f32[n, 3, a, b]", "f32[n, 5, c, d]", "f32[n, 2, e, f]"),
        (
            ((1, 3, 8, 4), (1, 5, 4, 2), (1, 2, 2, 1)),
            ((1, 3, 1, 1), (1, 5, 1, 1), (1, 2, 1, 1)),
            ((2, 3, 17, 21), (2, 5, 9, 11), (2, 2, 4, 5)),
        ),
    ),
    Case(
        "FeaturePyramid(3)",
        lambda: twins.FeaturePyramid([1, 2, 3, 4, 5], 3),
        tuple(f"f32[n, {i + 1}, {16 >> i}, {16 >> i}]" for i in range(5)),
        tuple(tuple((n, i + 1, 16 >> i, 16 >> i) for i in range(5)) for n in (1, 2)),
    ),
    Case(
        "Detections(iou=0.3, score=0.1, most=4)",
        lambda: twins.Detections(0.3, 0.1, 4),
        ("f32[n, t, 4]", "f32[n, t, 3]"),
        (((1, 1, 4), (1, 1, 3)), ((3, 12, 4), (3, 12, 3))),
    ),
    Case("Detections()", twins.Detections, ("f32[n, t, 4]", "f32[n, t, 2]"), (((2, 7, 4), (2, 7, 2)),)),
)
