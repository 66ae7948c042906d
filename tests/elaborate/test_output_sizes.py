"""Sizes of outputs that only the run knows: their names in the file, in the inventory and in the session."""

from __future__ import annotations

import numpy as np
import pytest

import wsdl

BODY = """{{
    rows = scan step in 0..k with h = zeros([3]) {{
        h = h + 1.0
        emit h
    }}
    conv = image |> Conv2d(2, kernel=3, stride=2, pad=1) |> Conv2d(2, kernel=3, stride=2, pad=1)
    long = concat([x[:, ::3], x[:, ::5], x[:, ::7]], axis=1)
    return {results}
}}
"""
INPUTS = "x: f32[n, t, 4], image: f32[n, 1, h, 8], k: i64"


@pytest.mark.parametrize(
    ("declared", "results", "shapes"),
    [
        (" -> (y: f32[n, m])", "x[:, ::3].reshape(n, -1)", "[n, m]"),
        ("", "x[:, ::3].reshape(n, -1)", "[n, 4 * ((t + 2) // 3)]"),
        (" -> (y: f32[a, 4])", "x[:, 0]", "[n, 4]"),
        (" -> (y: f32[2 * n * t, b])", "x.reshape(-1, 2)", "[2 * n * t, 2]"),
        (" -> (y: f32[n, 2, p, 2])", "conv", "[n, 2, p, 2]"),
        ("", "conv", "[n, 2, (h + 3) // 4, 2]"),
        ("", "long", "[n, output_dim1, 4]"),
        ("", "y=long, z=long", "[n, y_dim1, 4] [n, y_dim1, 4]"),
        (" -> (y: f32[s, 3], z: f32[s, c])", "rows, -rows", "[s, 3] [s, 3]"),
        (" -> (y[2]: f32[n, m])", "[x[:, ::3].reshape(n, -1)] * 2", "[n, m] [n, m]"),
        (" -> (y: f32[k, 4])", "partition(x[:, 0], cast(x[:, 0, 0] > 0, i64) - 1, 1)", "[k, 4]"),
    ],
)
def test_names_of_sizes(declared: str, results: str, shapes: str) -> None:
    program = wsdl.compile(
        f"model net({INPUTS}){declared} {BODY.format(results=results)}".replace("f32[k, 4]", "f32[r, 4]")
    )
    shapes = shapes.replace("[k, 4]", "[r, 4]")
    session = program.session()
    for outputs in (program.models["net"].outputs, session.outputs):
        assert " ".join(str(type).removeprefix("f32") for type in outputs.values()) == shapes
    arrays = {"x": np.ones((2, 5, 4), np.float32), "image": np.ones((2, 1, 9, 8), np.float32), "k": np.int64(3)}
    session(**{name: arrays[name] for name in session.inputs})
