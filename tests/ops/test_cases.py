"""Every row of the tables: the NumPy reference against PyTorch, the ONNX lowering against the reference."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from tests.ops.build import Array, Built, array_type, assert_close, evaluated
from tests.ops.case import Case
from tests.ops.cases import dropout, elementwise, loss, matmul, movement, norm, reduce, spatial

FAMILIES = (elementwise, matmul, reduce, movement, spatial, norm, loss, dropout)
CASES = [case for family in FAMILIES for case in family.CASES]
every_case = pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)


@every_case
@pytest.mark.filterwarnings("ignore:var")
def test_reference(case: Case) -> None:
    results = evaluated(case.op, case.arrays(), case.attributes)
    expected = case.torch(*map(to_torch, case.arrays()))
    expected = expected if isinstance(expected, tuple | list) else [expected]
    for actual, tensor in zip(results, expected, strict=True):
        assert_close(actual, to_numpy(tensor).astype(actual.dtype), case.slack)


@every_case
def test_lowering(case: Case) -> None:
    arrays = case.arrays()
    types: Any = [
        [array_type(a) for a in x] if isinstance(x, list) else x if x is None else array_type(x) for x in arrays
    ]
    built = Built(case.op, types, case.attributes)
    if not case.in_reach:
        return
    for actual, expected in zip(
        built.session().run(None, built.feeds(arrays)), evaluated(case.op, arrays, case.attributes), strict=True
    ):
        assert_close(actual, expected, case.slack)


def to_torch(array: Any) -> Any:
    if isinstance(array, list):
        return [to_torch(a) for a in array]
    if array is None:
        return None
    if array.dtype.name == "bfloat16":
        return torch.from_numpy(array.astype(np.float32)).bfloat16()
    return torch.from_numpy(np.asarray(array))


def to_numpy(tensor: torch.Tensor) -> Array:
    return tensor.float().numpy() if tensor.dtype == torch.bfloat16 else tensor.numpy()
