"""Blocks of image models."""

from __future__ import annotations

import torch
from torch.nn import functional as F

from references.examples import images
from tests.std import twins
from tests.std.case import IMAGE, Case, one
from tests.std.names import inverted, inverted_once

POINTS = one((1, 6, 1, 1), (2, 6, 1, 3))

CASES = (
    Case("ResNetBlock(6)", lambda: images.BasicBlock(6, 6), ("f32[n, 6, h, w]",), IMAGE),
    Case("ResNetBlock(4)", lambda: images.BasicBlock(6, 4), ("f32[n, 6, h, w]",), IMAGE),
    Case("ResNetBlock(6, stride=2)", lambda: images.BasicBlock(6, 6, 2), ("f32[n, 6, h, w]",), IMAGE),
    Case("ResNetBlock(4, stride=2)", lambda: images.BasicBlock(6, 4, 2), ("f32[n, 6, h, w]",), POINTS),
    Case("Bottleneck(8, stride=2, width=4)", lambda: twins.Bottleneck(6, 8, 4, 2), ("f32[n, 6, h, w]",), POINTS),
    Case("Bottleneck(6)", lambda: twins.Bottleneck(6, 6, 1), ("f32[n, 6, h, w]",), IMAGE),
    Case("Bottleneck(8, stride=2)", lambda: twins.Bottleneck(6, 8, 2, 2), ("f32[n, 6, h, w]",), IMAGE),
    Case(
        "Bottleneck(8, width=6, groups=3, dilation=2)",
        lambda: twins.Bottleneck(6, 8, 6, 1, 3, 2),
        ("f32[n, 6, h, w]",),
        IMAGE,
    ),
    Case("SqueezeExcite(2)", lambda: twins.SqueezeExcitation(6, 2), ("f32[n, 6, h, w]",), IMAGE),
    Case(
        "SqueezeExcite(3, silu, tanh)",
        lambda: twins.SqueezeExcitation(6, 3, F.silu, torch.tanh),
        ("f32[n, 6, h, w]",),
        one((1, 6, 1, 1), (3, 6, 5, 2)),
    ),
    Case("InvertedResidual(6)", lambda: twins.InvertedResidual(6, 6), ("f32[n, 6, h, w]",), POINTS, inverted),
    Case("InvertedResidual(6)", lambda: twins.InvertedResidual(6, 6), ("f32[n, 6, h, w]",), IMAGE, inverted),
    Case(
        "InvertedResidual(4, stride=2, expand=2, kernel=5)",
        lambda: twins.InvertedResidual(6, 4, 2, 2, 5),
        ("f32[n, 6, h, w]",),
        IMAGE,
        inverted,
    ),
    Case(
        "InvertedResidual(6, expand=1)",
        lambda: twins.InvertedResidual(6, 6, expand=1),
        ("f32[n, 6, h, w]",),
        IMAGE,
        inverted_once,
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
)
