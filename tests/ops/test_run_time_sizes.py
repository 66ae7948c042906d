"""Shape rules on dynamic dimensions, and one model that runs at many of them, also at 0 and 1."""

from __future__ import annotations

from typing import Any

import numpy as np

from tests.ops.build import Array, Built, assert_close, evaluated, random_array, typed
from tests.ops.symbolic import ROWS, Row
from tests.together import together
from wsdl.ir.types import TensorType

POSITIVE = ("log", "sqrt", "rsqrt", "pow", "floordiv", "mod", "div", "batch_norm")  # undefined for some numbers


@together("row", ROWS, by=lambda row: row.op, ids=lambda row: row.name)
def test_types_and_runs(row: Row) -> None:
    beside = [typed(t) for t in row.beside]
    built = Built(row.op, row.types, row.attributes, beside=beside)
    assert " ".join(str(value.type) for value in built.results) == row.gives
    session = built.session()
    for given in row.sizes:
        sizes = {**given, "m": given.get("n", 0), "s": given.get("t", 0)}
        operands = [_array(type, row.op, sizes) for type in row.types]
        feeds = built.feeds(operands, [random_array(t, "beside", sizes) for t in beside])
        expected = evaluated(row.op, operands, row.attributes, sizes)
        for actual, array in zip(session.run(None, feeds), expected, strict=True):
            assert_close(actual, array, slack=3)


def _array(type: TensorType | list[TensorType] | None, op: str, sizes: dict[str, int]) -> Any:
    if isinstance(type, list):
        return [_array(t, op, sizes) for t in type]
    if type is None:
        return None
    array: Array = random_array(type, op, sizes)
    return np.asarray(np.abs(array) + 1 if op in POSITIVE else np.abs(array) % 5 if type.is_integer else array)
