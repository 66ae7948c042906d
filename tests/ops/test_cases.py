"""Every row of the tables: the NumPy reference against PyTorch, the ONNX lowering against the reference."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from tests.ops.build import NOWHERE, Array, Built, array_type, assert_close, evaluated, random_array
from tests.ops.case import Case, from_example
from tests.ops.cases import (
    boxes,
    dropout,
    edges,
    elementwise,
    loss,
    matmul,
    movement,
    norm,
    partition,
    random,
    recurrent,
    reduce,
    segment,
    sort,
    spatial,
    spectral,
)
from tests.ops.onnx_macs import multiplications_in
from tests.together import together
from wsdl.ir.graph import Graph, Lowered, Model, Module, Value
from wsdl.ir.types import TensorType
from wsdl.onnx.emit import emit
from wsdl.ops import NAMED
from wsdl.ops.build import Build
from wsdl.runtime.session import Session

FAMILIES = (
    elementwise, matmul, reduce, sort, movement, spatial, spectral, boxes, norm, loss, dropout, random, recurrent,
    edges, segment, partition,
)  # fmt: skip
CASES = [case for family in FAMILIES for case in family.CASES]
WITH_ROWS = {case.op for case in CASES} - {"tanh"}  # of which rows are made too, so that what makes them is tested
CASES += [
    case
    for operation in NAMED.values()
    if operation.elementwise and operation.examples and operation.name not in WITH_ROWS
    for case in from_example(operation)
]


@together("case", CASES, by=lambda case: case.op, ids=lambda case: case.name)
@pytest.mark.filterwarnings("ignore:(var|std)")
def test_reference_and_lowering(case: Case) -> None:
    arrays = case.arrays
    results = evaluated(case.op, arrays, case.attributes)
    expected = case.torch(*map(to_torch, arrays))
    expected = expected if isinstance(expected, tuple | list) else [expected]
    for result, tensor in zip(results, expected, strict=True):
        assert_close(result, to_numpy(tensor).astype(result.dtype), case.slack)

    types: Any = [
        [array_type(a) for a in x] if isinstance(x, list) else x if x is None else array_type(x) for x in arrays
    ]
    built = Built(case.op, types, case.attributes)
    in_file = multiplications_in(built.proto)
    if in_file or case.op != "conv_weight_gradient":  # that of a depthwise one is written as `Mul` and `ReduceSum`
        assert built.macs.constant == in_file, f"`macs` of `{case.op}`, against its ONNX nodes"
    if case.in_reach:
        for actual, result in zip(built.session().run(None, built.feeds(arrays)), results, strict=True):
            assert_close(actual, result, case.slack)


def to_torch(array: Any) -> Any:
    if isinstance(array, list):
        return [to_torch(a) for a in array]
    if array is None:
        return None
    if array.dtype.name == "bfloat16":
        return torch.from_numpy(array.astype(np.float32)).bfloat16()
    return torch.tensor(np.asarray(array))


def to_numpy(tensor: torch.Tensor) -> Array:
    return tensor.float().numpy() if tensor.dtype == torch.bfloat16 else tensor.numpy()


@pytest.mark.parametrize("shape", [[3, 4], [2, 3, 4]], ids=str)
def test_a_transposed_matrix_times_a_vector(shape: list[int]) -> None:
    """ONNX Runtime 1.32 melts the two into one product, which is wrong."""
    graph = Graph([Value(TensorType.of("f32", shape), "a"), Value(TensorType.of("f32", [3]), "v")])
    build = Build(graph)
    axes = [*range(len(shape) - 2), len(shape) - 1, len(shape) - 2]
    graph.outputs = [build("matmul", build("permute", graph.inputs[0], axes=axes), graph.inputs[1])]
    model = Model("m", graph, Module("m", "", NOWHERE), output_names=["y"])
    session = Session(emit(Lowered(models={"m": model}), model, {}).SerializeToString())
    a, v = random_array(graph.inputs[0].type, "a"), random_array(graph.inputs[1].type, "v")
    assert_close(session.run({"a": a, "v": v})["y"], np.swapaxes(a, -1, -2) @ v)
