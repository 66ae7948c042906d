"""Affine maps and what is made around layers."""

from __future__ import annotations

from functools import partial

from torch import nn

from tests.std import twins
from tests.std.case import ROWS, SEQUENCE, Case, one
from tests.std.names import items

CASES = (
    Case("Dense(5)", lambda: nn.Linear(3, 5), ("f32[n, 3]",), ROWS),
    Case("Dense(5, bias=false)", lambda: nn.Linear(3, 5, bias=False), ("f32[n, 3]",), ROWS),
    Case("Dense(1)", lambda: nn.Linear(6, 1), ("f32[n, t, 6]",), SEQUENCE),
    Case("Residual(Dense(3))", lambda: twins.Around(nn.Linear(3, 3)), ("f32[n, 3]",), ROWS),
    Case("Residual(Residual(Dense(3)))", lambda: twins.Around(twins.Around(nn.Linear(3, 3))), ("f32[n, 3]",), ROWS),
    *(
        Case(
            f"Bilinear(4{'' if bias else ', bias=false'})",
            partial(nn.Bilinear, 3, 5, 4, bias=bias),
            ("f32[n, 3]", "f32[n, 5]"),
            (((1, 3), (1, 5)), ((7, 3), (7, 5))),
        )
        for bias in (True, False)
    ),
    Case(
        "Bilinear(2)",
        lambda: nn.Bilinear(6, 3, 2),
        ("f32[n, t, 6]", "f32[n, t, 3]"),
        (((1, 1, 6), (1, 1, 3)), ((2, 7, 6), (2, 7, 3))),
    ),
    Case("Sequential([Dense(4)])", lambda: nn.Sequential(nn.Linear(3, 4)), ("f32[n, 3]",), ROWS, items),
    Case(
        "Sequential([Dense(5), leaky_relu(0.1), LayerNorm(), clip(-0.5, max=0.6), Dense(2)])",
        lambda: nn.Sequential(
            nn.Linear(3, 5), nn.LeakyReLU(0.1), nn.LayerNorm(5), nn.Hardtanh(-0.5, 0.6), nn.Linear(5, 2)
        ),
        ("f32[n, 3]",),
        ROWS,
        items,
    ),
    Case(
        "Sequential([Embedding(11, 4), tanh, Dense(2)])",
        lambda: nn.Sequential(nn.Embedding(11, 4), nn.Tanh(), nn.Linear(4, 2)),
        ("i64[n, t]",),
        one((1, 1), (3, 5)),
        items,
    ),
    Case(
        "Sequential([Conv2d(4, stride=2, pad=1), Sequential([relu, Conv2d(3, kernel=1)]), flatten])",
        lambda: nn.Sequential(nn.Conv2d(6, 4, 3, 2, 1), nn.Sequential(nn.ReLU(), nn.Conv2d(4, 3, 1)), nn.Flatten()),
        ("f32[n, 6, 9, 9]",),
        one((1, 6, 9, 9), (2, 6, 9, 9)),
        lambda name: items(name).replace("layers.1.", "layers.1.layers."),
    ),
)
