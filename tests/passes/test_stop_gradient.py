"""No gradient passes `stop_gradient`, and nothing of it is in the file."""

from __future__ import annotations

import numpy as np

import wsdl

THROUGH_TIME = """\
model last(x: f32[n, t]) -> (h: f32[n]) {
    param w: [1] = constant(0.5)
    _ = scan xt in x along t with h = zeros([n]) {
        h = stop_gradient(h) * w + xt
        emit h
    }
    return h
}

train last() {
    loss mean(h)
    optimizer SGD(lr=1.0)
}
"""
HALF = """\
model m(x: f32[n, 3]) -> (y: f32[n, 3]) {
    layer f = Dense(3)
    return f(x) + stop_gradient(f(2 * x))
}

train m(t: f32[n, 3]) {
    loss mse(y, t)
    optimizer SGD(lr=1.0)
}
"""


def test_it_is_no_node() -> None:
    proto = wsdl.compile(HALF).protos["m"]
    assert {node.op_type for node in proto.graph.node} <= {"Mul", "Gemm", "Add", "Reshape", "Shape", "Concat"}


def test_the_gradient_of_one_term_only() -> None:
    program = wsdl.compile(HALF)
    trainer = program.trainer()
    before = trainer.weights
    weight, bias = before["m.f.weight"], before["m.f.bias"]
    rng = np.random.default_rng(0)
    x, t = (rng.standard_normal((4, 3)).astype(np.float32) for _ in range(2))
    trainer.step({"x": x, "t": t})
    slope = 2 * ((x @ weight.T + bias) + (2 * x @ weight.T + bias) - t) / x.size
    np.testing.assert_allclose(trainer.weights["m.f.weight"], weight - slope.T @ x, rtol=1e-5, atol=1e-6)


def test_it_cuts_a_scan_between_its_steps() -> None:
    trainer = wsdl.compile(THROUGH_TIME).trainer()
    x = np.float32([[1, 2, 4]])
    trainer.step({"x": x})
    second = 2 + 0.5 * 1  # the state before the last step: all that the gradient sees
    assert trainer.weights["last.w"].tolist() == [0.5 - second]
