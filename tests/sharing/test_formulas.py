"""`param PATH = EXPRESSION`: the values and gradients of PyTorch's parametrizations, wherever a program goes."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch

import wsdl
from tests.sharing.formulas import CASES, Case
from wsdl.diagnostics.span import Source
from wsdl.ir.dtypes import numpy_dtype
from wsdl.onnx.walk import walk
from wsdl.runtime.session import Session


def program(case: Case, text: str = "", **options: Any) -> wsdl.Program:
    return wsdl.compile(Source("m.wsd", text or case.text), **options)


def drawn(case: Case) -> Any:
    return np.random.default_rng(0).normal(size=case.shape).astype(numpy_dtype(case.dtype))


def by_name(weights: Any) -> dict[str, Any]:
    return {name.removeprefix("m."): np.array(array) for name, array in weights.items()}


def in_pytorch(case: Case, weights: Any) -> tuple[Any, float, dict[str, Any]]:
    """Output, loss, and what one step of gradient descent makes of each weight."""
    parameters = {
        name: torch.nn.Parameter(torch.from_numpy(array).double()) for name, array in by_name(weights).items()
    }
    output = case.in_pytorch(parameters)(torch.from_numpy(drawn(case)).double())
    loss = (output**2).mean()
    loss.backward()
    after = {name: (p - p.grad).detach().numpy() for name, p in parameters.items() if p.grad is not None}
    return output.detach().numpy(), loss.item(), after


def assert_near(case: Case, ours: Any, expected: Any) -> None:
    rtol, atol = (1e-9, 1e-10) if case.dtype == "f64" else (1e-4, 1e-5)
    np.testing.assert_allclose(ours, expected, rtol, atol)


@pytest.mark.parametrize("case", CASES, ids=[case.name for case in CASES])
def test_values_and_gradients_as_in_pytorch(case: Case, tmp_path: Path) -> None:
    """In a session, in the evaluation, after a step of the trainer, and after one of the file that trains."""
    compiled, data = program(case), {"x": drawn(case)}
    stored = dict(compiled.stored)
    assert sorted(by_name(stored)) == sorted(case.stored)
    output, loss, after = in_pytorch(case, stored)
    assert sorted(after) == sorted(case.stored)

    trainer = compiled.trainer(batch=case.shape[0])
    wsdl.fit(trainer, data, epochs=1)
    compiled.save(tmp_path, proof=True, train=True)
    step = Session(str(tmp_path / "m.train.onnx")).run({**data, **stored, "step": np.int64(0)})

    assert_near(case, compiled.session()(**data)["output"], output)
    assert_near(case, compiled.evaluator().run([data], stored)["loss"], loss)
    for name, expected in after.items():
        assert_near(case, trainer.weights[f"m.{name}"], expected)
        assert_near(case, step[f"next/m.{name}"], expected)


@pytest.mark.parametrize("dtype", ["f16", "bf16"])
@pytest.mark.parametrize("case", CASES, ids=[case.name for case in CASES])
def test_formulas_are_computed_in_f32_of_what_16_bits_store(case: Case, dtype: Any) -> None:
    """A model with the weights in the place of the formulas computes the same; where bf16 is stored, in f32."""
    text, data = case.text.replace("f64", "f32"), {"x": drawn(case).astype("f4")}
    narrow = program(case, text, dtype=dtype)
    stored = {name: array.astype("f4") for name, array in by_name(narrow.stored).items()}
    tensors = {name: torch.from_numpy(array) for name, array in stored.items()}
    stored |= {name: compute(tensors).numpy() for name, compute in case.computed.items()}
    plain = re.sub(r"^ *param \S+ = .*\n", "", text, flags=re.MULTILINE)
    expected = program(case, plain, dtype="f16" if dtype == "f16" else "f32")
    weights = {name: stored[name.removeprefix("m.")] for name in expected.stored}
    output = expected.session(weights=weights)(**data)["output"]
    tolerance = 2e-3 if dtype == "f16" else 1e-5
    np.testing.assert_allclose(narrow.session()(**data)["output"], output, tolerance, tolerance)


LOOPS = """
model m(x: f32[n, t, 4]) -> (y: f32[n, 4]) {
    layer blocks[10] = Residual(Dense(4))
    layer cell = GRUCell(4)
    param base: [12, 4]
    param cell.weight_hh = exp(base)
    param blocks[3].inner.weight = cos(base[0:4])
    share { blocks[i].inner.weight, blocks[i + 1].inner.weight.T } for i in 0..9
    share { blocks[*].inner.bias }
    scan xt in x along t with h = zeros([n, 4]) {
        h = cell(xt, h)
    }
    for i in 0..5 {
        h = blocks[2 * i](h) |> blocks[2 * i + 1] |> tanh
    }
    return h
}

train m() {
    loss mean(y ** 2)
    optimizer SGD(lr=1.0)
}
"""


def test_a_formula_is_computed_once_outside_of_loops_and_scans(tmp_path: Path) -> None:
    """However many layers read it, and through whichever views."""
    compiled = wsdl.compile(Source("m.wsd", LOOPS), loops="loop")
    compiled.save(tmp_path, train=True)
    for file, body in ("m.onnx", {"Scan", "Loop"}), ("m.train.onnx", {"Scan"}):
        graph = onnx.load(str(tmp_path / file)).graph
        assert body <= {node.op_type for node in graph.node}
        for op in "Exp", "Cos":
            assert [node.op_type for node in graph.node].count(op) == 1
            assert [node.op_type for node in walk(graph)].count(op) == 1
