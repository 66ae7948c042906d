"""Gradients on dynamic dimensions: differentiated and emitted once, run at many sizes, also at 0 and 1."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from tests.ops.build import NOWHERE, Array, assert_close, random_array, typed
from tests.ops.symbolic import ROWS, Row
from tests.ops.test_run_time_sizes import _array
from tests.together import together
from wsdl.differentiation.differentiate import differentiate
from wsdl.ir.graph import Graph, Lowered, Model, Module, Value
from wsdl.ir.types import TensorType
from wsdl.onnx.emit import emit
from wsdl.ops import OPERATIONS
from wsdl.ops.build import Build
from wsdl.ops.interpreter import evaluate
from wsdl.runtime.session import Session


def has_gradient(row: Row) -> bool:
    types = [t for x in row.types for t in (x if isinstance(x, list) else [x])]
    floats = any(t is not None and t.is_float for t in types) and "." not in row.gives  # no input has a part's shape
    return floats and OPERATIONS[row.op].rules.gradient is not None and row.attributes.get("dtype") != "i64"


def differentiated(row: Row, sizes: Mapping[str, int] | None = None) -> Graph:
    """The gradients of all operands of a weighted sum of the results; with `sizes`, of the same with known shapes."""
    graph = Graph()

    def input(type: TensorType, name: str) -> Value:
        known = type if sizes is None else type.with_shape(d.evaluate(sizes) for d in type.shape)
        graph.inputs.append(Value(known, name))
        return graph.inputs[-1]

    operands: list[Any] = [
        [input(t, f"x{i}_{j}") for j, t in enumerate(x)] if isinstance(x, list) else x and input(x, f"x{i}")
        for i, x in enumerate(row.types)
    ]
    wanted = [v for v in graph.inputs if v.type.is_float]
    for i, text in enumerate(row.beside):
        input(typed(text), f"beside{i}")
    build = Build(graph)
    attributes = row.attributes if sizes is None else {k: _known(a, sizes) for k, a in row.attributes.items()}
    parts = [
        build("sum", build("mul", result, input(result.type, f"weight{i}")))
        for i, result in enumerate(build.all(row.op, *operands, **attributes))
        if result.type.is_float
    ]
    gradients = differentiate(graph, build.add(parts), wanted)
    build = Build(graph)
    graph.outputs = [g if g is not None else build.zeros(v.type) for v, g in zip(wanted, gradients, strict=True)]
    return graph


def _known(attribute: Any, sizes: Mapping[str, int]) -> Any:
    if isinstance(attribute, list):
        return [_known(a, sizes) for a in attribute]
    return attribute.evaluate(sizes) if hasattr(attribute, "evaluate") else attribute


@together("row", filter(has_gradient, ROWS), by=lambda row: row.op, ids=lambda row: row.name)
def test_one_graph_for_all_sizes(row: Row) -> None:
    graph = differentiated(row)
    model = Model("test", graph, Module("test", "", NOWHERE), output_names=[f"g{i}" for i in range(len(graph.outputs))])
    session = Session(emit(Lowered(models={"test": model}), model, {}).SerializeToString())
    for given in row.sizes:
        sizes = {**given, "m": given.get("n", 0), "s": given.get("t", 0)}
        arrays = _arrays(row, graph, sizes)
        feeds = {v.name: a for v, a in zip(graph.inputs, arrays, strict=True)}
        results = session.run({name: a for name, a in feeds.items() if name in session.inputs})
        expected = evaluate(differentiated(row, sizes), arrays, {})
        for actual, of_numpy, of_known in zip(results.values(), evaluate(graph, arrays, {}), expected, strict=True):
            assert_close(actual, of_known, slack=10, least=0.01)
            np.testing.assert_allclose(of_numpy, of_known, rtol=1e-4, atol=1e-5)


def _arrays(row: Row, graph: Graph, sizes: Mapping[str, int]) -> list[Array]:
    operands = [_array(type, row.op, dict(sizes)) for type in row.types]
    flat = [a for x in operands for a in (x if isinstance(x, list) else [x]) if a is not None]
    return [*flat, *(random_array(v.type, v.name, sizes) for v in graph.inputs[len(flat) :])]
