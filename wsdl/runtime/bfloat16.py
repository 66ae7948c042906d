"""`bf16` arrays as inputs and outputs: ONNX Runtime has no NumPy dtype for them, so their bits are passed by
pointer."""

from __future__ import annotations

import ctypes
from collections.abc import Mapping, Sequence
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wsdl.ir.dtypes import ONNX, numpy_dtype

Array = NDArray[Any]


def run(session: Any, arrays: Mapping[str, Array]) -> Sequence[Array]:
    """The results of `session.run`, where some inputs or outputs are `bf16`."""
    from onnxruntime import OrtValue

    bfloat16 = numpy_dtype("bf16")
    values = {
        name: OrtValue.ortvalue_from_numpy_with_onnx_type(array.view(np.uint16), ONNX["bf16"])
        if array.dtype == bfloat16
        else OrtValue.ortvalue_from_numpy(array)
        for name, array in arrays.items()
    }
    results = session.run_with_ort_values(None, values)
    return [_bits(r).view(bfloat16) if r.data_type() == "tensor(bfloat16)" else r.numpy() for r in results]


def _bits(value: Any) -> Array:
    """A copy of the elements of a tensor of 16 bits each."""
    shape = tuple(value.shape())
    if prod(shape) == 0:
        return np.zeros(shape, np.uint16)
    pointer = ctypes.cast(value.data_ptr(), ctypes.POINTER(ctypes.c_uint16))
    return np.array(np.ctypeslib.as_array(pointer, shape))
