"""Outputs of a model: written to NumPy files, or summarized."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from math import isfinite
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from wsdl.atomic import write_file
from wsdl.diagnostics.run_error import fail
from wsdl.ir.dtypes import OF_NUMPY
from wsdl.ir.types import shape_text

Array = NDArray[Any]
FIRST = 5  # elements that a summary shows


@dataclass(frozen=True)
class Summary:
    """Summary of one output; minimum, mean and maximum are those of its finite elements, `None` if there are none."""

    name: str
    dtype: str
    shape: tuple[int, ...]
    min: float | None
    mean: float | None
    max: float | None
    first: tuple[float | int | bool | None, ...]
    not_finite: int

    @property
    def type(self) -> str:
        """`f32[8, 10]`."""
        return f"{self.dtype}{shape_text(self.shape)}"


def summary(name: str, array: Array) -> Summary:
    values = _plain(array).ravel()
    finite = values[np.isfinite(values)] if values.dtype.kind == "f" else values
    low, mean, high = (float(f(finite)) if finite.size else None for f in (np.min, np.mean, np.max))
    first = tuple(v if not isinstance(v, float) or isfinite(v) else None for v in values[:FIRST].tolist())
    dtype = OF_NUMPY.get(array.dtype.name, array.dtype.name)
    return Summary(name, dtype, array.shape, low, mean, high, first, values.size - finite.size)


def save_results(path: str | os.PathLike[str], arrays: Mapping[str, Array]) -> None:
    """Write outputs by name to a `.npz`, or a single one to a `.npy`, atomically."""
    suffix = Path(path).suffix.lower()
    plain = {name: _plain(array) for name, array in arrays.items()}
    if suffix == ".npy" and len(plain) == 1:
        [array] = plain.values()

        def write(file: BinaryIO) -> None:
            np.save(file, array, allow_pickle=False)

    elif suffix == ".npz":

        def write(file: BinaryIO) -> None:
            np.savez(file, **plain)  # type: ignore[arg-type] # typeshed takes the arrays for a flag

    else:
        help = "outputs are written to a .npz file, a single one also to a .npy file"
        raise fail("E0704", f"outputs can't be written as `{os.fspath(path)}`", help=help)
    write_file(os.fspath(path), write)


def _plain(array: Array) -> Array:
    """The array in a dtype that NumPy files have: bf16 is converted to f32, without loss."""
    return array.astype(np.float32) if array.dtype.name == "bfloat16" else array
