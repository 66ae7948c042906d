"""Writes a model with its weights without having the whole file in memory.

Protobuf would copy the weights three times: into the message, into its bytes, and into the file. The bytes of a message
are those of its fields in the order of their numbers; so the fields before and behind the weights are serialized by
protobuf, and the weights are written directly from their arrays. The file is the same, byte for byte.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, BinaryIO

from numpy.typing import NDArray
from onnx import GraphProto, ModelProto, TensorProto

from wsdl.atomic import Writer
from wsdl.onnx.emit import little_endian
from wsdl.onnx.walk import tensor_bytes
from wsdl.weights.safetensors import little_endian_bytes

GRAPH, INITIALIZER, RAW_DATA = 7, 5, 9  # the numbers of the fields ModelProto.graph, GraphProto.initializer, ….raw_data


def model_writer(proto: ModelProto, values: Mapping[str, NDArray[Any]]) -> Writer:
    """The writer of a model's file that contains the values of its stored tensors."""

    def write(file: BinaryIO) -> None:
        for piece in _model(proto, values):
            file.write(piece)

    return write


def _model(proto: ModelProto, values: Mapping[str, NDArray[Any]]) -> Iterator[bytes | memoryview]:
    before, behind = _around(proto, GRAPH)
    graph_before, graph_behind = _around(proto.graph, INITIALIZER)
    heads = [_head(tensor, values) for tensor in proto.graph.initializer]
    inside = sum(len(head) + length for head, length in heads)
    yield before + _length(GRAPH, len(graph_before) + inside + len(graph_behind)) + graph_before
    for tensor, (head, length) in zip(proto.graph.initializer, heads, strict=True):
        yield head
        if length:
            yield little_endian_bytes(little_endian(values[tensor.name], tensor))
    yield graph_behind + behind


def _around(message: ModelProto | GraphProto, number: int) -> tuple[bytes, bytes]:
    """The bytes of the fields before and behind the field with this number."""
    before, behind = type(message)(), type(message)()
    for field, value in message.ListFields():
        part = before if field.number < number else behind
        if field.number == number:
            continue
        if hasattr(value, "extend"):  # repeated
            getattr(part, field.name).extend(value)
        else:
            setattr(part, field.name, value)
    return before.SerializeToString(deterministic=True), behind.SerializeToString(deterministic=True)


def _head(tensor: TensorProto, values: Mapping[str, NDArray[Any]]) -> tuple[bytes, int]:
    """The bytes of an initializer up to its values, and the size of these in bytes; 0 if it already contains them."""
    head = tensor.SerializeToString(deterministic=True)
    if tensor.name not in values or tensor.HasField("raw_data"):
        return _length(INITIALIZER, len(head)) + head, 0
    assert all(field.number < RAW_DATA for field, _ in tensor.ListFields()), tensor.name
    length = tensor_bytes(tensor)
    head += _length(RAW_DATA, length)
    return _length(INITIALIZER, len(head) + length) + head, length


def _length(number: int, length: int) -> bytes:
    """The header of a length-delimited field: its number and wire type, and the length."""
    return bytes([number << 3 | 2]) + _varint(length)


def _varint(value: int) -> bytes:
    """A varint: seven bits per byte, lowest first; the eighth is set in all but the last byte."""
    parts = []
    while value > 127:
        parts.append(value & 127 | 128)
        value >>= 7
    return bytes([*parts, value])
