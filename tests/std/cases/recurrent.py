"""Recurrent layers."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from torch import nn

from tests.std.case import SEQUENCE, Case
from tests.std.names import both_ways, cell, directions, first, levels, packed

# on sequences of unequal length, from given states and to the last ones: layer, twin, states of a kind, kinds, names
PACKED: tuple[tuple[str, Callable[[], nn.Module], int, int, Callable[[str], str]], ...] = (
    *(
        (f"{kind.__name__}(4, layers={depth}, bidirectional={str(two).lower()}, last=true)",
         partial(kind, 6, 4, depth, batch_first=True, bidirectional=two),
         depth * (2 if two else 1), 2 if kind is nn.LSTM else 1, both_ways if two else levels if depth > 1 else cell)
        for kind in (nn.RNN, nn.GRU, nn.LSTM)
        for depth, two in ((1, False), (3, False), (2, True))
    ),
    *(
        (f"Bidirectional({kind.__name__}(4, last=true), {kind.__name__}(4, reverse=true, last=true), last={states})",
         partial(kind, 6, 4, batch_first=True, bidirectional=True), 2, states, directions)
        for kind, states in ((nn.GRU, 1), (nn.LSTM, 2))
    ),
    ("Bidirectional(GRU(4), GRU(4, reverse=true))", partial(nn.GRU, 6, 4, batch_first=True, bidirectional=True),
     2, 0, directions),
)  # fmt: skip

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
    *(
        Case(
            layer,
            twin,
            ("f32[n, t, 6]", "bool[n, t]", *[f"f32[{count}, n, 4]"] * states),
            tuple(((n, t, 6), (n, t), *[(count, n, 4)] * states) for n, t in ((1, 1), (3, 5), (4, 9))),
            rename,
            call=packed if states else lambda module, x, mask: packed(module, x, mask)[:1],
        )
        for layer, twin, count, states, rename in PACKED
    ),
)
