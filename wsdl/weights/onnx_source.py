"""ONNX files as sources of weights: their initializers, also those in external data."""

from __future__ import annotations

import os
from dataclasses import replace
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import ModelProto, TensorProto, external_data_helper, numpy_helper

from wsdl.diagnostics import CompileError
from wsdl.ir.dtypes import OF_ONNX, numpy_dtype
from wsdl.ir.weight_files import TensorInfo, are_sizes
from wsdl.weights.source import Source, WeightsError, broken


def open_onnx(path: str | Path) -> Source:
    """The initializers of an ONNX file. External data must be in the folder of the file."""
    proto = read_proto(path)
    tensors = initializers(path, proto)
    infos = {name: TensorInfo(dtype_name(t.data_type), tuple(t.dims)) for name, t in tensors.items()}
    metadata = {p.key: p.value for p in proto.metadata_props}
    return Source(str(path), infos, reader=lambda name: read_tensor(path, tensors[name]), metadata=metadata)


def check_onnx(path: str | os.PathLike[str]) -> None:
    """Raises `CompileError` for defects that ONNX Runtime doesn't report: of two initializers with the same name it
    silently takes one, and on a pipe in place of external data it blocks. It reports all others itself."""
    try:
        for tensor in initializers(os.fspath(path), read_proto(os.fspath(path))).values():
            if external_data_helper.uses_external_data(tensor):
                place_of_data(os.fspath(path), tensor, _external_data(tensor).get("location", ""))
    except WeightsError as error:
        [d] = error.diagnostics
        raise CompileError([replace(d, code="E0715")]) from None


def has_external_data(path: str) -> bool:
    """Whether the values of some initializers of an ONNX file lie in another file."""
    return any(map(external_data_helper.uses_external_data, initializers(path, read_proto(path)).values()))


def read_proto(path: str | Path) -> ModelProto:
    """The model in a file, without its external data."""
    content = Path(path).read_bytes()
    try:
        return onnx.load_from_string(content)
    except Exception as error:  # a class of protobuf, whose module has no types
        raise broken(path, "not an ONNX file, or incomplete") from error


def initializers(path: str | Path, proto: ModelProto) -> dict[str, TensorProto]:
    """The initializers of a model by name. Raises `WeightsError` for duplicate names and impossible shapes."""
    tensors: dict[str, TensorProto] = {}
    for tensor in proto.graph.initializer:
        if tensor.name in tensors:
            raise broken(path, f"two initializers have the same name, `{tensor.name}`")
        if not are_sizes(list(tensor.dims)):
            raise broken(path, f"the initializer `{tensor.name}` has an invalid shape")
        tensors[tensor.name] = tensor
    return tensors


def dtype_name(number: int) -> str:
    """The language's name of a `TensorProto.DataType`, otherwise that of ONNX, or `type N` if it is unknown."""
    if number in OF_ONNX:
        return OF_ONNX[number]
    return TensorProto.DataType.Name(number).lower() if number in TensorProto.DataType.values() else f"type {number}"


def read_tensor(path: str | Path, tensor: TensorProto) -> np.ndarray[Any, Any]:
    """An initializer of the ONNX file at `path`; external data is memory-mapped."""
    if not external_data_helper.uses_external_data(tensor):
        return numpy_helper.to_array(tensor)
    entries = _external_data(tensor)
    file = place_of_data(path, tensor, entries.get("location", ""))
    if tensor.data_type not in OF_ONNX:
        raise broken(path, f"the dtype of `{tensor.name}` isn't supported")
    dtype = numpy_dtype(OF_ONNX[tensor.data_type])
    offset, needed = int(entries.get("offset", 0)), prod(tensor.dims) * dtype.itemsize
    if offset < 0 or offset + needed > os.path.getsize(file) or int(entries.get("length", needed)) != needed:
        raise broken(path, f"the data of `{tensor.name}` ends after the end of {file.name}; is that file complete?")
    if needed == 0:
        return np.zeros(tuple(tensor.dims), dtype)
    return np.memmap(file, dtype, "r", offset, tuple(tensor.dims))


def _external_data(tensor: TensorProto) -> dict[str, str]:
    return {entry.key: entry.value for entry in tensor.external_data}


def place_of_data(path: str | Path, tensor: TensorProto, location: str) -> Path:
    """The file with external data, which must be a regular file in the folder of the model or below."""
    folder = Path(path).resolve().parent
    file = (folder / location).resolve()
    if not location or os.path.isabs(location) or not file.is_relative_to(folder):
        raise broken(path, f"the data of `{tensor.name}` is in {location!r}, outside the model's folder")
    if not file.is_file():
        raise broken(path, f"the data of `{tensor.name}` should be in {location}, which doesn't exist")
    return file
