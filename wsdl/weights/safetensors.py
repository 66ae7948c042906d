"""The safetensors format: a length, a JSON header, the tensors' bytes.

Why this is not the package `safetensors`: `docs/decisions/0042-safetensors-without-the-package.md`. The tests compare
it with that package, also on damaged files.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from math import prod
from pathlib import Path
from typing import Any, BinaryIO

from wsdl.atomic import Writer, write_file
from wsdl.diagnostics import limits
from wsdl.ir.dtypes import OF_SAFETENSORS, SAFETENSORS, dtype_of, numpy_dtype
from wsdl.ir.types import BYTES
from wsdl.ir.weight_files import TensorInfo, are_sizes
from wsdl.weights.source import Source, broken

_FOREIGN = {"U16": 2, "U32": 4, "U64": 8, "F8_E4M3": 1, "F8_E5M2": 1, "C64": 8}  # bytes of unsupported dtypes


def open_safetensors(path: str | Path) -> Source:
    """The listing of a file, checked against its size."""
    size = os.path.getsize(path)
    with open(path, "rb") as file:
        length = int.from_bytes(file.read(8), "little") if size >= 8 else -1
        if not 2 <= length <= min(limits.HEADER, size - 8):
            raise broken(path, "not a safetensors file, or incomplete: its header ends after the end of the file")
        header = _parsed(path, file.read(length))
    metadata = header.pop("__metadata__", {})
    if not isinstance(metadata, dict) or not all(isinstance(value, str) for value in metadata.values()):
        raise broken(path, "the metadata in the header isn't a mapping of strings")
    start, ranges, tensors = 8 + length, {}, {}
    for name, entry in header.items():
        tensors[name], ranges[name] = _checked(path, name, entry, size - start)
    _check_places(path, ranges, size - start)

    def read(name: str) -> Any:
        return _mapped(path, start + ranges[name][0], tensors[name])

    aliases = {name: other for name, other in metadata.items() if other in tensors and name not in tensors}
    return Source(str(path), tensors, aliases, reader=read, metadata=metadata)


def _parsed(path: str | Path, header: bytes) -> dict[str, Any]:
    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        entries = dict(pairs)
        if len(entries) < len(pairs):
            raise ValueError("duplicate name")
        return entries

    try:
        parsed = json.loads(header.decode("utf-8"), object_pairs_hook=unique)
    except (ValueError, RecursionError) as error:
        raise broken(path, "not a safetensors file: its header isn't valid JSON") from error
    if not isinstance(parsed, dict):
        raise broken(path, "not a safetensors file: its header isn't a JSON object")
    return parsed


def _checked(path: str | Path, name: str, entry: Any, size: int) -> tuple[TensorInfo, tuple[int, int]]:
    """Type and byte range of a tensor. Raises `WeightsError` if they are invalid or outside of the file."""
    entry = entry if isinstance(entry, dict) else {}
    dtype, shape, offsets = (entry.get(key) for key in ("dtype", "shape", "data_offsets"))
    if not (isinstance(dtype, str) and dtype.isupper() and are_sizes(shape) and _are_offsets(offsets)):
        raise broken(path, f"the header lacks a valid dtype, shape or offsets of the tensor `{name}`")
    known = OF_SAFETENSORS.get(dtype)
    width = BYTES[known] if known else _FOREIGN.get(dtype)
    first, last = offsets
    if not first <= last <= size:
        raise broken(path, f"the tensor `{name}` ends after the end of the file; is the file complete?")
    if width is not None and last - first != prod(shape) * width:
        raise broken(path, f"the size of the tensor `{name}`, {last - first} bytes, doesn't match {dtype}{shape}")
    return TensorInfo(known or dtype, tuple(shape)), (first, last)


def _are_offsets(value: Any) -> bool:
    return isinstance(value, list) and len(value) == 2 and all(type(n) is int and n >= 0 for n in value)


def _check_places(path: str | Path, ranges: Mapping[str, tuple[int, int]], size: int) -> None:
    """Raises `WeightsError` unless the tensors fill the rest of the file without gaps and overlaps."""
    end, before = 0, ""
    for name, (first, last) in sorted(ranges.items(), key=lambda item: item[1]):
        if first < end:
            raise broken(path, f"the tensors `{before}` and `{name}` overlap")
        if first > end:
            raise broken(path, f"{first - end} bytes before the tensor `{name}` belong to no tensor")
        end, before = last, name
    if end < size:
        raise broken(path, f"the last {size - end} bytes belong to no tensor")


def _mapped(path: str | Path, offset: int, info: TensorInfo) -> Any:
    import numpy as np

    if info.dtype not in BYTES:
        raise broken(path, f"the dtype {info.dtype} isn't supported")
    dtype = numpy_dtype(info.dtype)
    if prod(info.shape) == 0:
        return np.zeros(info.shape, dtype)
    return np.memmap(path, dtype, "r", offset, info.shape)


# -- writing -----------------------------------------------------------------------------------------------------------


def save_safetensors(path: str | Path, arrays: Mapping[str, Any], metadata: Mapping[str, str] | None = None) -> None:
    """Write arrays by name, in their order, atomically. Equal arrays give equal bytes."""
    write_file(path, safetensors_writer(arrays, metadata))


def safetensors_writer(arrays: Mapping[str, Any], metadata: Mapping[str, str] | None = None) -> Writer:
    """The same as a function that writes to an open file, for files that are written together."""
    header: dict[str, Any] = {"__metadata__": dict(metadata)} if metadata else {}
    end = 0
    for name, array in arrays.items():
        offsets = [end, end := end + array.nbytes]
        header[name] = {"dtype": SAFETENSORS[dtype_of(array)], "shape": list(array.shape), "data_offsets": offsets}
    text = json.dumps(header, ensure_ascii=False, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)

    def write(file: BinaryIO) -> None:
        file.write(len(text).to_bytes(8, "little") + text)
        for array in arrays.values():
            if array.size and not any(array.strides) and not array.any():  # a broadcast 0: a hole in the file
                file.seek(array.nbytes, os.SEEK_CUR)
            else:
                file.write(little_endian_bytes(array))
        file.truncate()

    return write


def little_endian_bytes(array: Any) -> memoryview:
    """The elements in row-major order and little-endian, as in files."""
    import numpy as np

    array = np.ascontiguousarray(array)
    if array.dtype.byteorder == ">" or (array.dtype.byteorder == "=" and not np.little_endian):
        array = array.astype(array.dtype.newbyteorder("<"))
    return memoryview(array.reshape(-1).view(np.uint8))
