"""An index in a path means what it means in an expression: it selects an element and drops the axis."""

from __future__ import annotations

import numpy as np
import pytest

import wsdl

PROGRAM = """\
model m(x: f32[n, 4]) -> (y: f32[n, 4], z: f32[n, 4], b: f32[4], c: f32[4]) {{
    layer f = Dense(4)
    param w: [3, 4, 4] = normal(1.0)
    share {{ f.weight, w[{index}] }}
    share {{ f.bias, w[{row}] }}
    return f(x), x @ w[{index}].T + w[{row}], f.bias + 0.0, w[{row}] + 0.0
}}
"""


@pytest.mark.parametrize(
    ("index", "row"),
    [
        ("0", "1, 2"),
        ("-1", "0, -4"),
        ("1, :, :", "2, 1, 0:4"),
        ("2, 0:4", "0, 3, :"),
        ("0, ...", "1, 2, ..."),
        ("1, ..., :", "2, ..., 3, :"),
    ],
)
def test_of_a_parameter(index: str, row: str) -> None:
    outputs = wsdl.compile(PROGRAM.format(index=index, row=row)).session()(x=np.eye(4, dtype=np.float32))
    assert np.abs(outputs["y"]).max() > 0
    np.testing.assert_allclose(outputs["y"], outputs["z"], rtol=1e-6)
    np.testing.assert_array_equal(outputs["b"], outputs["c"])
