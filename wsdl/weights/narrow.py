"""Arrays in the dtype in which they are stored: a value too large for it is an error, never infinity."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from wsdl.diagnostics import Diagnostic
from wsdl.diagnostics.span import Span
from wsdl.ir.dtypes import dtype_of
from wsdl.weights.source import WeightsError


def as_stored(
    array: NDArray[Any], dtype: Any, subject: str, span: Span | None = None, file: str | None = None
) -> NDArray[Any]:
    """`array` as `dtype`; raises `WeightsError` (E0514) if a finite value would become infinite. `subject` names the
    tensor in the message, `span` or `file` is its origin."""
    with np.errstate(over="ignore"):
        stored = array.astype(dtype, copy=False)
    if stored.dtype != array.dtype and stored.dtype.itemsize < array.dtype.itemsize and stored.dtype.kind in "fV":
        lost = np.isinf(stored) & np.isfinite(array)
        if lost.any():
            many, largest = int(lost.sum()), float(np.abs(array[lost]).max())
            values = f"{many} values" if many > 1 else "a value"
            message = f"{subject} has {values} too large for {dtype_of(stored)}, up to {largest:.4g}"
            help = "`--dtype bf16` has the range of f32" if dtype_of(stored) == "f16" else None
            raise WeightsError([Diagnostic("E0514", message, span, file=file, help=help)])
    return stored
