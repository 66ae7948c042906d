"""Tables, places, and what acts in training alone."""

from __future__ import annotations

from torch import nn

from tests.std import twins
from tests.std.case import ROWS, SEQUENCE, Case, one

CASES = (
    Case("Dropout(0.3)", lambda: nn.Dropout(0.3), ("f32[n, 3]",), ROWS),
    Case("Dropout(0.3, axis=0)", lambda: nn.Dropout1d(0.3), ("f32[n, 3]",), ROWS),
    # embeddings
    Case("Embedding(11, 4)", lambda: nn.Embedding(11, 4), ("i64[n, t]",), one((1, 1), (3, 5))),
    Case("Embedding(11, 4)", lambda: nn.Embedding(11, 4), ("i64[n]",), one((1,), (6,))),
    Case("PositionalEncoding()", twins.Waves, ("f32[n, t, 6]",), SEQUENCE),
    Case("PositionalEncoding(base=50.0)", lambda: twins.Waves(50.0), ("f32[n, t, 6]",), SEQUENCE),
    Case("PositionalEncoding(interleaved=false, endpoint=true)", twins.WavesApart, ("f32[n, t, 6]",), SEQUENCE),
    Case(
        "PositionalEncoding(interleaved=false, endpoint=true)",
        twins.WavesApart,
        ("f32[n, t, 6]", "i64[n, t]"),
        (((1, 1, 6), (1, 1)), ((3, 5, 6), (3, 5))),
    ),
)
