"""Results with names: of blocks and models, declared or only returned, unpacked in order or by name."""

from __future__ import annotations

import numpy as np
import pytest

import wsdl

BLOCKS = """\
block Declared()(x: [n]) -> (minus: [n], twice: [n]) { return twice=2 * x, minus=-x }
block Returned()(x: [n]) { return minus=-x, twice=2 * x }
block InOrder()(x: [n]) -> (minus: [n], twice: [n]) { return -x, 2 * x }
block PassedOn()(x: [n]) { return Declared()(x) }
"""
TRAIN = """\
model pair(x: f32[n, 2]) { return a=x |> Dense(2), b=-x }
model other(x: f32[n, 2]) -> (y: f32[n, 2]) { return x |> Dense(2) }
train other(t: f32[n, 2]) {
    r = pair(y)
    loss mse(y, r.b) + mse(r.a, t)
    optimizer SGD(lr=0.1)
}
train pair(t: f32[n, 2]) {
    loss mse(a, b)
    optimizer SGD(lr=0.1)
}
"""


@pytest.mark.parametrize("block", ["Declared", "Returned", "InOrder", "PassedOn"])
@pytest.mark.parametrize(
    "body",
    ["r = f(x)\n    return y=r.minus, z=r.twice", "a, b = f(x)\n    return z=b, y=a", "return y=f(x)[0], z=f(x)[1]"],
)
@pytest.mark.parametrize("results", ["", " -> (y: f32[n], z: f32[n])"])
def test_results_arrive_under_their_names(block: str, body: str, results: str) -> None:
    program = f"{BLOCKS}model m(x: f32[n]){results} {{\n    layer f = {block}()\n    {body}\n}}\n"
    outputs = wsdl.compile(program).session()(x=np.array([1, 3], np.float32))
    assert {name: value.tolist() for name, value in outputs.items()} == {"y": [-1, -3], "z": [2, 6]}


def test_names_of_results_in_trainings() -> None:
    assert [d.code for d in wsdl.check(TRAIN)] == []


def test_results_without_names_keep_theirs() -> None:
    compiled = wsdl.compile("model m(x: f32[n]) { return x, -x }\n")
    assert list(compiled.models["m"].outputs) == ["output", "output_2"]
