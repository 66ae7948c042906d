"""Layers whose weights are chosen by the input."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from torch import nn

from tests.std import twins
from tests.std.case import SEQUENCE, Case, one

ROWS = one((1, 6), (23, 6))
BALANCE = "weight balance = 0"  # not in the results, which the gradients are of


def switch(count: int, build: Callable[[], nn.Module], **options: object) -> twins.Switch:
    return twins.Switch(*(build() for _ in range(count)), d=6, **options)  # type: ignore[arg-type]  # as the twin's


def in_list(name: str) -> str:
    """The layers of a list that is written where a block is configured."""
    return name.replace("experts.", "bank.")


def dense() -> nn.Module:
    return nn.Linear(6, 5)


CASES = (
    Case("Mixture(Dense(5), bank=3)", lambda: twins.Mixture(*(dense() for _ in range(3)), d=6), ("f32[n, 6]",), ROWS),
    Case(
        "Mixture(bank=[Dense(6), Residual(Dense(6))])",
        lambda: twins.Mixture(nn.Linear(6, 6), twins.Around(nn.Linear(6, 6)), d=6),
        ("f32[n, t, 6]",),
        SEQUENCE,
        in_list,
    ),
    Case("Switch(Dense(5), bank=4)", partial(switch, 4, dense), ("f32[n, 6]",), ROWS, training=BALANCE),
    Case(
        "Switch(Dense(5), bank=4, k=2)", partial(switch, 4, dense, k=2), ("f32[n, t, 6]",), SEQUENCE, training=BALANCE
    ),
    Case(
        "Switch(bank=[Dense(6), Residual(Dense(6)), Residual(Dense(6))])",
        lambda: twins.Switch(nn.Linear(6, 6), twins.Around(nn.Linear(6, 6)), twins.Around(nn.Linear(6, 6)), d=6),
        ("f32[n, 6]",),
        ROWS,
        in_list,
        training=BALANCE,
    ),
    Case(
        "Switch(Dense(5), bank=3, k=2, capacity=0.5, shared=[Dense(5)])",
        lambda: switch(3, dense, k=2, capacity=0.5, shared=(dense(),)),
        ("f32[n, t, 6]",),
        SEQUENCE,
        training=BALANCE,
    ),
    Case(
        'DynamicConv2d(4, kernel=3, pad="same", bank=3)',
        lambda: twins.DynamicConv2d(6, 4, (3, 3), 3, padding=1),
        ("f32[b, 6, h, w]",),
        one((1, 6, 5, 5), (4, 6, 7, 4)),
    ),
    Case(
        "DynamicConv2d(4, kernel=2, stride=2, dilation=2, groups=2, bank=2)",
        lambda: twins.DynamicConv2d(6, 4, (2, 2), 2, stride=2, dilation=2, groups=2),
        ("f32[b, 6, 9, 8]",),
        one((3, 6, 9, 8)),
    ),
    Case(
        "DynamicConv2d(4, kernel=[3, 2], stride=2, pad=[1, 0], bias=false)",
        lambda: twins.DynamicConv2d(6, 4, (3, 2), 4, bias=False, stride=2, padding=(1, 0)),
        ("f32[b, 6, h, w]",),
        one((2, 6, 1, 2), (1, 6, 8, 5)),
    ),
    Case(
        "DynamicConv2d(3, kernel=1)",
        lambda: twins.DynamicConv2d(6, 3, (1, 1), 4),
        ("f32[2, 6, h, w]",),
        one((2, 6, 1, 1)),
    ),
)
