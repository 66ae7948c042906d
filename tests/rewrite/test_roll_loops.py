"""Steps of a `for` with parts of weights of their own: rolled, they compute and learn the same as unrolled."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import wsdl
from wsdl.diagnostics.span import Source
from wsdl.ir.target import Half, Loops

TEXT = """
model m(x: f32[n, 64]) -> (y: f32[n, 64]) {
    layer f[5] = Dense(64, bias=false)
    %s
    for i in 0..5 {
        x = x + tanh(f[i](x))
    }
    return x
}

train m() {
    loss mean(y ** 2)
    optimizer SGD(lr=0.1)
}
"""
PARTS = "param base: f32[64, 64] = normal(0.1)\n param up: f32[5, 64, 1] = normal(0.1)\n"
PARTS += "param down: f32[5, 1, 64] = normal(0.1)\n"
WAYS = {
    "changes": "share all as Delta(rank=1) { f[*] }",
    "mixtures": "share all as Mix(bank=2) { f[*] }",
    "gains": "share all as Scaled() { f[*] }",
    "parts of one tensor": PARTS + "param f[i].weight = base + up[i] @ down[i] for i in 0..5",
    "parts in another order": PARTS + "param f[i].weight = base + up[4 - i] @ down[i] for i in 0..5",
    "a part of each half": PARTS + "param f[i].weight = base + up[i % 2] @ down[2 * (i % 2)] for i in 0..5",
}


def results(way: str, loops: Loops, folder: Path | None = None) -> tuple[wsdl.Program, dict[str, Any]]:
    program = wsdl.compile(Source("m.wsd", TEXT % WAYS[way]), loops=loops)
    if folder is not None:
        program.save(folder, proof=True)  # each tensor once, after the runtime's optimizer too
    x = np.random.default_rng(0).standard_normal((3, 64)).astype(np.float32)
    trainer = program.trainer(batch=3)
    wsdl.fit(trainer, {"x": x}, epochs=1)
    return program, {**program.session()(x=x), **trainer.weights}


@pytest.mark.parametrize("way", WAYS)
def test_own_parts(way: str, tmp_path: Path) -> None:
    program, rolled = results(way, "loop", tmp_path)
    assert "Scan" in {node.op_type for node in program.protos["m"].graph.node}
    _, unrolled = results(way, "unroll")
    for name, array in unrolled.items():
        np.testing.assert_allclose(rolled[name], array, 1e-4, 1e-5, err_msg=name)


@pytest.mark.parametrize("half", ["f32", "f16"])
def test_a_formula_that_all_steps_read_is_computed_before_them(half: Half) -> None:
    """In f16 the cast of the bias stands behind the product of the first step."""
    text = """
model m(x: f32[n, 6]) -> (y: f32[n, 6]) {
    layer f = Dense(6)
    for i in 0..8 {
        x = f(x)
    }
    return x
}

param bias: f32[6] = normal(0.1)

param m.f.bias = bias + bias.flip(0)
"""
    x = np.random.default_rng(0).standard_normal((3, 6)).astype(np.float32)
    rolled, unrolled = (wsdl.compile(text, dtype=half, loops=loops) for loops in ("loop", "unroll"))
    assert "Loop" in {node.op_type for node in rolled.protos["m"].graph.node}
    np.testing.assert_allclose(rolled.session()(x=x)["y"], unrolled.session()(x=x)["y"], 1e-2, 1e-3)
