"""The structure of a model apart from its weights: reading it out of a file in which they stay, and checking it.

Protobuf would read a file with its weights twice into memory, once as bytes and once as a message. `structure_of` takes
only what lies around them, and lets each large initializer refer to its place in the file.
"""

from __future__ import annotations

import mmap
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, TypeAlias

import onnx
from onnx import ModelProto, TensorProto

from wsdl.diagnostics import CompileError, Diagnostic
from wsdl.onnx.streaming import GRAPH, INITIALIZER, RAW_DATA
from wsdl.onnx.walk import tensor_bytes

LARGE = 4096  # bytes; smaller initializers are read along
DATA = "data"  # the file into which weights are said to point while a structure is checked

Range: TypeAlias = tuple[int, int]  # start and end in a file
Content: TypeAlias = "mmap.mmap | bytes"


def structure_of(path: Path) -> ModelProto:
    """A model without the values of its large initializers: these point into its own file, or into another one as they
    do there. Raises `ValueError` where this is no ONNX file."""
    with open(path, "rb") as file:
        if os.path.getsize(path) == 0:
            return ModelProto()
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
            return _structure(content, path.name)


def _structure(content: Content, name: str) -> ModelProto:
    proto = ModelProto()
    for number, whole, (start, end) in _fields(content, 0, len(content)):
        if number != GRAPH:
            proto.MergeFromString(content[slice(*whole)])
            continue
        for inner, whole_inner, position in _fields(content, start, end):
            if inner == INITIALIZER:
                proto.graph.initializer.append(_initializer(content, position, name))
            else:
                proto.graph.MergeFromString(content[slice(*whole_inner)])
    return proto


def _initializer(content: Content, position: Range, name: str) -> TensorProto:
    tensor, numbers = TensorProto(), None
    for number, whole, inside in _fields(content, *position):
        if number == RAW_DATA and inside[1] - inside[0] >= LARGE:
            numbers = inside
        else:
            tensor.MergeFromString(content[slice(*whole)])
    if numbers is not None:
        point_into(tensor, name, numbers[0], numbers[1] - numbers[0])
    return tensor


def point_into(tensor: TensorProto, file: str, offset: int, length: int) -> None:
    """Say that the values of a tensor are in a file."""
    tensor.data_location = TensorProto.EXTERNAL
    for key, value in (("location", file), ("offset", offset), ("length", length)):
        tensor.external_data.add(key=key, value=str(value))


def _fields(content: Content, start: int, end: int) -> Iterator[tuple[int, Range, Range]]:
    """The fields of a message: number, range of bytes, and that of the contents (of a field with a length)."""
    while start < end:
        key, at = _varint(content, start, end)
        kind = key & 7
        if kind == 0:
            _, stop = _varint(content, at, end)
        elif kind == 2:
            length, at = _varint(content, at, end)
            stop = at + length
        elif kind in (1, 5):
            stop = at + (8 if kind == 1 else 4)
        else:
            raise ValueError(f"no field of a message begins with {key}")
        if stop > end:
            raise ValueError("a field goes beyond the end of its message")
        yield key >> 3, (start, stop), (at, stop)
        start = stop


def _varint(content: Content, at: int, end: int) -> tuple[int, int]:
    """A number of seven bits a byte, the lowest first, and where it ends."""
    value = shift = 0
    while at < end and shift < 64:
        byte = content[at]
        value, shift, at = value | (byte & 127) << shift, shift + 7, at + 1
        if byte < 128:
            return value, at
    raise ValueError("a number has no end")


# -- checking ----------------------------------------------------------------------------------------------------------


def require_valid(proto: ModelProto, values: Mapping[str, Any]) -> None:
    """Have `onnx.checker` check a model (in full, with the types of all tensors) whose weights are `values`; raises
    `CompileError` with E0520 where it is wrong. The weights don't matter for that, and are left out."""
    without = ModelProto()
    without.CopyFrom(proto)
    for tensor in without.graph.initializer:
        if tensor.name in values and not tensor.HasField("raw_data"):
            point_into(tensor, DATA, 0, tensor_bytes(tensor))
    with TemporaryDirectory(prefix="wsdl-check-") as folder:
        Path(folder, DATA).touch()
        path = Path(folder, "model.onnx")
        path.write_bytes(without.SerializeToString())
        try:
            onnx.checker.check_model(os.fspath(path), full_check=True)
        except Exception as error:  # of the checker or of the inference of shapes, without a common class
            raise CompileError([_invalid(proto.graph.name, str(error).replace(f"{folder}/", ""))]) from error


def _invalid(model: str, reason: str) -> Diagnostic:
    message = f"`{model}` would be no valid ONNX file, so nothing is written"
    help = "this is a fault of wsdl, not of the program: please report it, with the program and these lines"
    lines = [line.strip() for line in reason.splitlines() if line.strip()]
    return Diagnostic("E0520", message, help=help, details=tuple(lines[:6]))
