"""Every row of the tables, differentiated once and twice: rules in float64 against PyTorch's autograd and its double
backward, the ONNX of the first against the reference."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np
import onnxruntime as ort
import pytest
import torch

from tests.ops.build import NOWHERE, Array, Built, array_type, assert_close, typed
from tests.ops.case import FLOATS, Case
from tests.ops.test_cases import CASES, to_torch
from tests.together import together
from wsdl.differentiation.differentiate import differentiate
from wsdl.ir.dtypes import numpy_dtype
from wsdl.ir.graph import Graph, Lowered, Model, Module, Value
from wsdl.onnx.emit import emit
from wsdl.ops import OPERATIONS
from wsdl.ops.build import Build
from wsdl.ops.interpreter import evaluate
from wsdl.runtime.session import Session


def is_float(array: Any) -> bool:
    return not isinstance(array, list) and array is not None and array.dtype.kind == "f"


def leaves(arrays: Sequence[Any]) -> list[Array]:
    """The float operands, those of lists one by one."""
    flat = [a for x in arrays for a in (x if isinstance(x, list) else [x])]
    return [a for a in flat if is_float(a)]


def has_gradient(case: Case) -> bool:
    floats = leaves(case.arrays)
    smooth = not OPERATIONS[case.op].flat and case.attributes.get("dtype", "f32") in FLOATS
    return smooth and bool(floats) and all(a.dtype == np.float32 for a in floats)


DTYPE = {"float32": "f32", "float64": "f64"}
with_gradient = [case for case in CASES if has_gradient(case)]
every_case = together("case", with_gradient, by=lambda case: case.op, ids=lambda case: case.name)


class Differentiated:
    """One operation, its results multiplied with fixed numbers and added up, and the gradients of its operands."""

    def __init__(self, case: Case, dtype: str) -> None:
        self.arrays = [_as(x, dtype) for x in case.arrays]
        self.graph = graph = Graph()
        operands = [self._operand(x) for x in self.arrays]
        build = Build(graph)
        results = build.all(case.op, *operands, **case.attributes)
        self.inputs = [a for x in self.arrays for a in (x if isinstance(x, list) else [x]) if a is not None]
        self.weights = [np.asarray(np.cos(np.arange(_count(r)) + 1)).reshape(r.type.sizes) for r in results]
        parts: list[Value] = []
        for result, weight in zip(results, self.weights, strict=True):
            factor = Value(result.type, f"weight{len(parts)}")
            graph.inputs.append(factor)
            self.inputs.append(weight.astype(numpy_dtype(result.type.dtype)))
            total = build("sum", build("mul", result, factor))
            parts.append(build("cast", total, dtype=DTYPE[dtype]))
        self.wanted = [v for v in graph.inputs if v.type.is_float and not v.name.startswith("weight")]
        graph.outputs = gradients_of(graph, build.add(parts), self.wanted)

    def _operand(self, array: Any) -> Any:
        if isinstance(array, list):
            return [self._operand(a) for a in array]
        if array is None:
            return None
        self.graph.inputs.append(Value(array_type(array), f"x{len(self.graph.inputs)}"))
        return self.graph.inputs[-1]


def gradients_of(graph: Graph, loss: Value, wanted: Sequence[Value]) -> list[Value]:
    """The gradients of a scalar, which the graph gets nodes for."""
    gradients = differentiate(graph, loss, wanted)
    build = Build(graph)
    return [g if g is not None else build.zeros(v.type) for v, g in zip(wanted, gradients, strict=True)]


def _as(array: Any, dtype: str) -> Any:
    if isinstance(array, list):
        return [_as(a, dtype) for a in array]
    return array.astype(dtype) if is_float(array) else array


def _count(value: Value) -> int:
    return int(np.prod(value.type.sizes or ()))


Gradients: TypeAlias = "Sequence[torch.Tensor | None]"  # with `allow_unused`, which the annotation doesn't say

KINKS = {"elu", "selu"}  # whose second derivative jumps at 0; each side is right there


def factors(shape: Sequence[int]) -> Array:
    """The numbers that the elements of a gradient are multiplied with, before it is differentiated."""
    return np.asarray(np.sin(np.arange(int(np.prod(shape))) + 2.0)).reshape(shape)


def twice(made: Differentiated) -> None:
    """Append the gradients of a sum of all first gradients, each element times a number."""
    graph = made.graph
    build = Build(graph)
    parts: list[Value] = []
    for gradient in graph.outputs:
        factor = Value(gradient.type, f"second{len(parts)}")
        graph.inputs.append(factor)
        made.inputs.append(factors(gradient.type.sizes or ()))
        parts.append(build("sum", build("mul", gradient, factor)))
    graph.outputs = [*graph.outputs, *gradients_of(graph, build.add(parts), made.wanted)]


@every_case
@pytest.mark.filterwarnings("ignore:(var|std)")
def test_rules(case: Case) -> None:
    """The rule of the operation, and the rules of what it appends."""
    made = Differentiated(case, "float64")
    twice(made)
    actual = evaluate(made.graph, made.inputs, {})
    operands = [to_torch(x) for x in made.arrays]
    flat = [t for x in operands for t in (x if isinstance(x, list) else [x]) if t is not None]
    wanted = [t.requires_grad_() for t in flat if t.is_floating_point()]
    results = case.torch(*operands)
    results = results if isinstance(results, tuple | list) else [results]
    loss: Any = sum((r * torch.from_numpy(w)).sum() for r, w in zip(results, made.weights, strict=True))
    once: Gradients = torch.autograd.grad(loss, wanted, allow_unused=True, create_graph=True)
    for got, gradient, operand in zip(actual[: len(wanted)], once, wanted, strict=True):
        want = array_of(gradient, operand)
        assert got.shape == want.shape
        known = ~torch.isnan(operand).numpy()  # for NaN PyTorch says this and that
        np.testing.assert_allclose(got[known], want[known], rtol=1e-7, atol=1e-9)

    again: Gradients = [None] * len(wanted)
    if used := [g for g in once if g is not None and g.requires_grad]:
        total: Any = sum((g * torch.from_numpy(factors(g.shape))).sum() for g in used)
        again = torch.autograd.grad(total, wanted, allow_unused=True)
    for got, gradient, operand in zip(actual[len(wanted) :], again, wanted, strict=True):
        want = array_of(gradient, operand)
        assert got.shape == want.shape
        known = torch.isfinite(operand).numpy() & np.isfinite(want)
        if case.op == "cross_entropy" and operand is not wanted[0]:
            continue  # PyTorch takes class weights as constants in derivatives of this
        if case.op in KINKS:
            known &= operand.detach().numpy() != 0
        if case.op == "pow":  # PyTorch's mixed derivative is 0 at the exponent 0, where it is 1 / a
            known &= bool((made.arrays[1] != 0).all())
        np.testing.assert_allclose(got[known], want[known], rtol=1e-6, atol=1e-8)


def array_of(gradient: torch.Tensor | None, operand: torch.Tensor) -> Array:
    """A gradient of PyTorch's; zeros where it has none."""
    return np.zeros(operand.shape) if gradient is None else gradient.numpy(force=True)


@every_case
def test_lowering_of_the_rule(case: Case) -> None:
    if "bf16" in case.name:
        return
    made = Differentiated(case, "float32")
    names = [f"gradient{i}" for i in range(len(made.wanted))]
    model = Model("test", made.graph, Module("test", "", NOWHERE), output_names=names)
    program = Lowered(models={"test": model})
    session = Session(emit(program, model, {}).SerializeToString())
    feeds = {v.name: a for v, a in zip(made.graph.inputs, made.inputs, strict=True)}
    results = session.run({name: a for name, a in feeds.items() if name in session.inputs})
    for got, want in zip(results.values(), evaluate(made.graph, made.inputs, {}), strict=True):
        assert_close(got, want, 10, least=0.01)


def test_no_addition_gets_lost_where_an_index_repeats() -> None:
    """ONNX Runtime 1.32 loses some in `ScatterND`, with more than one thread."""
    indices = np.arange(20_000) % 7
    types = [typed("f32[7, 64]"), typed("i64[n]"), typed("f32[n, 64]")]
    built = Built("scatter_add", types, {})
    session = ort.InferenceSession(built.proto.SerializeToString(), providers=["CPUExecutionProvider"])
    feeds = built.feeds([np.zeros((7, 64), np.float32), indices, np.ones((20_000, 64), np.float32)])
    expected = np.bincount(indices).astype(np.float32)[:, None]
    for _ in range(5):
        np.testing.assert_array_equal(session.run(None, feeds)[0], np.broadcast_to(expected, (7, 64)))
