"""ONNX files as sources of weights: their initializers, also those in external data."""

from __future__ import annotations

import os
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, external_data_helper, numpy_helper

from wsdl.ir.dtypes import OF_ONNX, numpy_dtype
from wsdl.ir.loading import TensorInfo
from wsdl.onnx.source import Source, broken


def open_onnx(path: str | Path) -> Source:
    """The initializers of an ONNX file. External data must lie in the file's own folder."""
    content = Path(path).read_bytes()
    try:
        proto = onnx.load_from_string(content)
    except Exception as error:  # protobuf's own class, whose module has no types
        raise broken(path, "this is no ONNX file, or its end is missing") from error
    tensors = {tensor.name: tensor for tensor in proto.graph.initializer}
    infos = {name: _info(path, tensor) for name, tensor in tensors.items()}
    metadata = {p.key: p.value for p in proto.metadata_props}
    return Source(str(path), infos, reader=lambda name: read_tensor(path, tensors[name]), metadata=metadata)


def _info(path: str | Path, tensor: TensorProto) -> TensorInfo:
    if any(size < 0 for size in tensor.dims):
        raise broken(path, f"the initializer `{tensor.name}` has a negative size")
    dtype = OF_ONNX.get(tensor.data_type) or TensorProto.DataType.Name(tensor.data_type).lower()
    return TensorInfo(dtype, tuple(tensor.dims))


def read_tensor(path: str | Path, tensor: TensorProto) -> np.ndarray[Any, Any]:
    """An initializer of the ONNX file at `path`; external data are memory-mapped."""
    if not external_data_helper.uses_external_data(tensor):
        return numpy_helper.to_array(tensor)
    entries = {entry.key: entry.value for entry in tensor.external_data}
    place = place_of_data(path, tensor, entries.get("location", ""))
    if tensor.data_type not in OF_ONNX:
        raise broken(path, f"the language has no dtype for `{tensor.name}`")
    dtype = numpy_dtype(OF_ONNX[tensor.data_type])
    offset, needed = int(entries.get("offset", 0)), prod(tensor.dims) * dtype.itemsize
    if offset < 0 or offset + needed > os.path.getsize(place) or int(entries.get("length", needed)) != needed:
        raise broken(path, f"the data of `{tensor.name}` go beyond the end of {place.name}; is that file complete?")
    if needed == 0:
        return np.zeros(tuple(tensor.dims), dtype)
    return np.memmap(place, dtype, "r", offset, tuple(tensor.dims))


def place_of_data(path: str | Path, tensor: TensorProto, location: str) -> Path:
    """The file with external data, which must be an ordinary one in the folder of the model or below."""
    folder = Path(path).resolve().parent
    place = (folder / location).resolve()
    if not location or os.path.isabs(location) or not place.is_relative_to(folder):
        raise broken(path, f"the data of `{tensor.name}` are said to lie in {location!r}, outside the model's folder")
    if not place.is_file():
        raise broken(path, f"the data of `{tensor.name}` should lie in {location}, which is not there")
    return place
