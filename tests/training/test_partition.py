"""Rows in parts: batches cut into parts train as whole ones, also where layers and losses see only picked rows."""

from __future__ import annotations

import numpy as np
import pytest

import wsdl
from wsdl.diagnostics.span import Source

PROGRAM = """
model m(x: f32[n, t, 6], keep: bool[n, t]) -> (y: f32[n, t, 3], z: f32[k, 6]) {
    return x |> Switch(Dense(8), bank=3, k=2) |> relu |> Switch(Dense(3), bank=3), x[keep] |> Dense(6)
}
train m(wanted: f32[n, t, 3]) {
    loss mse(y, wanted)
    loss picked = mean(z ** 2)
    weight balance = 0.1
    optimizer SGD(lr=0.1)
}
"""


@pytest.fixture(scope="module")
def program() -> wsdl.Program:
    return wsdl.compile(Source("m.wsd", PROGRAM))


def batch(rows: int, *, kept: float = 0.5) -> dict[str, np.ndarray[tuple[int, ...], np.dtype[np.generic]]]:
    rng = np.random.default_rng(0)
    x, wanted = (rng.standard_normal((rows, 2, size)).astype(np.float32) for size in (6, 3))
    return {"x": x, "wanted": wanted, "keep": rng.random((rows, 2)) < kept}


@pytest.mark.parametrize("accumulate", [2, 3, 7])
def test_batches_in_parts_train_as_whole_ones(program: wsdl.Program, accumulate: int) -> None:
    whole, parts = program.trainer(), program.trainer(accumulate=accumulate)
    rows = batch(7)
    np.testing.assert_allclose([parts.step(rows) for _ in range(3)], [whole.step(rows) for _ in range(3)], rtol=1e-5)
    for name, value in whole.weights.items():
        np.testing.assert_allclose(parts.weights[name], value, rtol=1e-4, atol=1e-6, err_msg=name)


# -- in a scan ---------------------------------------------------------------------------------------------------------

STEPS = {
    "f": "h = tanh(f(h + xt)) + 0.3 * h",
    "parts of parts": """
        low, high = partition(h + xt, group, 2)
        rest, first = partition(low, argmax(low, axis=1) % 2, 2)
        low = unpartition([f(rest), first * first], argmax(low, axis=1) % 2)
        h = 0.5 * h + tanh(unpartition([low, high], group))
        """,
    "parts of all steps": """
        low, high = partition(x[:, 1], group, 2)
        h = tanh(f(h)) + xt * unpartition([low, high * high], group)
        """,
    "its gradient": """
        k = f(h + xt)
        h = tanh(k + gradient(sum(k * k), h))
        """,
}
IN_A_SCAN = """
model m(x: f32[n, t, 6]) -> (h: f32[n, 6]) {
    layer f = Switch(Dense(6), bank=3, OPTIONS)
    group = argmax(x[:, 0], axis=1) // 3
    h = 0.5 * x[:, 1]
    BODY
    return h
}
train m(wanted: f32[n, 6]) {
    loss mse(h, wanted)
    weight balance = 0.5
    optimizer SGD(lr=0.5)
}
"""


@pytest.mark.parametrize(("step", "options"), [*((step, "k=1") for step in STEPS), ("f", "k=2, capacity=0.9")])
def test_a_scan_is_its_steps(step: str, options: str) -> None:
    """Values and gradients, those of the balance of each step among them."""
    body = STEPS[step]
    in_a_scan = f"scan xt in x along t with h = h {{ {body} }}"
    unrolled = "\n".join(f"xt = x[:, {t}]\n{body}" for t in range(3))
    text = IN_A_SCAN.replace("OPTIONS", options)
    scan, steps = (wsdl.compile(Source("m.wsd", text.replace("BODY", body))) for body in (in_a_scan, unrolled))
    rng = np.random.default_rng(0)
    rows = {name: rng.standard_normal((5, *shape), np.float32) for name, shape in (("x", (3, 6)), ("wanted", (6,)))}
    got, want = (program.session()(x=rows["x"])["h"] for program in (scan, steps))
    np.testing.assert_allclose(got, want, rtol=1e-5, atol=1e-6)
    trainer, expected = scan.trainer(), steps.trainer()
    np.testing.assert_allclose(
        [trainer.step(rows) for _ in range(3)], [expected.step(rows) for _ in range(3)], rtol=1e-5
    )
    for name, value in expected.weights.items():
        np.testing.assert_allclose(trainer.weights[name], value, rtol=1e-4, atol=1e-6, err_msg=name)


# -- parts of a batch --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kept", [0.0, 0.5, 1.0])
def test_rows_picked_by_a_mask(program: wsdl.Program, kept: float) -> None:
    rows = batch(5, kept=kept)
    results = program.session().run({name: rows[name] for name in ("x", "keep")})
    weight, bias = (program.trainer().weights[f"m.dense.{name}"] for name in ("weight", "bias"))
    np.testing.assert_allclose(results["z"], rows["x"][rows["keep"]] @ weight.T + bias, rtol=1e-4, atol=1e-5)
    assert np.isfinite(results["y"]).all()


def test_the_balance_is_that_of_fedus_et_al() -> None:
    """`count` times the sum over layers of the share of rows they get, times their mean chance."""
    program = wsdl.compile(
        Source(
            "m.wsd",
            """
model m(x: f32[n, 6]) -> (y: f32[n, 6]) {
    return x |> Switch(Dense(6), bank=4)
}
train m(wanted: f32[n, 6]) {
    loss mse(y, wanted)
    weight balance = 0.5
    optimizer SGD(lr=0.1)
}
""",
        )
    )
    trainer, x = program.trainer(), np.random.default_rng(0).standard_normal((9, 6)).astype(np.float32)
    scores = x @ trainer.weights["m.switch.gate.weight"].T
    chances = np.exp(scores) / np.exp(scores).sum(1, keepdims=True)
    shares = np.bincount(chances.argmax(1), minlength=4) / 9
    y = program.session().run({"x": x})["y"]
    assert trainer.step({"x": x, "wanted": y}) == pytest.approx(0.5 * 4 * (shares * chances.mean(0)).sum(), rel=1e-4)
