"""ONNX files as sources of weights, also of those in external data."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import replace
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import ModelProto, TensorProto, external_data_helper, numpy_helper

from wsdl.diagnostics import CompileError
from wsdl.ir.dtypes import OF_ONNX, numpy_dtype
from wsdl.ir.weight_files import TensorInfo
from wsdl.weights.lost_names import recovered_names
from wsdl.weights.onnx_reads import Read, reads_in
from wsdl.weights.onnx_tensors import Array, OnnxTensors, Proto, dense, info_of, tensors_in
from wsdl.weights.source import Source, WeightsError, broken


def open_onnx(path: str | Path) -> Source:
    """The weights of an ONNX file. External data must be in the folder of the file."""
    return source_of(path, read_proto(path))


def source_of(path: str | Path, proto: ModelProto) -> Source:
    """The tensors that a model stores: its initializers, and what are weights among its constants and those of
    branches, loops and functions. Parameters whose names an exporter has lost also have those of the layers that read
    them, and are then as PyTorch has them, even if the file has them transposed."""
    found = tensors_in(path, proto)
    weights = {*found.weights()}
    tensors = {n: info_of(tensor) for n, tensor in found.tensors.items() if n not in found.inner or n in weights}
    aliases = {name: of for name, of in found.aliases.items() if of in tensors and name not in tensors}
    turned: dict[str, str] = {}
    for lost, recovered in recovered_names(reads_of(path, found), {*found.tensors, *found.aliases}).items():
        turned |= {one.name: lost for one in recovered.values() if one.transposed}
        aliases |= {one.name: lost for one in recovered.values() if not one.transposed}
    tensors |= {name: TensorInfo(tensors[of].dtype, tensors[of].shape[::-1]) for name, of in turned.items()}

    def read(name: str) -> Any:
        array = _read(path, found.tensors[turned.get(name, name)])
        return array.T if name in turned else array

    metadata = {p.key: p.value for p in proto.metadata_props}
    parts = {name: (of,) for name, of in turned.items()}
    return Source(str(path), tensors, aliases, reader=read, metadata=metadata, parts=parts)


def reads_of(path: str | Path, found: OnnxTensors) -> dict[str, list[Read]]:
    """Which nodes of the model at `path` read which of its tensors."""
    return reads_in(found, lambda name: _read(path, found.tensors[name]))


def _read(path: str | Path, tensor: Proto) -> Array:
    if isinstance(tensor, TensorProto):
        return read_tensor(path, tensor)
    return dense(tensor, read_tensor(path, tensor.values), read_tensor(path, tensor.indices))


def check_onnx(path: str | os.PathLike[str]) -> None:
    """Raises `CompileError` for defects that ONNX Runtime doesn't report: of two initializers with the same name it
    silently takes one, and on a pipe in place of external data it blocks. It reports all others itself."""
    try:
        for tensor in _external(os.fspath(path)):
            place_of_data(os.fspath(path), tensor, _external_data(tensor).get("location", ""))
    except WeightsError as error:
        [d] = error.diagnostics
        raise CompileError([replace(d, code="E0715")]) from None


def has_external_data(path: str) -> bool:
    """Whether the values of some tensors of an ONNX file lie in another file."""
    return any(_external(path))


def _external(path: str) -> Iterator[TensorProto]:
    """The tensors of a model whose values lie in another file."""
    for tensor in tensors_in(path, read_proto(path)).tensors.values():
        parts = [tensor] if isinstance(tensor, TensorProto) else [tensor.values, tensor.indices]
        yield from filter(external_data_helper.uses_external_data, parts)


def read_proto(path: str | Path) -> ModelProto:
    """The model in a file, without its external data."""
    content = Path(path).read_bytes()
    try:
        return onnx.load_from_string(content)
    except Exception as error:  # a class of protobuf, whose module has no types
        raise broken(path, "not an ONNX file, or incomplete") from error


def read_tensor(path: str | Path, tensor: TensorProto) -> Array:
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
