"""The inventory of a file: of an ONNX model, from WSDL or other tools, or of a weights file."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from math import prod
from pathlib import Path
from typing import cast

from onnx import GraphProto, ModelProto, NodeProto, TensorProto, ValueInfoProto

from wsdl.ir.binding import dim_of_text
from wsdl.ir.dims import Dim
from wsdl.ir.inventory import ComputedTensor, Inventory, Signature, Tensor, Use, Way
from wsdl.ir.step import OPTIMIZER
from wsdl.ir.types import FLOATS, DType, TensorType
from wsdl.ir.weight_files import SHARING, WAYS
from wsdl.onnx.walk import subgraphs
from wsdl.weights.metadata import VARIANT
from wsdl.weights.onnx_source import dtype_name, initializers, read_proto
from wsdl.weights.open_source import open_source
from wsdl.weights.recorded import computed_parameters, described, described_ways
from wsdl.weights.source import WeightsError, broken


def inventory_of_weights(path: str | os.PathLike[str]) -> Inventory:
    """The inventory of a weights file: which slots read a tensor, and through which ways of sharing, by its metadata
    if WSDL wrote it; otherwise each name of a tensor counts as a use."""
    path = os.fspath(path)
    source = open_source(path)
    names: dict[str, list[str]] = {name: [name] for name in source.tensors if not name.startswith(OPTIMIZER)}
    for alias, name in source.aliases.items():
        names[name].append(alias)
    stored = {n: _tensor(n, source.tensors[n].dtype, source.tensors[n].shape, paths) for n, paths in names.items()}
    shared = _described(path, source.metadata.get(SHARING, "[]"))
    stored |= {n: shared[n] for n, tensor in stored.items() if n in shared and shared[n].type == tensor.type}
    ways = _ways(path, source.metadata.get(WAYS), stored)
    return Inventory({}, stored, source.metadata.get(VARIANT, ""), ways, _computed(path, "", stored))


def _tensor(name: str, dtype: str, shape: tuple[int, ...], paths: Iterable[str]) -> Tensor:
    return Tensor(name, dtype, shape, tuple(Use(path, "", prod(shape)) for path in paths))


def inventory_of_onnx(path: str | os.PathLike[str]) -> Inventory:
    """The inventory of an ONNX model: from its metadata if WSDL wrote it, otherwise from the nodes that read its
    initializers."""
    path = os.fspath(path)
    proto = read_proto(path)
    tensors = initializers(path, proto)
    metadata = {p.key: p.value for p in proto.metadata_props}
    sharing = metadata.get(SHARING)
    stored = _read(proto, tensors) if sharing is None else _described(path, sharing)
    signature = Signature(
        {v.name: _type(v) for v in proto.graph.input if v.name not in tensors},
        {v.name: _type(v) for v in proto.graph.output},
        {tensor.name: tuple(use for use in tensor.uses if use.times) for tensor in stored.values()},
    )
    ways = _ways(path, metadata.get(WAYS), stored)
    name = proto.graph.name or Path(path).stem
    computed = _computed(path, name, stored) if sharing is not None else ()
    return Inventory({name: signature}, stored, metadata.get(VARIANT, ""), ways, computed)


def _described(path: str, metadata: str) -> dict[str, Tensor]:
    """The tensors from the metadata of WSDL."""
    try:
        return described(metadata)
    except ValueError as error:
        raise _changed(path, SHARING) from error


def _ways(path: str, metadata: str | None, stored: Mapping[str, Tensor]) -> tuple[Way, ...]:
    """The ways of sharing by our own metadata."""
    try:
        return described_ways(metadata, stored) if metadata else ()
    except ValueError as error:
        raise _changed(path, WAYS) from error


def _computed(path: str, model: str, stored: Mapping[str, Tensor]) -> tuple[ComputedTensor, ...]:
    """What formulas compute for the model, by our own metadata."""
    uses = [(use, tensor) for tensor in stored.values() for use in tensor.uses if use.formula and use.times]
    parameters = computed_parameters(open_source(path)) if uses else {}
    slots: dict[str, dict[str, None]] = {}  # by the parameter that a formula computes, those that are views of it
    parts: dict[str, dict[str, Tensor]] = {}
    for use, tensor in uses:
        if use.path in parameters:
            first, _ = parameters[use.path]
            slots.setdefault(first, {})[use.path] = None
            parts.setdefault(first, {})[tensor.name] = tensor
    formulas = {use.path: use.formula for use, _ in uses}
    return tuple(
        ComputedTensor(
            tuple(slots[first]),
            formulas[next(iter(slots[first]))],
            next((tensor.dtype for tensor in parts[first].values() if tensor.dtype in FLOATS), "f32"),
            parameters[first][1],
            {name: tensor.bytes for name, tensor in parts[first].items()},
            False,
            (model,),
        )
        for first in dict.fromkeys(first for first, _ in parameters.values())
        if first in slots
    )


def _changed(path: str, key: str) -> WeightsError:
    help = "it was changed after `wsdl` wrote it; without that entry it is read like any other model"
    return broken(path, f"its metadata `{key}` is invalid", help)


# -- models of others --------------------------------------------------------------------------------------------------


def _read(proto: ModelProto, tensors: Mapping[str, TensorProto]) -> dict[str, Tensor]:
    """The initializers that are weights, with the nodes that read them. Short lists of integers (shapes, axes, indices)
    and scalars are constants."""
    readers: dict[str, list[str]] = {}
    _collect(proto.graph, readers)
    stored: dict[str, Tensor] = {}
    for tensor in tensors.values():
        dtype = dtype_name(tensor.data_type)
        is_weight = len(tensor.dims) > (0 if dtype in FLOATS else 1)
        if is_weight:
            stored[tensor.name] = _tensor(tensor.name, dtype, tuple(tensor.dims), readers.get(tensor.name, ()))
    return stored


def _collect(graph: GraphProto, readers: dict[str, list[str]]) -> None:
    for node in graph.node:
        for name in node.input:
            readers.setdefault(name, []).append(_label(node))
        for body in subgraphs(node):
            _collect(body, readers)


def _label(node: NodeProto) -> str:
    """The name of a node, or its operator and outputs if it has none."""
    return node.name or f"{node.op_type}({', '.join(node.output)})"


def _type(value: ValueInfoProto) -> TensorType:
    """The type of an input or output. An unspecified dimension gets a unique name."""
    tensor = value.type.tensor_type
    dims = [_dim(d.dim_param, d.dim_value, f"{value.name}.{axis}") for axis, d in enumerate(tensor.shape.dim)]
    return TensorType(
        cast(DType, dtype_name(tensor.elem_type)), tuple(dims)
    )  # or a dtype that the language doesn't have


def _dim(name: str, size: int, default: str) -> Dim:
    return dim_of_text(name) if name else Dim.of(size) if size > 0 else dim_of_text(default)
