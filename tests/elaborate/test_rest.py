"""`x.shape`, `x.rank`, and dimensions behind `...` with a name."""

from __future__ import annotations

import numpy as np
import pytest

import wsdl

CHANNELS = """\
block Scaled(units: int)(x: [n, c, ...rest]) -> [n, units, ...rest] {
    param weight: [units, c] = ones
    param offset: [units, ...rest] = constant(2.0)
    require len(rest) == x.rank - 2 and rest == x.shape[2:]
    y = (weight @ x.reshape(n, c, -1)).reshape([n, units] + rest)
    return y + offset
}
"""


@pytest.mark.parametrize("sizes", [(), (4,), (4, 5), (4, 5, 6)])
def test_one_block_for_any_number_of_axes(sizes: tuple[int, ...]) -> None:
    type = f"f32[n, {', '.join(map(str, [3, *sizes]))}]"
    session = wsdl.compile(f"{CHANNELS}model m(x: {type}) {{ return x |> Scaled(2) }}\n").session()
    x = np.random.default_rng(1).normal(size=(7, 3, *sizes)).astype(np.float32)
    expected = np.broadcast_to(x.sum(axis=1, keepdims=True) + 2, (7, 2, *sizes))
    np.testing.assert_allclose(session(x=x)["output"], expected, rtol=1e-5)


@pytest.mark.parametrize(
    ("signature", "result", "shape"),
    [
        ("(x: [...a, d])", "zeros(a + [1])", "[n, t, 5, 1]"),
        ("(x: [n, ...a, d])", "zeros([d] + a)", "[8, t, 5]"),
        ("(x: [n, t, 5, 8, ...a])", "zeros([len(a), n])", "[0, n]"),
        ("(x: [...], y: [..., e])", "zeros(x.shape + [e])", "[n, t, 5, 8, 9]"),
        ("(x: [n, ...a], y: [n, ...a, 9]) -> [...more]", "zeros(a[0:2])", "[t, 5]"),
        ("(x: [n, ...a], y: [b, ...c])", "zeros([b] + c[1:-1] + [len(a)])", "[n, 5, 8, 3]"),
        ("(x: [n, d, 5, 8])", "zeros([x.rank] + x.shape[1:])", "[4, t, 5, 8]"),
    ],
)
def test_names_of_rests_are_lists_of_sizes(signature: str, result: str, shape: str) -> None:
    program = f"block B(){signature} {{ return {result} }}\n"
    inputs = "x, y" if "y:" in signature else "x"
    program += f"model m(x: f32[n, t, 5, 8], y: f32[n, t, 5, 8, 9]) {{ return B()({inputs}), y }}\n"
    assert str(next(iter(wsdl.compile(program).models["m"].outputs.values()))) == f"f32{shape}"


def test_the_formatter_keeps_them() -> None:
    text = "block B()(x: [n, ...rest], y: [..., d]) -> [...rest, n] {\n    return x\n}\n"
    assert wsdl.format(text.replace("...rest", "... rest")) == text
