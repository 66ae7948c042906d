"""Checks arrays against a signature: names, dtypes, shapes, and one size for each dynamic dimension."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wsdl.diagnostics import Diagnostic
from wsdl.diagnostics.run_error import RunError
from wsdl.diagnostics.suggest import nearest
from wsdl.ir.binding import SizeError, bind_sizes, rows_dimension
from wsdl.ir.dims import Dim
from wsdl.ir.dtypes import NUMPY, OF_NUMPY, numpy_dtype
from wsdl.ir.types import DType, TensorType, shape_text

Array = NDArray[Any]


def check_inputs(signature: Mapping[str, TensorType], inputs: Mapping[str, Any]) -> dict[str, Array]:
    """The arrays in the order of the signature. Raises `RunError` with everything that doesn't match.

    Python numbers and lists take the dtype of the signature; arrays must have it, in any byte order.
    """
    diagnostics = _wrong_names(signature, inputs)
    if diagnostics:
        raise RunError(diagnostics)
    arrays: dict[str, Array] = {}
    for name, expected in signature.items():
        array = as_array(inputs[name], expected.dtype)
        problem = _wrong_dtype(name, array, expected)
        if problem is None:
            arrays[name] = _native(array)
        else:
            diagnostics.append(problem)
    if not diagnostics:
        diagnostics = _wrong_shapes(signature, arrays)
    if diagnostics:
        raise RunError(diagnostics)
    return arrays


def rows_of(signature: Mapping[str, TensorType]) -> str:
    """The dynamic dimension that counts the rows of a batch. Raises `RunError` if there is none."""
    rows = rows_dimension(signature.values())
    if rows is None:
        message = "no input has a dynamic first dimension, so the model can't run in batches"
        raise RunError([Diagnostic("E0713", message)])
    return rows


def type_of(array: Array) -> TensorType:
    """The type of an array whose dtype the language has."""
    return TensorType(OF_NUMPY[array.dtype.name], tuple(map(Dim.of, array.shape)))


def as_array(value: Any, dtype: DType) -> Array:
    """`value` if it is an array, otherwise an array of the given dtype if its numbers are of that kind."""
    if isinstance(value, np.ndarray | np.generic):
        return np.asarray(value)
    array = np.asarray(value, dtype=object if _ragged(value) else None)
    target = numpy_dtype(dtype)
    kinds = {"f": "fiu", "i": "iu", "u": "iu", "b": "b", "V": "fiu"}[target.kind]
    if isinstance(value, bool | int | float | list | tuple) and array.dtype.kind in kinds:
        return array.astype(target)
    return array


def _ragged(value: Any) -> bool:
    try:
        np.asarray(value)
    except ValueError:
        return True
    return False


def _native(array: Array) -> Array:
    return array if array.dtype.isnative else array.astype(array.dtype.newbyteorder("="))


def _wrong_names(signature: Mapping[str, TensorType], given: Mapping[str, Any]) -> list[Diagnostic]:
    missing = [name for name in signature if name not in given]
    diagnostics = []
    for name in given:
        if name not in signature:
            close = nearest(name, missing or signature)
            inputs = ", ".join(f"`{n}`" for n in signature) or "none"
            help = f"did you mean `{close}`?" if close else f"the inputs are {inputs}"
            missing = [n for n in missing if n != close]
            diagnostics.append(Diagnostic("E0711", f"the model has no input `{name}`", help=help))
    for name in missing:
        message = f"the input `{name}`, {signature[name]}, is missing"
        there = ", ".join(f"`{n}`" for n in given) or "nothing"
        diagnostics.append(Diagnostic("E0711", message, help=f"the inputs given are: {there}"))
    return diagnostics


def _wrong_dtype(name: str, array: Array, expected: TensorType) -> Diagnostic | None:
    if OF_NUMPY.get(array.dtype.name) == expected.dtype:
        return None
    if array.dtype.kind == "O":
        message = f"`{name}` holds Python objects, not numbers in a regular array; {expected} is expected"
        return Diagnostic("E0712", message, help="do all its rows have the same length?")
    shape = shape_text(array.shape) if array.ndim != expected.rank else ""
    there = "text" if array.dtype.kind in "US" else OF_NUMPY.get(array.dtype.name, array.dtype.name)
    return Diagnostic(
        "E0712",
        f"`{name}` is {there}{shape}, but must be {expected}",
        help=_of_one_hot(name, array, expected) or _conversion(name, array, expected),
    )


def _conversion(name: str, array: Array, expected: TensorType) -> str | None:
    """How to convert an array, with what is easily forgotten."""
    dtype = expected.dtype
    if array.dtype.kind in "US":
        return f"number the classes: `numpy.unique({name}, return_inverse=True)[1]`" if expected.is_integer else None
    if array.dtype.kind not in "fiub":
        return None
    convert = f"`{name}.astype({_numpy_text(dtype)})` converts it"
    if array.dtype.name == "uint8" and numpy_dtype(dtype).kind == "f":
        return f"{convert}; images are often divided by 255 as well"
    if array.dtype.kind == "f" and numpy_dtype(dtype).kind in "iu":
        return f"{convert}, and drops the fractions"
    return convert


def _of_one_hot(name: str, array: Array, expected: TensorType) -> str | None:
    """How to get numbers of classes where the rows, by the first ones, are each a one among zeros."""
    if not expected.is_integer or array.ndim != expected.rank + 1 or array.dtype.kind not in "fiub" or not array.size:
        return None
    rows = array[:100]
    is_one_hot = ((rows == 0) | (rows == 1)).all() and (rows.sum(axis=-1) == 1).all()
    return f"its rows are one-hot: `{name}.argmax(axis=-1)` gives the numbers of the classes" if is_one_hot else None


def _numpy_text(dtype: DType) -> str:
    return "bool" if dtype == "bool" else "ml_dtypes.bfloat16" if dtype == "bf16" else f"numpy.{NUMPY[dtype]}"


def _wrong_shapes(signature: Mapping[str, TensorType], arrays: Mapping[str, Array]) -> list[Diagnostic]:
    try:
        bind_sizes(list(signature.values()), [a.shape for a in arrays.values()], list(signature))
    except SizeError as error:
        name = list(signature)[error.input]
        array, expected = arrays[name], signature[name]
        help = _of_one_hot(name, array, expected) or _missing_axis(name, array, expected)
        return [Diagnostic("E0713", error.message, help=help)]
    return []


def _missing_axis(name: str, array: Array, expected: TensorType) -> str | None:
    """Help for the two most common mistakes: a row without a batch axis, and images without, or with misplaced,
    channels."""
    sizes = [dim.constant for dim in expected.shape]

    def fits(shape: tuple[int, ...]) -> bool:
        return len(shape) == len(sizes) and all(s in (None, n) for s, n in zip(sizes, shape, strict=True))

    for axis in range(expected.rank):
        if fits((*array.shape[:axis], 1, *array.shape[axis:])):
            where = "None, " if axis == 0 else ":, " * axis + "None, "
            return f"`{name}[{where}...]` adds the missing axis"
    if array.ndim == 4 and fits((array.shape[0], array.shape[3], array.shape[1], array.shape[2])):
        return f"`{name}.transpose(0, 3, 1, 2)` moves the channels before height and width"
    return None
