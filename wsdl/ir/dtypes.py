"""The names of dtypes in NumPy, ONNX (`TensorProto.DataType`), safetensors and ONNX Runtime."""

from __future__ import annotations

from typing import Any

from wsdl.ir.types import DType

NUMPY: dict[DType, str] = {
    "f16": "float16", "bf16": "bfloat16", "f32": "float32", "f64": "float64",
    "i8": "int8", "i16": "int16", "i32": "int32", "i64": "int64", "u8": "uint8", "bool": "bool",
}  # fmt: skip
ONNX: dict[DType, int] = {
    "f32": 1, "u8": 2, "i8": 3, "i16": 5, "i32": 6, "i64": 7, "bool": 9, "f16": 10, "f64": 11, "bf16": 16,
}  # fmt: skip
SAFETENSORS: dict[DType, str] = {
    "f16": "F16", "bf16": "BF16", "f32": "F32", "f64": "F64",
    "i8": "I8", "i16": "I16", "i32": "I32", "i64": "I64", "u8": "U8", "bool": "BOOL",
}  # fmt: skip

RUNTIME: dict[DType, str] = {
    "f16": "tensor(float16)", "bf16": "tensor(bfloat16)", "f32": "tensor(float)", "f64": "tensor(double)",
    "i8": "tensor(int8)", "i16": "tensor(int16)", "i32": "tensor(int32)", "i64": "tensor(int64)",
    "u8": "tensor(uint8)", "bool": "tensor(bool)",
}  # fmt: skip

OF_NUMPY: dict[str, DType] = {name: dtype for dtype, name in NUMPY.items()}
OF_ONNX: dict[int, DType] = {number: dtype for dtype, number in ONNX.items()}
OF_SAFETENSORS: dict[str, DType] = {name: dtype for dtype, name in SAFETENSORS.items()}
OF_RUNTIME: dict[str, DType] = {name: dtype for dtype, name in RUNTIME.items()}


def numpy_dtype(dtype: DType) -> Any:
    """The `numpy.dtype`; `bf16` is that of the package `ml_dtypes`, a dependency of `onnx`."""
    import numpy as np

    if dtype == "bf16":
        import ml_dtypes

        return np.dtype(ml_dtypes.bfloat16)
    return np.dtype(NUMPY[dtype])


def dtype_of(array: Any) -> DType:
    """The dtype of a NumPy array; KeyError for one that the language doesn't have."""
    return OF_NUMPY[array.dtype.name]
