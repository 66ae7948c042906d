"""Normalizations."""

from __future__ import annotations

from torch import nn

from references.vision.blocks import LayerNorm2d
from tests.std import twins
from tests.std.case import IMAGE, ROWS, SEQUENCE, SIGNAL, VOLUME, Case, one

CASES = (
    Case("LayerNorm()", lambda: nn.LayerNorm(6), ("f32[n, t, 6]",), SEQUENCE),
    Case("LayerNorm(eps=0.1, bias=false)", lambda: nn.LayerNorm(6, 0.1, bias=False), ("f32[n, t, 6]",), SEQUENCE),
    Case("RMSNorm(eps=0.01)", lambda: nn.RMSNorm(6, 0.01), ("f32[n, t, 6]",), SEQUENCE),
    Case("LayerNorm2d()", lambda: LayerNorm2d(6), ("f32[n, 6, h, w]",), IMAGE),
    Case("LayerNorm2d(eps=0.1)", lambda: LayerNorm2d(6, 0.1), ("f32[n, 6, h, w]",), one((1, 6, 1, 1), (3, 6, 1, 4))),
    Case("BatchNorm()", lambda: nn.BatchNorm1d(3), ("f32[n, 3]",), ROWS),
    Case("BatchNorm(eps=0.1)", lambda: nn.BatchNorm1d(6, 0.1), ("f32[n, 6, t]",), SIGNAL),
    Case("BatchNorm()", lambda: nn.BatchNorm2d(6), ("f32[n, 6, h, w]",), IMAGE),
    Case("BatchNorm()", lambda: nn.BatchNorm3d(2), ("f32[n, 2, d, h, w]",), VOLUME),
    Case(
        "BatchNorm(momentum=0.5)", lambda: nn.BatchNorm1d(6, momentum=0.5), ("f32[n, 6, t]",), one((1, 6, 1), (3, 6, 1))
    ),
    Case("GroupNorm(3)", lambda: nn.GroupNorm(3, 6), ("f32[n, 6, h, w]",), IMAGE),
    Case("GroupNorm(1, eps=0.1)", lambda: nn.GroupNorm(1, 6, 0.1), ("f32[n, 6, t]",), SIGNAL),
    Case("GroupNorm(6)", lambda: nn.GroupNorm(6, 6), ("f32[n, 6, t]",), SIGNAL),
    Case("GroupNorm(2)", lambda: nn.GroupNorm(2, 6), ("f32[n, 6, h, w]",), one((1, 6, 1, 1), (3, 6, 1, 4))),
    Case("InstanceNorm()", lambda: nn.InstanceNorm1d(6, affine=True), ("f32[n, 6, t]",), SIGNAL),
    Case("InstanceNorm(eps=0.1)", lambda: nn.InstanceNorm2d(6, 0.1, affine=True), ("f32[n, 6, h, w]",), IMAGE),
    Case("InstanceNorm()", lambda: nn.InstanceNorm3d(2, affine=True), ("f32[n, 2, d, h, w]",), VOLUME),
    # of one number each, which PyTorch's refuses
    Case("InstanceNorm()", lambda: twins.Alone(6), ("f32[n, 6, h, w]",), one((1, 6, 1, 1), (3, 6, 1, 1))),
)
