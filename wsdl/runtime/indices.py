"""Checks that indices and labels in data are in range; errors name the input, the row and the value."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wsdl.diagnostics.run_error import RunError, fail
from wsdl.onnx.index_reads import IndexRead

Array = NDArray[Any]
AT_ONCE = 1 << 20  # elements of an array checked at a time, since it may be larger than memory


def check_indices(reads: Iterable[IndexRead], arrays: Mapping[str, Array], first_row: int = 0) -> None:
    """Raises `RunError` for the first index that is out of range. The arrays may be part of a data set, from
    `first_row` on."""
    for read in reads:
        if read.name in arrays:
            _check(read, np.atleast_1d(arrays[read.name]), first_row)


def _check(read: IndexRead, array: Array, first_row: int) -> None:
    rows = max(AT_ONCE // max(array[:1].size, 1), 1)
    for start in range(0, len(array), rows):
        part = array[start : start + rows]
        if not part.size or (part.min() >= read.low and part.max() <= read.high):
            continue
        wrong = (part < read.low) | (part > read.high)
        if read.ignored is not None:
            wrong &= part != read.ignored
        if wrong.any():
            position = tuple(np.argwhere(wrong)[0])
            row = int(position[0]) + start + first_row
            raise _beyond(read, int(part[position]), (row, *map(int, position[1:])))


def _beyond(read: IndexRead, number: int, position: tuple[int, ...]) -> RunError:
    where = f"row {position[0]}" if len(position) == 1 else f"row {position[0]}, at [{', '.join(map(str, position))}]"
    there, help = f"valid indices are {read.low} to {read.high}", None
    if read.ignored is not None:
        there = f"the classes are {read.low} to {read.high}"
        help = f"rows with the label {read.ignored} are ignored; `ignore_index=…` sets another label"
    message = f"`{read.name}` holds {number} in {where}, where {there}"
    return fail("E0728", message, help=help, details=[f"looked up in {read.source}"] if read.source else [])
