"""Lists: repetition, membership, equality, and lists that a `for` builds."""

from __future__ import annotations

import numpy as np
import pytest

import wsdl


@pytest.mark.parametrize(
    "condition",
    [
        "[0] * 3 == [0, 0, 0]",
        "2 * [1, 2] == [1, 2, 1, 2]",
        "len([0] * 0) == 0 and len([0] * -1) == 0",
        "[[1]] * 2 == [[1], [1]]",
        "3 in [1, 3] and 2 not in [1, 3] and not 2 in [1, 3]",
        '"a" in ["b", "a"] and none in [none] and not none in [0]',
        "[1, 2.0] == [1.0, 2] and [1, 2] != [1, 3] and [1] != [1, 1] and [] == []",
        "[1] != 1 and [none] != none",
        "[n, 3] == [n, 3] and n + 1 in [2, 1 + n] and n not in [n + 1]",
        "[1, 2, 3, 4][-1] == 4 and [1, 2, 3, 4][1:3] == [2, 3] and [1, 2, 3, 4][::2] == [1, 3]",
        "[i * j for i, j in [1, 2], [3, 4]] + [0] == [3, 8, 0]",
        "relu in [tanh, relu] and f in [f, relu] and f not in [relu]",
    ],
)
def test_conditions(condition: str) -> None:
    program = f"model m(x: f32[n, 3]) -> (y: f32[n, 3]) {{\n    layer f = Dense(3)\n    require {condition}\n"
    program += "    return f(x)\n}\n"
    assert [d.message for d in wsdl.check(program)] == []
    assert wsdl.format(program) == program


REPEATED = """\
model m(x: f32[n, 3]) -> (y: f32[n, 3], z: f32[n, 6]) {
    layer f = Dense(3)
    layer chain = Sequential([f, relu] * 2 + [Dense(3)])
    layer all = [f] * 2 + [Dense(3), Dense(3)]
    share { all[2], all[3] }
    found = []
    for g, i in all, 0..4 {
        x = g(x)
        if i in [1, 3] {
            found = found + [x]
        }
    }
    return chain(x), concat(found, axis=1)
}
"""


def test_a_named_layer_is_repeated_as_it_is() -> None:
    compiled = wsdl.compile(REPEATED)
    weights = {name.replace("[", ".").replace("]", ""): array for name, array in compiled.values().items()}
    assert sorted(weights) == sorted(
        f"m.{layer}.{name}" for layer in ("f", "chain.layers.4", "all.2") for name in ("weight", "bias")
    )
    x = np.random.default_rng(2).normal(size=(4, 3)).astype(np.float32)
    outputs = compiled.session()(x=x)

    def dense(layer: str, x: np.ndarray) -> np.ndarray:
        return np.asarray(x @ weights[f"m.{layer}.weight"].T + weights[f"m.{layer}.bias"])

    second = dense("f", dense("f", x))
    last = dense("all.2", dense("all.2", second))
    np.testing.assert_allclose(outputs["z"], np.concatenate([second, last], axis=1), rtol=1e-4, atol=1e-6)
    y = np.maximum(dense("f", np.maximum(dense("f", last), 0)), 0)
    np.testing.assert_allclose(outputs["y"], dense("chain.layers.4", y), rtol=1e-4, atol=1e-6)
