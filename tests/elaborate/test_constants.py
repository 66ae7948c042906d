"""Constants: functions of them, and whole numbers where an integer is required."""

from __future__ import annotations

import numpy as np
import pytest

import wsdl


@pytest.mark.parametrize(
    ("expression", "size"),
    [
        ("8 * 0.25", 2),
        ("floor(3.7)", 3),
        ("-floor(-3.2)", 4),
        ("round(2.5)", 2),
        ("round(3.5)", 4),
        ("ceil(2.1)", 3),
        ("abs(-3)", 3),
        ("sqrt(16)", 4),
        ("round(exp(log(5)))", 5),
        ("max(1, 2.5, 4)", 4),
        ("min([7, 2 ** 40])", 7),
        ("minimum(3, 9.0)", 3),
        ("max(d, 2)", 6),
        ("min(d / 2, 9)", 3),
        ("2.0", 2),
        ("[4.0, 5][0]", 4),
        ("[4, 5][0.5 * 2]", 5),
        ("(3.2 |> floor)", 3),
    ],
)
def test_a_whole_number_is_a_size(expression: str, size: int) -> None:
    """In a type, as a configuration with and without a default, as the length of an array and of a range."""
    program = f"""\
block Block(units: int, more: int = units * 1.0)(x: [n, d]) -> [n, {size}] {{
    param w: [{expression}, d] = ones
    layer f[{expression}] = Dense(more)
    x = x @ w.T
    for i in 0..{expression} {{ x = f[i](x) }}
    return x.reshape(n, {expression})
}}
let d = 6
model m(x: f32[n, d]) -> (y: f32[n, {expression}]) {{ return x |> Block({expression}) }}
"""
    [y] = wsdl.compile(program).models["m"].outputs.values()
    assert str(y) == f"f32[n, {size}]"


def test_constants_at_file_level_and_floats_that_stay() -> None:
    program = (
        "let a = sqrt(2)\nlet b = round(0.35 * 30)\nmodel m(x: f32[n]) -> (y: f32[n]) { return a * x + b + 2.0 }\n"
    )
    y = wsdl.compile(program).session()(x=np.ones(1, np.float32))["y"]
    np.testing.assert_allclose(y, [2**0.5 + 12], rtol=1e-6)


def test_a_size_times_a_whole_fraction_is_still_a_tensor() -> None:
    y = wsdl.compile("model m(x: f32[n]) -> (y: f32) { return n * 2.0 }\n").session()(x=np.ones(3, np.float32))["y"]
    assert str(y.dtype) == "float32"
    assert float(y) == 6
