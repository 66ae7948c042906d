"""Columns of Arrow tables as arrays and back: a row holds a number, or lists of numbers of equal length."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wsdl.diagnostics.run_error import fail
from wsdl.ir.types import DType, TensorType

Array = NDArray[Any]
NUMERIC = "biuf"  # kinds of NumPy dtypes that hold numbers
_ARROW: dict[DType, str] = {
    "f16": "float16", "bf16": "float32", "f32": "float32", "f64": "float64",
    "i8": "int8", "i16": "int16", "i32": "int32", "i64": "int64", "u8": "uint8", "bool": "bool_",
}  # fmt: skip


def array_of(column: Any) -> Array | None:
    """The array of a `pyarrow` column, `[rows, …]`; `None` if it doesn't hold numbers, or lists of unequal length."""
    from pyarrow import types

    values = column.combine_chunks() if hasattr(column, "combine_chunks") else column
    if hasattr(values, "to_numpy_ndarray"):  # Arrow's own type of tensors
        tensors: Array = values.to_numpy_ndarray()
        return tensors
    shape = [len(values)]
    while types.is_list(values.type) or types.is_large_list(values.type) or types.is_fixed_size_list(values.type):
        size = _length(values)
        if size is None:
            return None
        shape.append(size)
        values = values.flatten()
    array: Array = values.to_numpy(zero_copy_only=False)
    return array.reshape(shape) if array.dtype.kind in NUMERIC else None


def _length(lists: Any) -> int | None:
    """The length of all lists, `None` if they differ or some are missing; 0 if there are no lists."""
    from pyarrow import compute

    if lists.null_count:
        return None
    if hasattr(lists.type, "list_size"):
        return int(lists.type.list_size)
    least, most = (compute.min_max(compute.list_value_length(lists))[key].as_py() for key in ("min", "max"))
    return (least or 0) if least == most else None


def arrow_type(type: TensorType) -> Any:
    """The `pyarrow` type of a column whose rows are those of the first axis: a number, or nested lists, with their
    length if it is known."""
    import pyarrow

    inner = getattr(pyarrow, _ARROW[type.dtype])()
    for dim in reversed(type.shape[1:]):
        size = dim.constant
        inner = pyarrow.list_(inner, size) if size else pyarrow.list_(inner)  # Arrow has no lists of fixed length 0
    return inner


def column_of(array: Array, type: TensorType) -> Any:
    """The `pyarrow` column of an array `[rows, …]` of a type, as `arrow_type` says. bf16 becomes f32, without loss."""
    plain = array.astype(np.float32) if type.dtype == "bf16" else array
    return _nested(np.ascontiguousarray(plain), arrow_type(type))


def _nested(array: Array, type: Any) -> Any:
    import pyarrow

    if array.ndim == 1:
        return pyarrow.array(array, type)
    rows, size = array.shape[:2]
    inner = _nested(array.reshape(rows * size, *array.shape[2:]), type.value_type)
    if hasattr(type, "list_size"):
        return pyarrow.FixedSizeListArray.from_arrays(inner, type=type)
    starts = pyarrow.array(np.arange(rows + 1) * size, pyarrow.int32())
    return pyarrow.ListArray.from_arrays(starts, inner, type=type)


# -- the columns of each array -----------------------------------------------------------------------------------------


def grouped(path: str, names: Sequence[str]) -> dict[str, list[str]]:
    """The columns of each array: itself, or for `x` the columns `x.0`, `x.1`, …, which together are its rows. Raises
    `RunError` (E0717) if two columns have the same name, or one of several is missing."""
    twice = next((name for i, name in enumerate(names) if name in names[:i]), None)
    if twice is not None:
        raise fail("E0717", f"the table has two columns `{twice}`", file=path)
    arrays: dict[str, list[str]] = {}
    for name in names:
        base, dot, number = name.rpartition(".")
        if not (dot and number.isdecimal()):
            arrays[name] = [name]
            continue
        if base in names:
            message = f"the columns `{base}` and `{name}` conflict: `{name}` is a part of `{base}`"
            raise fail("E0717", message, file=path)
        if base not in arrays:
            count = next(i for i in range(len(names) + 1) if f"{base}.{i}" not in names)
            arrays[base] = [f"{base}.{i}" for i in range(count)]
        if int(number) >= len(arrays[base]):
            missing = f"{base}.{len(arrays[base])}"
            raise fail("E0717", f"there is a column `{name}`, but no `{missing}`", file=path)
    return arrays


def joined(path: str, name: str, columns: Mapping[str, Array | None], parts: Sequence[str]) -> Array:
    """The array of one or several columns. Raises `RunError` (E0718) if one doesn't hold numbers."""
    arrays = []
    for part in parts:
        array = columns[part]
        if array is None:
            message = f"the column `{part}` must hold numbers, or lists of numbers of equal length"
            raise fail("E0718", message, file=path)
        arrays.append(array)
    return arrays[0] if parts == [name] else np.stack(arrays, axis=1)
