"""Arrays of inputs, targets and outputs: lists in a program, `x.0`, `x.1`, … in its files."""

from __future__ import annotations

import numpy as np
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
