"""What an operation says of rows: cut along an axis that it doesn't mix, the results of the parts are the parts of the
result."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from tests.ops.build import evaluated, random_array
from tests.ops.symbolic import ROWS, Row
from tests.together import together
from wsdl.ir.graph import Node, Value
from wsdl.ir.types import TensorType
from wsdl.ops import OPERATIONS, collecting_assumptions
from wsdl.training.rows import Rows

# Where each part has statistics, masks or random numbers of its own; the size itself, which is known of the whole; and
# rows by group, which are cut with their groups (tests/training/test_partition.py).
BY_DEFINITION = (
    "batch_norm_training", "random_mask", "uniform_numbers", "normal_numbers", "size", "partition_rows",
    "partition_like", "unpartition",
)  # fmt: skip
SIZES = {"n": 4, "t": 6, "c": 3, "d": 3, "m": 4, "s": 6}


def node_of(row: Row) -> Node:
    """As in a graph, of new values."""
    operation = OPERATIONS[row.op]
    names = [p.name for p in operation.operands]
    attributes = {p.name: p.default for p in operation.parameters if p.kind == "attribute" and not p.required}
    attributes |= row.attributes
    results = operation.result_types(**dict(zip(names, row.types, strict=False)), **attributes)
    operands: list[Value | list[Value] | None] = [
        [Value(t) for t in g] if isinstance(g, list) else Value(g) if g else None for g in row.types
    ]
    return Node(row.op, operands, attributes, [Value(t) for t in results])


def can_be_cut(row: Row, name: str) -> bool:
    """Is there something to be cut, by an operation that says that it can be?"""
    if OPERATIONS[row.op].is_expanded or row.op in BY_DEFINITION:
        return False
    with collecting_assumptions() as assumed:
        node = node_of(row)
    rows = Rows(name)
    return not assumed and rows.meet(node) is None and rows.are_in(*(v.type for v in [*node.inputs, *node.results]))


def part(array: Any, type: TensorType, name: str, low: int, high: int) -> Any:
    for axis in Rows(name).axes(type):
        each = type.shape[axis].evaluate({**SIZES, name: 1})
        array = np.take(array, range(low * each, high * each), axis)
    return array


@together("row", ROWS, by=lambda row: row.op, ids=lambda row: row.name)
def test_what_does_not_mix_rows_can_be_cut(row: Row) -> None:
    for name in ("n", "t"):
        if can_be_cut(row, name):
            check_parts(row, name)


def check_parts(row: Row, name: str) -> None:
    """The results of two parts of the rows are the parts of the results of all."""
    node = node_of(row)
    types = [v.type for v in node.inputs]
    whole = [random_array(t, f"{row.op} {i}", SIZES) for i, t in enumerate(types)]
    whole = [np.abs(a) % 4 if a.dtype.kind == "i" else a for a in whole]

    def run(arrays: list[Any], sizes: dict[str, int]) -> Sequence[Any]:
        rest = iter(arrays)
        operands = [
            [next(rest) for _ in o] if isinstance(o, list) else next(rest) if o else None for o in node.operands
        ]
        return evaluated(row.op, operands, row.attributes, sizes)

    wanted = run(whole, SIZES)
    for low, high in ((0, 2), (2, SIZES[name])):
        cut = [part(a, t, name, low, high) for a, t in zip(whole, types, strict=True)]
        got = run(cut, {**SIZES, name: high - low})
        for actual, array, value in zip(got, wanted, node.results, strict=True):
            np.testing.assert_allclose(actual, part(array, value.type, name, low, high), rtol=1e-5, atol=1e-6)


def test_most_operations_can_be_cut() -> None:
    """So that the test above looks at them."""
    cut = {row.op for row in ROWS for name in ("n", "t") if can_be_cut(row, name)}
    never = {o.name for o in OPERATIONS.values() if not o.is_expanded and not o.expanded_by} - cut - set(BY_DEFINITION)
    assert never == {
        "arange",
        "concat",
        "constant",
        "conv_weight_gradient",
        "cross_entropy",
        "fourier_step",
        "max_pool_indices",
        "max_unpool",
        "mel_filters",
        "resize_matrix",
        "spectral_basis",
        "sum_squares",
        "tile",
    }
