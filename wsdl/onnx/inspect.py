"""What is stored in a file: an ONNX model, ours or anybody's, or a file of weights."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping
from math import prod
from pathlib import Path
from typing import Any

import onnx
from onnx import GraphProto, ModelProto, NodeProto, ValueInfoProto

from wsdl.ir.binding import dim_of_text
from wsdl.ir.dims import Dim
from wsdl.ir.dtypes import OF_ONNX
from wsdl.ir.inventory import Inventory, Signature, Tensor, Use
from wsdl.ir.types import FLOATS, TensorType
from wsdl.ir.views import View, ViewError
from wsdl.onnx.guards import bodies
from wsdl.onnx.metadata import sharing_records
from wsdl.onnx.open_source import open_source
from wsdl.onnx.source import broken

OPTIMIZER = "optimizer/"  # begins the names of a checkpoint's tensors that are no parameters


def inventory_of_weights(path: str | os.PathLike[str]) -> Inventory:
    """What a file of weights stores; a tensor is used under each name that the file has for it."""
    source = open_source(os.fspath(path))
    names: dict[str, list[str]] = {name: [name] for name in source.tensors if not name.startswith(OPTIMIZER)}
    for alias, name in source.aliases.items():
        names[name].append(alias)
    stored = [_tensor(n, source.tensors[n].dtype, source.tensors[n].shape, paths) for n, paths in names.items()]
    return Inventory({}, {tensor.name: tensor for tensor in stored})


def _tensor(name: str, dtype: str, shape: tuple[int, ...], paths: Iterable[str]) -> Tensor:
    return Tensor(name, dtype, shape, tuple(Use(path, "", prod(shape)) for path in paths))


def inventory_of_onnx(path: str | os.PathLike[str]) -> Inventory:
    """What an ONNX model stores: by its metadata where it is ours, else by the nodes that read its initializers."""
    try:
        proto = onnx.load(os.fspath(path), load_external_data=False)
    except OSError:
        raise
    except Exception as error:  # protobuf's own class, whose module has no types
        raise broken(os.fspath(path), "this is no ONNX file, or its end is missing") from error
    records = next((p.value for p in proto.metadata_props if p.key == "wsdl.sharing"), None)
    stored = _read(proto) if records is None else {t.name: t for t in map(_recorded, _parsed(path, records))}
    signature = Signature(
        {v.name: _type(v) for v in proto.graph.input if v.name not in _initializers(proto)},
        {v.name: _type(v) for v in proto.graph.output},
        {tensor.name: tuple(use for use in tensor.uses if use.times) for tensor in stored.values()},
    )
    return Inventory({proto.graph.name or Path(path).stem: signature}, stored)


def _parsed(path: str | os.PathLike[str], records: str) -> list[dict[str, Any]]:
    try:
        return sharing_records(records)
    except (json.JSONDecodeError, KeyError, TypeError) as error:
        raise broken(os.fspath(path), "its metadata `wsdl.sharing` can't be read") from error


def _recorded(record: Mapping[str, Any]) -> Tensor:
    """A tensor as our own metadata describe it."""
    shape = tuple(record["shape"])
    uses = [_use(slot, shape) for slot in record["slots"]]
    return Tensor(record["name"], record["dtype"], shape, tuple(uses), record["trainable"], record.get("group", ""))


def _use(slot: Mapping[str, Any], shape: tuple[int, ...]) -> Use:
    """A slot as our own metadata describe it; read once where they don't say how often."""
    times = int(slot.get("used", 1))
    elements = int(slot.get("elements", times * _elements(slot["view"], shape)))
    return Use(slot["path"], slot["view"], elements, times)


def _elements(view: str, shape: tuple[int, ...]) -> int:
    try:
        return prod(View.parse(view, shape).shape)
    except ViewError:
        return prod(View.identity(shape).shape)


# -- models of others --------------------------------------------------------------------------------------------------


def _initializers(proto: ModelProto) -> set[str]:
    return {tensor.name for tensor in proto.graph.initializer}


def _read(proto: ModelProto) -> dict[str, Tensor]:
    """The initializers that are weights, with the nodes that read them. Short lists of whole numbers (shapes, axes,
    indices) and single numbers are constants."""
    readers: dict[str, list[str]] = {}
    _collect(proto.graph, readers)
    stored: dict[str, Tensor] = {}
    for tensor in proto.graph.initializer:
        dtype = OF_ONNX.get(tensor.data_type) or onnx.TensorProto.DataType.Name(tensor.data_type).lower()
        is_weight = len(tensor.dims) > (0 if dtype in FLOATS else 1)
        if is_weight:
            stored[tensor.name] = _tensor(tensor.name, dtype, tuple(tensor.dims), readers.get(tensor.name, ()))
    return stored


def _collect(graph: GraphProto, readers: dict[str, list[str]]) -> None:
    for node in graph.node:
        for name in node.input:
            readers.setdefault(name, []).append(_label(node))
        for body in bodies(node):
            _collect(body, readers)


def _label(node: NodeProto) -> str:
    """A node's name, or what it computes where it has none."""
    return node.name or f"{node.op_type}({', '.join(node.output)})"


def _type(value: ValueInfoProto) -> TensorType:
    """The type of an input or output. Where the file doesn't say a size it is a name of its own."""
    tensor = value.type.tensor_type
    dims = [_dim(d.dim_param, d.dim_value, f"{value.name}.{axis}") for axis, d in enumerate(tensor.shape.dim)]
    return TensorType(OF_ONNX.get(tensor.elem_type, "f32"), tuple(dims))


def _dim(name: str, size: int, default: str) -> Dim:
    return dim_of_text(name) if name else Dim.of(size) if size else dim_of_text(default)
