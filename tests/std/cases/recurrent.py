"""Recurrent layers."""

from __future__ import annotations

from functools import partial

from torch import nn

from tests.std.case import SEQUENCE, Case
from tests.std.names import both_ways, cell, directions, first, levels

CASES = (
    Case("RNNCell(4)", lambda: nn.RNNCell(3, 4), ("f32[n, 3]", "f32[n, 4]"), (((1, 3), (1, 4)), ((5, 3), (5, 4)))),
    Case("GRUCell(4)", lambda: nn.GRUCell(3, 4), ("f32[n, 3]", "f32[n, 4]"), (((1, 3), (1, 4)), ((5, 3), (5, 4)))),
    Case(
        "LSTMCell(4)",
        lambda: nn.LSTMCell(3, 4),
        ("f32[n, 3]", "f32[n, 4]", "f32[n, 4]"),
        (((1, 3), (1, 4), (1, 4)), ((5, 3), (5, 4), (5, 4))),
        call=lambda module, x, h, c: module(x, (h, c)),
    ),
    *(
        Case(
            f"{kind.__name__}(4{', reverse=true' if reverse else ''})",
            partial(kind, 6, 4, batch_first=True),
            ("f32[n, t, 6]",),
            SEQUENCE,
            rename=cell,
            call=(lambda module, x: module(x.flip(1))[0].flip(1)) if reverse else first,
        )
        for kind in (nn.RNN, nn.GRU, nn.LSTM)
        for reverse in (False, True)
    ),
    Case(
        "Bidirectional(GRU(4), GRU(4, reverse=true))",
        lambda: nn.GRU(6, 4, batch_first=True, bidirectional=True),
        ("f32[n, t, 6]",),
        SEQUENCE,
        rename=directions,
        call=first,
    ),
    Case(
        "Bidirectional(LSTM(4), LSTM(4, reverse=true))",
        lambda: nn.LSTM(6, 4, batch_first=True, bidirectional=True),
        ("f32[n, t, 6]",),
        SEQUENCE,
        rename=directions,
        call=first,
    ),
    *(
        Case(
            f"{kind.__name__}(4, layers={depth}, bidirectional=true, dropout=0.3)",
            partial(kind, 6, 4, depth, batch_first=True, bidirectional=True),
            ("f32[n, t, 6]",),
            SEQUENCE,
            both_ways,
            first,
        )
        for kind in (nn.RNN, nn.GRU, nn.LSTM)
        for depth in (1, 2)
    ),
    *(
        Case(
            f"{kind.__name__}(4, layers=3{', reverse=true' if reverse else ''})",
            partial(kind, 6, 4, 3, batch_first=True),
            ("f32[n, t, 6]",),
            SEQUENCE,
            levels,
            call=(lambda module, x: module(x.flip(1))[0].flip(1)) if reverse else first,
        )
        for kind in (nn.RNN, nn.GRU, nn.LSTM)
        for reverse in (False, True)
    ),
)
