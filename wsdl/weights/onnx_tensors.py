"""The tensors that an ONNX model stores, wherever it does, with the nodes that read them.

They are initializers, dense or sparse, and values of `Constant` nodes: of the graph, of the graphs in nodes (branches
and loops) and of functions. A name that is used twice is prefixed by the node or the function that it is in.
"""

from __future__ import annotations

import re
from collections import ChainMap, Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import pairwise
from math import prod
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from onnx import AttributeProto, GraphProto, ModelProto, NodeProto, SparseTensorProto, TensorProto, defs

from wsdl.diagnostics import limits
from wsdl.ir.dtypes import OF_ONNX
from wsdl.ir.types import FLOATS
from wsdl.ir.weight_files import TensorInfo, are_sizes
from wsdl.weights.source import broken

Proto: TypeAlias = TensorProto | SparseTensorProto
Array: TypeAlias = np.ndarray[Any, Any]
_SCOPES = "pkg.torch.onnx.name_scopes"  # in the metadata of nodes
_LABEL = 100  # characters of the name of a node in those of tensors inside of it
_LOST = re.compile(r"onnx::\w+|\d+|val_\d+")  # names that exporters of PyTorch give to what they have computed
_COUNTED = re.compile(r"(\w+?)(_\d+)?")  # `MatMul`, `MatMul_1`: the end of the name of a node


@dataclass(frozen=True)
class Read:
    """A node that reads a tensor, as which of its inputs, and the name of the tensor that is added to its result. The
    `label` is the name of the node, or its operator and outputs if it has none."""

    node: NodeProto
    label: str
    input: int
    added: str = ""


@dataclass
class OnnxTensors:
    """The tensors of a model by name, and who reads them. `aliases` are other names of some: exporters store equal
    tensors once, and write `Identity` for the others. `inner` are those that are not initializers of the graph."""

    tensors: dict[str, Proto] = field(default_factory=dict)
    reads: dict[str, list[Read]] = field(default_factory=dict)
    aliases: dict[str, str] = field(default_factory=dict)
    inner: set[str] = field(default_factory=set)
    repeated: Counter[str] = field(default_factory=Counter)  # names that inner graphs use again, by their place

    def weights(self) -> Iterator[str]:
        """The tensors that are probably weights. Short lists of integers (shapes, axes, indices), scalars and constants
        of one element belong to the program."""
        for name, tensor in self.tensors.items():
            info = info_of(tensor)
            is_scalar = name in self.inner and prod(info.shape) == 1
            if len(info.shape) > (0 if info.dtype in FLOATS else 1) and not is_scalar:
                yield name


def tensors_in(path: str | Path, model: ModelProto) -> OnnxTensors:
    """The tensors of a model. Raises `WeightsError` for duplicate names, impossible shapes, and names that are not
    UTF-8, which Protobuf gives as bytes."""
    if not all(isinstance(text, str) for text in _texts(model)):
        raise broken(path, "a name in it is not valid UTF-8")
    found = OnnxTensors()
    _collect(path, model.graph, "", ChainMap(), found)
    for function in model.functions:
        _collect(path, GraphProto(node=function.node), function.name[:_LABEL], ChainMap(), found)
    return found


def _collect(path: str | Path, graph: GraphProto, place: str, outer: ChainMap[str, str], found: OnnxTensors) -> None:
    """The tensors of one graph, inside of which names have the meaning of `outer` if they aren't its own."""
    own: dict[str, str] = {}
    for local, tensor in _of_graph(graph):
        if not are_sizes(list(tensor.dims)):
            raise broken(path, f"the initializer `{local}` has an invalid shape")
        if local in own:
            raise broken(path, f"two initializers have the same name, `{local}`")
        own[local] = _unique(local, place, found) if place else local
        found.tensors[own[local]] = tensor
    if place:
        found.inner.update(own.values())
    names = outer.new_child(own)
    added: dict[str, str] = {}  # to results of nodes
    for node in graph.node:
        if node.op_type == "Identity" and len(node.input) == len(node.output) == 1 and node.input[0] in names:
            names[node.output[0]] = names[node.input[0]]
            if not place:
                found.aliases.setdefault(node.output[0], names[node.input[0]])
        elif node.op_type == "Add" and len(node.input) == 2:
            for one, other in (node.input, node.input[::-1]):
                added |= {other: one} if one in names else {}
    for node in graph.node:
        label = node.name or f"{node.op_type}({', '.join(node.output)})"
        if node.op_type == "Constant" and node.output and node.output[0] in own:
            found.inner.add(own[node.output[0]])
        elif node.op_type != "Identity":
            after = added.get(node.output[0], "") if node.output else ""
            for number, name in enumerate(node.input):
                if name in names:
                    found.reads.setdefault(names[name], []).append(Read(node, label, number, after))
        for attribute in node.attribute:
            for body in (*([attribute.g] if attribute.HasField("g") else ()), *attribute.graphs):
                inside = f"{place}/{label[:_LABEL]}.{attribute.name[:_LABEL]}".lstrip("/")
                _collect(path, body, inside, names, found)


def _texts(model: ModelProto) -> Iterator[str | bytes]:
    """The names in a model."""
    for pair in model.metadata_props:
        yield from (pair.key, pair.value)
    for function in model.functions:
        yield function.name
        yield from _texts_of_nodes(function.node)
    yield from _texts_of_graph(model.graph)


def _texts_of_graph(graph: GraphProto) -> Iterator[str | bytes]:
    for tensor in graph.initializer:
        yield tensor.name
    for sparse in graph.sparse_initializer:
        yield sparse.values.name
    yield from _texts_of_nodes(graph.node)


def _texts_of_nodes(nodes: Iterable[NodeProto]) -> Iterator[str | bytes]:
    for node in nodes:
        yield from (node.op_type, node.name, *node.input, *node.output)
        for pair in node.metadata_props:
            yield from (pair.key, pair.value)
        for attribute in node.attribute:
            yield attribute.name
            for body in (*([attribute.g] if attribute.HasField("g") else ()), *attribute.graphs):
                yield from _texts_of_graph(body)


def _unique(local: str, place: str, found: OnnxTensors) -> str:
    """The name of a tensor of an inner graph: its own, unless that is taken."""
    name = local
    while name in found.tensors:
        base = f"{place}/{local}"
        found.repeated[base] += 1
        name = f"{base}_{found.repeated[base]}" if found.repeated[base] > 1 else base
    return name


def _of_graph(graph: GraphProto) -> Iterator[tuple[str, Proto]]:
    for tensor in graph.initializer:
        yield tensor.name, tensor
    for sparse in graph.sparse_initializer:
        yield sparse.values.name, sparse
    for node in graph.node:
        if node.op_type == "Constant" and node.output:
            for attribute in node.attribute:
                if (value := _value(attribute)) is not None:
                    yield node.output[0], value


def _value(attribute: AttributeProto) -> Proto | None:
    """The value of a `Constant` that is a tensor; scalars and texts are none."""
    if attribute.name == "value":
        return attribute.t
    if attribute.name == "sparse_value":
        return attribute.sparse_tensor
    if attribute.name == "value_floats":
        return TensorProto(data_type=TensorProto.FLOAT, dims=[len(attribute.floats)], float_data=attribute.floats)
    return None


def info_of(tensor: Proto) -> TensorInfo:
    """The type of a tensor, dense or not."""
    values = tensor.values if isinstance(tensor, SparseTensorProto) else tensor
    return TensorInfo(dtype_name(values.data_type), tuple(tensor.dims))


def dtype_name(number: int) -> str:
    """The language's name of a `TensorProto.DataType`, otherwise that of ONNX, or `type N` if it is unknown."""
    if number in OF_ONNX:
        return OF_ONNX[number]
    return TensorProto.DataType.Name(number).lower() if number in TensorProto.DataType.values() else f"type {number}"


def dense(tensor: SparseTensorProto, values: Array, indices: Array) -> Array:
    """A sparse tensor in full. Its indices count elements, or are coordinates. Raises `ValueError` if they are
    invalid."""
    shape = tuple(tensor.dims)
    if values.ndim != 1 or indices.dtype != np.int64 or len(indices) != len(values):
        raise ValueError("a sparse tensor has as many indices as values")
    if indices.ndim == 2:
        if indices.shape[1] != len(shape) or (indices < 0).any() or (indices >= np.array(shape)).any():
            raise ValueError("an index is outside of the sparse tensor")
        indices = np.ravel_multi_index(tuple(indices.T), shape)
    if indices.ndim != 1 or (indices < 0).any() or (indices >= prod(shape)).any():
        raise ValueError("an index is outside of the sparse tensor")
    full: Array = np.zeros(prod(shape), values.dtype)
    full[indices] = values
    return full.reshape(shape)


# -- names that exporters lose -----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Recovered:
    """The name that a parameter probably had in PyTorch, `name`, and whether the file holds it `transposed`."""

    name: str
    transposed: bool


def recovered_names(found: OnnxTensors) -> dict[str, list[Recovered]]:
    """For tensors whose names an exporter has lost (`onnx::MatMul_1582`), the names by the nodes that read them.

    The node `/encoder/layer.0/query/MatMul` is in the layer `encoder.layer.0.query`, and multiplies by the transposed
    `weight`; if `encoder.layer.0.attention.in_proj_bias` is added to the result, by `in_proj_weight` beside it. Names
    that the file has are not among them.
    """
    recovered: dict[str, list[Recovered]] = {}
    taken = {*found.tensors, *found.aliases}
    for name in found.weights():
        if not _LOST.fullmatch(name.rpartition("/")[2]):
            continue
        for read in found.reads.get(name, ()):
            role, transposed = _role(read, len(found.tensors[name].dims))
            path = _by_bias(read) if role == "weight" else ""
            path = path or _by_scope(read.node, role)
            if path and path not in taken:
                taken.add(path)
                recovered.setdefault(name, []).append(Recovered(path, transposed))
    return recovered


def _by_bias(read: Read) -> str:
    """The name of the weight beside a bias that is added to the result: `in_proj_weight` beside `in_proj_bias`."""
    if read.node.op_type != "MatMul" or not read.added.endswith("bias") or _LOST.fullmatch(read.added):
        return ""
    return read.added.removesuffix("bias") + "weight"


def _by_scope(node: NodeProto, role: str) -> str:
    """The name of a parameter by the layer of the node that reads it; empty if that is in none.

    The older exporter of PyTorch names nodes by their scopes, `/net/net.0/MatMul`; the newer one writes them into the
    metadata of nodes, `['', 'net', 'net.0', 'linear']`. A container and its element are `net` and `net.0`.
    """
    written = next((entry.value for entry in node.metadata_props if entry.key == _SCOPES), None)
    if len(node.name) > limits.PATH or len(written or "") > limits.PATH:
        return ""
    if written is None:
        *scopes, end = [part for part in node.name.split("/") if part] or [""]
        counted = _COUNTED.fullmatch(end)
        number = "" if counted is None else counted[2] or ""
    else:
        scopes, number = [part for part in re.findall(r"'([^']*)'", written) if part][:-1], ""
    layers = [one for one, inner in pairwise([*scopes, ""]) if not inner.startswith(f"{one}.")]
    return f"{'.'.join(layers)}.{role}{number}" if layers else ""


def _role(read: Read, rank: int) -> tuple[str, bool]:
    """What PyTorch calls an input of an operator, and whether the operator has it transposed."""
    op, number = read.node.op_type, read.input
    if op == "MatMul":
        return "weight", rank == 2 and number == 1
    if op == "Gemm" and number == 1:
        return "weight", not any(a.name == "transB" and a.i for a in read.node.attribute)
    if op in _ROLES:
        roles = _ROLES[op]
        return (roles[number] if number < len(roles) else "") or op, False
    inputs = defs.get_schema(op).inputs if defs.has(op) else []
    # `R` of an `LSTM`; `A` and `B` of operators with two inputs say less than their names.
    return (inputs[number].name if len(inputs) > 2 and number < len(inputs) else op), False


_NORM = ("", "weight", "bias", "running_mean", "running_var")
_ROLES = {
    "Conv": ("", "weight", "bias"), "ConvTranspose": ("", "weight", "bias"), "Gemm": ("", "weight", "bias"),
    "BatchNormalization": _NORM, "InstanceNormalization": _NORM, "LayerNormalization": _NORM,
    "Gather": ("weight",), "PRelu": ("", "weight"),
}  # fmt: skip
