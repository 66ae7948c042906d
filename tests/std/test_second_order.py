"""Gradient penalties through standard blocks train as in PyTorch."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch.nn.attention import SDPBackend, sdpa_kernel

from tests.stages import storage_of
from tests.std.case import Case, draw, program_of, results_of, twin_of
from tests.std.cases import CASES
from tests.std.names import separated
from tests.std.test_gradients import weights_of
from wsdl.ir.step import Gradient
from wsdl.onnx.emit import emit
from wsdl.pipelines.training import split_step
from wsdl.runtime.session import Session

BLOCKS = (
    "Dense", "Conv2d", "ConvTranspose2d", "BatchNorm", "LayerNorm", "GroupNorm", "Attention", "EncoderLayer", "GRU",
    "LSTM", "Mixture", "Switch", "DynamicConv2d",
)  # fmt: skip
FIRST = [next(case for case in CASES if case.layer.startswith(f"{block}(")) for block in BLOCKS]


@pytest.mark.parametrize("case", FIRST, ids=lambda case: case.layer)
def test_penalty(case: Case) -> None:
    """Of the loss `sum(gradient(sum(sin(y)), x) ** 2)` for the first input `x`."""
    twin, arrays = twin_of(case), draw(case, case.runs[0])
    inputs = [torch.from_numpy(a) for a in arrays]
    x = inputs[0].requires_grad_()
    with sdpa_kernel(SDPBackend.MATH):  # which has a second derivative
        results = results_of(case, twin, inputs)
        loss: torch.Tensor = sum((torch.sin(y).sum() for y in results), torch.zeros(()))
        [slope] = torch.autograd.grad(loss, x, create_graph=True)
        named = dict(twin.named_parameters(remove_duplicate=False))
        found = torch.autograd.grad((slope**2).sum(), list(named.values()), allow_unused=True)
    weights = {case.rename(n): d for n, d in zip(named, found, strict=True) if d is not None}

    outputs = [f"sum(sin(output{f'_{i + 1}' if i else ''}))" for i in range(len(results))]
    program = storage_of(f"""{program_of(case)}
train m() {{
    loss sum(gradient({" + ".join(outputs)}, input0) ** 2)
    {case.training}
    optimizer SGD(lr=1.0)
}}
""")
    training = program.trainings["m"]
    as_compiled = replace(training.written, objective=training.written.evaluation)
    step = split_step(program, replace(training, written=as_compiled, statistics=())).gradients
    stored = weights_of(case, twin)
    session = Session(emit(step.program, step.model, stored, fed=step.fed).SerializeToString())
    feeds = {**stored, **{f"input{i}": a for i, a in enumerate(arrays)}}
    got = session.run({name: feeds[name] for name in session.inputs})
    expected = {name: d.numpy() for name, d in separated(weights).items()}
    assert any(np.abs(d).max() > 1e-3 for d in expected.values())
    for name, want in expected.items():
        key = Gradient(f"m.f.{name}").name
        ours = got[key] if key in got else np.zeros_like(want)
        assert np.abs(ours - want).max() <= 1e-4 * max(1.0, np.abs(want).max()), name
