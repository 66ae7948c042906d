"""Arrays of inputs, targets and outputs: lists in a program, `x.0`, `x.1`, … in its files."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.nn.functional import mse_loss

import wsdl
from wsdl.diagnostics.span import Source

TOWERS = """
let count = 3

model towers(x[count]: f32[n, 8]) -> (last: f32[n, 4], y[count]: f32[n, 4]) {
    layer f = Dense(4)
    y = [f(view) for view in x]
    x = y[-1]
    return x, y
}

train towers(want[count]: f32[n, 4]) {
    for found, right in y, want {
        loss mse(found, right)
    }
    optimizer SGD(lr=0.5)
}
"""


def test_names_and_numbers() -> None:
    rng = np.random.default_rng(0)
    weights = {"f.weight": rng.normal(size=(4, 8)).astype("f4"), "f.bias": np.zeros(4, "f4")}
    program = wsdl.compile(Source("m.wsd", TOWERS), weights=weights)
    feeds = {f"x.{i}": rng.normal(size=(2, 8)).astype("f4") for i in range(3)}
    assert [*program.models["towers"].inputs] == [*feeds]
    results = program.session().run(feeds)
    assert [*results] == ["last", "y.0", "y.1", "y.2"]
    for i in range(3):
        np.testing.assert_allclose(results[f"y.{i}"], feeds[f"x.{i}"] @ weights["f.weight"].T, rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(results["last"], results["y.2"])


def test_training() -> None:
    torch.manual_seed(0)
    theirs = torch.nn.Linear(8, 4)
    weights = {"f.weight": theirs.weight.detach().numpy().copy(), "f.bias": theirs.bias.detach().numpy().copy()}
    x, want = torch.randn(3, 5, 8), torch.randn(3, 5, 4)
    trainer = wsdl.compile(Source("m.wsd", TOWERS), weights=weights).trainer(batch=5)
    batch = {f"{name}.{i}": a.numpy() for name, arrays in (("x", x), ("want", want)) for i, a in enumerate(arrays)}
    optimizer = torch.optim.SGD(theirs.parameters(), lr=0.5)
    for _ in range(3):
        loss = sum(mse_loss(theirs(a), b) for a, b in zip(x, want, strict=True))
        assert isinstance(loss, torch.Tensor)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        np.testing.assert_allclose(trainer.step(batch), loss.item(), rtol=1e-5)


BLOCKS = """\
block Sum()(first: [n, d], others[count]: [n, d]) -> [n, d] {
    for x in others { first = first + count * x }
    return first
}
block Turned()(xs[2]: [n, _]) -> (ys[2]: [n, _]) { return [xs[1], xs[0]] }
block Maybe()(x: [n, d], more[count]: [n, _] = none) -> [n, d] {
    if more == none { return x }
    return x + sum(more[0], axis=1, keepdims=true) + count
}
block Halves(parts: int)(xs[parts]: [2 * n, d]) { return [x[:n] for x in xs] }
"""


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        ("Sum()(x, x, x)", "5 * x"),
        ("Sum()(x, x)", "2 * x"),
        ("Sum()(x, [x, x])", "5 * x"),
        ("Sum()(x, Turned()([2 * x, x]))", "7 * x"),
        ("Turned()(x, z)[1]", "x"),
        ("Turned()(x, [z][0])[0]", "z"),
        ("x |> Maybe()", "x"),
        ("Maybe()(x, z)", "x + z.sum(axis=1, keepdims=True) + 1"),
        ("Maybe()(x, more=[z, x])", "x + z.sum(axis=1, keepdims=True) + 2"),
        ("Halves(2)(x, 2 * x)[1]", "2 * x[:2]"),
    ],
)
def test_blocks_of_arrays(expression: str, value: str) -> None:
    program = f"{BLOCKS}model m(x: f32[4, 3], z: f32[4, 2]) {{ return y={expression}, w=x + sum(z) }}\n"
    x, z = np.arange(12, dtype=np.float32).reshape(4, 3), np.ones((4, 2), np.float32)
    expected = eval(value, {"x": x, "z": z})
    np.testing.assert_allclose(wsdl.compile(program).session()(x=x, z=z)["y"], expected)


def test_a_training_applies_a_model_of_arrays() -> None:
    program = """\
model towers(x[2]: f32[n, 8]) -> (y[2]: f32[n, 4]) {
    layer f = Dense(4)
    return [f(view) for view in x]
}
train towers(t: f32[n, 4]) {
    a, b = towers(x[1], x[0])
    loss mse(a, t) + mse(towers([x[0], 2 * x[1]])[0], b)
    optimizer SGD(lr=0.1)
}
"""
    assert [d.code for d in wsdl.check(program)] == []
