"""Whether two texts are one program up to names: they compile to the same bytes, when every name is a number."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from onnx import AttributeProto, GraphProto, ModelProto, NodeProto, TensorProto
from onnx.numpy_helper import to_array

from tests.stages import storage_of
from wsdl import compiler
from wsdl.diagnostics.span import Source
from wsdl.onnx.training import emit_step


def compiled(source: Source, *, steps: bool = True) -> list[bytes]:
    """The models, and the training steps, of a program, with numbers in place of names."""
    return [_without_names(proto) for proto in _models(source, steps)]


def _models(source: Source, steps: bool) -> Iterator[ModelProto]:
    storage = storage_of(source)
    yield from compiler.emit(compiler.lower(storage), compiler.provenance(storage, source)).values()
    for step in compiler.train_steps(storage).values() if steps else ():
        yield emit_step(step)


def _without_names(proto: ModelProto) -> bytes:
    numbers: dict[tuple[str, str], str] = {}

    def number(kind: str, name: str) -> str:
        return numbers.setdefault((kind, name), f"{kind}{len(numbers)}")

    def rename(message: Any) -> None:
        if isinstance(message, TensorProto) and message.data_type == TensorProto.INT64 and not message.dims:
            value = int(to_array(message))
            message.raw_data = b"" if abs(value) > 2**53 else message.raw_data  # the hash of a path draws numbers
        for told in ("metadata_props", "doc_string"):  # places in the source, comments
            if told in message.DESCRIPTOR.fields_by_name:
                message.ClearField(told)
        for field, value in message.ListFields():
            if field.type == field.TYPE_MESSAGE:
                for part in value if field.is_repeated else [value]:
                    rename(part)
            elif field.name in ("input", "output"):
                value[:] = [number("value", name) for name in value]
            elif field.name == "dim_param":
                setattr(message, field.name, number("size", value))
            elif field.name == "name" and not isinstance(message, AttributeProto):
                kind = type(message).__name__ if isinstance(message, NodeProto | GraphProto) else "value"
                setattr(message, field.name, number(kind, value))

    rename(proto)  # nodes first, so that stored tensors are numbered as they are read, and not as they are declared
    proto.graph.initializer.sort(key=lambda tensor: tensor.name)
    return proto.SerializeToString(deterministic=True)
