"""Stored tensors that are read through a view: the file holds them once, and transposes none of them."""

from __future__ import annotations

import numpy as np
import pytest

from tests.ops.build import Array, Built, assert_close, evaluated, random_array, typed
from wsdl.ir.types import TensorType
from wsdl.ir.views import View

MATRIX, CUBE = View.identity([6, 4]), View.identity([2, 6, 4])

MATMULS = [  # what is stored as an operand, and the other one
    (1, MATRIX.transposed, "f32[n, 4]"),
    (1, MATRIX.transposed, "f32[n, t, 4]"),
    (1, MATRIX.transposed, "f32[n, 2, t, 4]"),
    (1, MATRIX.transposed, "f32[4]"),
    (1, MATRIX, "f32[n, t, 6]"),
    (0, MATRIX.transposed, "f32[6, n]"),
    (0, MATRIX.transposed, "f32[6]"),
    (0, MATRIX.transposed, "f32[n, 6, t]"),
    (0, MATRIX, "f32[4, n]"),
    (1, CUBE.permute([0, 2, 1]), "f32[n, 2, t, 4]"),
    (0, CUBE.permute([0, 2, 1]), "f32[n, 2, 6, t]"),
    (1, View.identity([4, 4]).transposed, "f32[n, 4]"),
    (1, View.identity([1, 4]).transposed, "f32[n, t, 4]"),
    (0, View.identity([6, 1]).transposed, "f32[6, n]"),
]


@pytest.mark.parametrize(("place", "view", "other"), MATMULS, ids=lambda p: str(p) or "whole")
def test_matmul(place: int, view: View, other: str) -> None:
    stored = random_array(TensorType.of("f32", view.source), "stored")
    types = [typed(other), TensorType.of("f32", view.shape)]
    built = Built("matmul", types if place == 1 else types[::-1], {}, stored={place: (stored, view)})
    assert _reads_stored_directly(built)
    for sizes in ({"n": 3, "t": 5}, {"n": 0, "t": 5}, {"n": 1, "t": 1}):
        arrays = [random_array(types[0], "other", sizes), view.of(stored)]
        operands = arrays if place == 1 else arrays[::-1]
        _check(built, operands, {})


def test_matmul_of_a_view_that_has_no_transposition() -> None:
    view = View.identity([4, 3]).transposed.reshape([2, 6])  # rows of 6 out of columns of 4
    stored = random_array(TensorType.of("f32", view.source), "stored")
    built = Built("matmul", [typed("f32[n, 2]"), TensorType.of("f32", view.shape)], {}, stored={1: (stored, view)})
    _check(built, [random_array(typed("f32[n, 2]"), "other", {"n": 3}), view.of(stored)], {})


def test_matmul_of_two_stored_matrices() -> None:
    a, b = (random_array(typed(t), t) for t in ("f32[6, 4]", "f32[5, 6]"))
    views = [View.identity(x.shape).transposed for x in (a, b)]
    types = [TensorType.of("f32", v.shape) for v in views]
    built = Built("matmul", types, {}, stored={0: (a, views[0]), 1: (b, views[1])}, beside=[typed("f32[n]")])
    assert _reads_stored_directly(built)
    (expected,) = evaluated("matmul", [a.T, b.T], {})
    assert_close(built.session().run(None, {"beside0": np.zeros(1, np.float32)})[0], expected)


@pytest.mark.parametrize("axis", [0, 1, -1])
@pytest.mark.parametrize("indices", ["i64[]", "i64[3]", "i32[2, 3]", "i64[0, 2]"])
@pytest.mark.parametrize(
    "view",
    [MATRIX, MATRIX.transposed, CUBE.permute([2, 0, 1]), CUBE.permute([1, 0, 2])],
    ids=lambda v: str(v) or "whole",
)
def test_gather(view: View, indices: str, axis: int) -> None:
    stored = random_array(TensorType.of("f32", view.source), "stored")
    types = [TensorType.of("f32", view.shape), typed(indices)]
    built = Built("gather", types, {"axis": axis}, stored={0: (stored, view)})
    assert _reads_stored_directly(built)
    picks = np.abs(random_array(types[1], "indices")) % view.shape[axis]
    _check(built, [view.of(stored), np.asarray(picks, picks.dtype)], {"axis": axis})


def _reads_stored_directly(built: Built) -> bool:
    graph = built.proto.graph
    assert sum(tensor.name in built.values for tensor in graph.initializer) == len(built.values)
    readers = [node for node in graph.node if set(node.input) & built.values.keys()]
    return bool(readers) and all(node.op_type in ("MatMul", "Gemm", "Gather") for node in readers)


def _check(built: Built, operands: list[Array], attributes: dict[str, int]) -> None:
    (expected,) = evaluated(built.operation.name, operands, attributes)
    assert_close(built.session().run(None, built.feeds(operands))[0], expected)
