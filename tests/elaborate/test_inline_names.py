"""Layers written inline have names of their own beside those that are declared, wherever these stand."""

from __future__ import annotations

import pytest

from tests.stages import storage_of

IN_A_BLOCK = """\
block Two()(x: [n, d]) -> [n, d] {
    layer dense = Dense(d, bias=false)
    return x |> dense |> Dense(d, bias=false)
}
model m(x: f32[n, 5]) -> (y: f32[n, 5]) {
    return Two()(x)
}
"""
IN_A_MODEL = """\
model m(x: f32[n, 5]) -> (y: f32[n, 5]) {
    h = x |> Dense(5, bias=false)
    layer dense = Dense(5, bias=false)
    return h |> dense |> Dense(5, bias=false)
}
"""
IN_A_FORMULA = """\
layer dense = Dense(4, bias=false)
param code: [5, 5] = normal
model m(x: f32[n, 5]) -> (y: f32[n, 4]) {
    layer f = Dense(5, bias=false)
    return x |> f |> dense
}
param m.f.weight = Dense(5, bias=false)(code)
"""


@pytest.mark.parametrize(
    ("program", "stored"),
    [
        (IN_A_BLOCK, ["m.two.dense.weight", "m.two.dense_2.weight"]),
        (IN_A_MODEL, ["m.dense_2.weight", "m.dense.weight", "m.dense_3.weight"]),
        (IN_A_FORMULA, ["code", "dense.weight", "dense_2.weight"]),
    ],
)
def test_each_layer_has_its_own_tensors(program: str, stored: list[str]) -> None:
    assert sorted(storage_of(program).stored) == sorted(stored)
