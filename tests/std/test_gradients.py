"""The gradients of every block of the standard library are those that PyTorch finds for its counterpart."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from references.weights import module_weights
from tests.stages import storage_of
from tests.std.case import Case, draw, program_of, results_of, twin_of
from tests.std.cases import CASES
from tests.std.names import separated
from wsdl.ir.step import Gradient
from wsdl.onnx.emit import emit
from wsdl.pipelines.training import split_step
from wsdl.runtime.session import Session

SCALE = "scale"


def pair(case: Case) -> tuple[nn.Module, Session]:
    """The counterpart, and the graph of the gradients of `sum(sin(y))` over all results `y` that are floats.

    The inputs that are numbers are multiplied with one weight, whose gradient is so that of the inputs.
    """
    twin = twin_of(case)
    with torch.no_grad():
        results = results_of(case, twin, [torch.from_numpy(a) for a in draw(case, case.runs[0])])
    floats = [f"output_{i}" if i > 1 else "output" for i, y in enumerate(results, 1) if y.is_floating_point()]
    losses = "\n".join(f"    loss sum(sin({name}))" for name in floats)
    text = (
        program_of(case, scaled=SCALE)
        + f"\ntrain m() {{\n{losses}\n    {case.training}\n    optimizer SGD(lr=1.0)\n}}\n"
    )
    program = storage_of(text)
    training = program.trainings["m"]
    as_compiled = replace(training.written, objective=training.written.evaluation)
    step = split_step(program, replace(training, written=as_compiled, statistics=())).gradients
    return twin, Session(emit(step.program, step.model, weights_of(case, twin), fed=step.fed).SerializeToString())


def weights_of(case: Case, twin: nn.Module) -> dict[str, Any]:
    """The counterpart's weights by the names of what is stored."""
    weights = {case.rename(n): torch.from_numpy(a) for n, a in module_weights(twin).items()}
    return {f"m.f.{n}": a.contiguous().numpy() for n, a in separated(weights).items()}


def theirs(case: Case, twin: nn.Module, inputs: list[torch.Tensor]) -> dict[str, torch.Tensor]:
    """The gradients by our names."""
    scale = torch.ones(1, requires_grad=True)
    twin.zero_grad()
    results = results_of(case, twin, [x * scale if x.is_floating_point() else x for x in inputs])
    loss = sum(torch.sin(y).sum() for y in results if y.is_floating_point())
    loss.backward()  # type: ignore[union-attr]  # a tensor
    parameters = list(twin.named_parameters(remove_duplicate=False))
    if not len(inputs[0]):  # PyTorch leaves out some that are 0 there
        for _, p in parameters:
            p.grad = torch.zeros_like(p) if p.grad is None else p.grad
    weights = {case.rename(n): p.grad for n, p in parameters if p.grad is not None}
    found = {f"f.{n}": gradient for n, gradient in separated(weights).items()}
    return found if scale.grad is None else {**found, SCALE: scale.grad}


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.layer)
def test_gradients(case: Case) -> None:
    """In the first run, in the last one, and on an empty batch."""
    twin, session = pair(case)
    weights = {**weights_of(case, twin), f"m.{SCALE}": np.ones(1, np.float32)}
    for shapes in dict.fromkeys((case.runs[0], case.runs[-1], case.every_run[-1])):
        arrays = draw(case, shapes)
        expected = theirs(case, twin, [torch.from_numpy(a) for a in arrays])
        feeds = {**weights, **{f"input{i}": a for i, a in enumerate(arrays)}}
        found = session.run({name: feeds[name] for name in session.inputs})
        ours = {
            name: found[Gradient(f"m.{name}").name]
            for name in (n.removeprefix("m.") for n in feeds if Gradient(n).name in found)
        }
        assert ours.keys() == expected.keys(), shapes
        for name, gradient in expected.items():
            top = max(1.0, gradient.abs().max().item())
            assert np.abs(ours[name] - gradient.numpy()).max() <= 1e-4 * top, (name, shapes)
