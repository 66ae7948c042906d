"""Every row of the tables differentiated twice: the rules of what rules append against PyTorch's double backward."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from tests.ops.case import Case
from tests.ops.test_cases import to_torch
from tests.ops.test_gradients import Differentiated, every_case
from wsdl.differentiation.differentiate import differentiate
from wsdl.ir.graph import Value
from wsdl.ops.build import Build
from wsdl.ops.interpreter import evaluate

KINKS = {"elu", "selu"}  # whose second derivative jumps at 0; each side is right there


def factors(shape: tuple[int, ...]) -> Any:
    return np.asarray(np.sin(np.arange(int(np.prod(shape))) + 2.0)).reshape(shape)


def second(made: Differentiated) -> list[Any]:
    """The gradients of a sum of all first gradients, each element times a number."""
    graph = made.graph
    build = Build(graph)
    parts: list[Value] = []
    inputs = list(made.inputs)
    for gradient in graph.outputs:
        weight = factors(gradient.type.sizes or ())
        factor = Value(gradient.type, f"second{len(parts)}")
        graph.inputs.append(factor)
        inputs.append(weight)
        parts.append(build("sum", build("mul", gradient, factor)))
    again = differentiate(graph, build.add(parts), made.wanted)
    build = Build(graph)
    graph.outputs = [g if g is not None else build.zeros(v.type) for v, g in zip(made.wanted, again, strict=True)]
    return evaluate(graph, inputs, {})


@every_case
@pytest.mark.filterwarnings("ignore:var")
def test_rule_of_the_rule(case: Case) -> None:
    made = Differentiated(case, "float64")
    actual = second(made)
    operands = [to_torch(x) for x in made.arrays]
    flat = [t for x in operands for t in (x if isinstance(x, list) else [x]) if t is not None]
    wanted = [t.requires_grad_() for t in flat if t.is_floating_point()]
    results = case.torch(*operands)
    results = results if isinstance(results, tuple | list) else [results]
    loss: Any = sum((r * torch.from_numpy(w)).sum() for r, w in zip(results, made.weights, strict=True))
    first = torch.autograd.grad(loss, wanted, allow_unused=True, create_graph=True)
    expected: list[Any] = [None] * len(wanted)
    used = [g for g in first if g is not None and g.requires_grad]
    if used:
        total: Any = sum((g * torch.from_numpy(factors(tuple(g.shape)))).sum() for g in used)
        expected = list(torch.autograd.grad(total, wanted, allow_unused=True))
    for got, tensor, operand in zip(actual, expected, wanted, strict=True):
        want = np.zeros(operand.shape) if tensor is None else tensor.detach().numpy(force=True)
        assert got.shape == want.shape
        known = torch.isfinite(operand).numpy() & np.isfinite(want)
        if case.op == "cross_entropy" and operand is not wanted[0]:
            continue  # PyTorch takes class weights as constants in derivatives of this
        if case.op in KINKS:
            known &= operand.detach().numpy() != 0
        if case.op == "pow":  # PyTorch's mixed derivative is 0 at the exponent 0, where it is 1 / a
            known &= bool((made.arrays[1] != 0).all())
        np.testing.assert_allclose(got[known], want[known], rtol=1e-6, atol=1e-8)
