"""Which axis a `scan` goes along, where two have one size."""

from __future__ import annotations

import numpy as np
import pytest

import wsdl
from wsdl.diagnostics import CompileError
from wsdl.diagnostics.span import Source

BLOCK = """
block Sum()(x: [{dims}]) {{
    {first}
    scan step in x along t with total = zeros([n, 3]) {{
        total = 2 * total + step
    }}
    return total
}}

model m(x: f32[n, {sizes}]) -> (y: f32[n, 3]) {{
    return x |> Sum()
}}
"""
MODEL = """
model m(x: f32[n, t, 3]) -> (y: f32[n, 3]) {
    scan step in x along t with total = zeros([n, 3]) {
        total = 2 * total + step
    }
    return total
}
"""
PROGRAMS = {
    "a block": (BLOCK.format(dims="n, t, d", sizes="3, 3", first=""), {}),
    "with dots": (BLOCK.format(dims="..., t, d", sizes="3, 3", first="let n = 2"), {"n": 2}),
    "a size given when compiling": (MODEL, {"t": 3}),
    "as many rows as steps": (MODEL, {"t": 3, "n": 3}),
}


def program(text: str, dims: dict[str, int]) -> wsdl.Program:
    return wsdl.compile(Source("m.wsd", text), dims=dims)


@pytest.mark.parametrize("case", PROGRAMS)
def test_the_one_that_is_declared_so(case: str) -> None:
    text, dims = PROGRAMS[case]
    x = np.random.default_rng(0).normal(size=(dims.get("n", 4), 3, 3)).astype(np.float32)
    found = program(text, dims).session()(x=x)["y"]
    np.testing.assert_allclose(found, 4 * x[:, 0] + 2 * x[:, 1] + x[:, 2], rtol=1e-6, atol=1e-6)


def test_of_another_tensor_it_can_not_be_told() -> None:
    with pytest.raises(CompileError) as caught:
        program(BLOCK.format(dims="n, t, d", sizes="3, 3", first="x = x.permute(0, 2, 1)"), {})
    assert [d.code for d in caught.value.diagnostics] == ["E0412"]


@pytest.mark.parametrize("layer", ["RNN(3)", "GRU(3, reverse=true)", "LSTM(3, bidirectional=true)", "GRU(3, layers=2)"])
def test_recurrent_layers_over_as_many_steps_as_features(layer: str) -> None:
    units = 6 if "bidirectional" in layer else 3
    text = f"model m(x: f32[n, t, 3]) -> (y: f32[n, t, {units}]) {{\n    return x |> {layer}\n}}\n"
    x = np.random.default_rng(0).normal(size=(3, 3, 3)).astype(np.float32)
    free = program(text, {}).session()(x=x)["y"]
    np.testing.assert_allclose(program(text, {"n": 3, "t": 3}).session()(x=x)["y"], free, rtol=1e-5, atol=1e-6)
