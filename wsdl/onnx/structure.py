"""The structure of a model without its weights: reads it from a file, and checks it.

Protobuf would have the weights in memory twice, as bytes and as a message. `structure_of` only reads the rest, and each
large initializer refers to its position in the file.
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

LARGE = 4096  # bytes; smaller initializers are read too
DATA = "data"  # the external file to which weights nominally refer while a structure is checked

Range: TypeAlias = tuple[int, int]  # start and end in a file
Content: TypeAlias = "mmap.mmap | bytes"


def structure_of(path: Path) -> ModelProto:
    """A model without the values of its large initializers: these refer to its file, or to the external file that they
    refer to there. Raises `ValueError` if it isn't an ONNX file."""
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
    """Let a tensor refer to external data in a file."""
    tensor.data_location = TensorProto.EXTERNAL
    for key, value in (("location", file), ("offset", offset), ("length", length)):
        tensor.external_data.add(key=key, value=str(value))


def _fields(content: Content, start: int, end: int) -> Iterator[tuple[int, Range, Range]]:
    """The fields of a message: number, byte range, and byte range of the contents (of a length-delimited field)."""
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
            raise ValueError(f"invalid key of a field: {key}")
        if stop > end:
            raise ValueError("a field ends after the end of its message")
        yield key >> 3, (start, stop), (at, stop)
        start = stop


def _varint(content: Content, at: int, end: int) -> tuple[int, int]:
    """The value of a varint and the position after it."""
    value = shift = 0
    while at < end and shift < 64:
        byte = content[at]
        value, shift, at = value | (byte & 127) << shift, shift + 7, at + 1
        if byte < 128:
            return value, at
    raise ValueError("a varint has no end")


# -- checking ----------------------------------------------------------------------------------------------------------


def require_valid(proto: ModelProto, values: Mapping[str, Any]) -> None:
    """Run the full `onnx.checker` on a model, with inference of all types; raises `CompileError` with E0520 if it
    fails. The values of the weights, `values`, aren't part of the check and are left out."""
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
        except Exception as error:  # of the checker or of shape inference, without a common base class
            raise CompileError([_invalid(proto.graph.name, str(error).replace(f"{folder}/", ""))]) from error


def _invalid(model: str, reason: str) -> Diagnostic:
    message = f"`{model}` would not be a valid ONNX file, so nothing was written"
    help = "this is a bug in wsdl, not in the program: please report it, with the program and these lines"
    lines = [line.strip() for line in reason.splitlines() if line.strip()]
    return Diagnostic("E0520", message, help=help, details=tuple(lines[:6]))
