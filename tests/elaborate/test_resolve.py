"""Names: what follows from an earlier mistake is not said again."""

from __future__ import annotations

import wsdl

BROKEN_BLOCK = """\
block Half(x: [n, d]) -> [n, d] {
    return 0.5 * x
}

model m(x: f32[n, 4]) -> (y: f32[n, 4]) {
    return x |> Half()
}
"""
BROKEN_STATEMENT = """\
model m(x: f32[n, 4]) -> (y: f32[n, 4]) {
    layer a = Dense 4
    layer b = Dense(4)
    share { a.weight, b.weight }
    return x |> a |> b
}
"""


def test_what_was_not_understood_is_not_missed_as_well() -> None:
    for text in (BROKEN_BLOCK, BROKEN_STATEMENT):
        assert [d.code[:3] for d in wsdl.check(text)] == ["E01"], [d.message for d in wsdl.check(text)]
