"""The tensors that an ONNX model stores, wherever it does.

They are initializers, dense or sparse, and values of `Constant` nodes: of the graph, of the graphs in nodes (branches
and loops) and of functions. A name that is used twice is prefixed by the node or the function that it is in.
"""

from __future__ import annotations

from collections import ChainMap, Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from math import prod
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from onnx import AttributeProto, GraphProto, ModelProto, NodeProto, SparseTensorProto, TensorProto

from wsdl.ir.dtypes import OF_ONNX
from wsdl.ir.types import FLOATS
from wsdl.ir.weight_files import TensorInfo, are_sizes
from wsdl.weights.source import broken

Proto: TypeAlias = TensorProto | SparseTensorProto
Array: TypeAlias = np.ndarray[Any, Any]
LABEL = 100  # characters of the name of a node in those of tensors inside of it
FunctionKey: TypeAlias = tuple[str, str, str]  # domain, name, overload


@dataclass(frozen=True)
class Graph:
    """A graph or a function: its nodes with the graphs in each, and what its names of stored tensors are in the model.
    `size` counts the nodes with those of its bodies."""

    nodes: Sequence[NodeProto]
    bodies: list[list[Graph]]
    inputs: list[str]
    outputs: list[str]
    own: Mapping[str, str]

    @property
    def size(self) -> int:
        return len(self.nodes) + sum(body.size for bodies in self.bodies for body in bodies)


@dataclass
class OnnxTensors:
    """The tensors of a model by name, and its graph and functions, which read them. `aliases` are other names of some:
    exporters store equal tensors once, and write `Identity` for the others. `inner` are those that are not initializers
    of the graph."""

    tensors: dict[str, Proto] = field(default_factory=dict)
    aliases: dict[str, str] = field(default_factory=dict)
    inner: set[str] = field(default_factory=set)
    repeated: Counter[str] = field(default_factory=Counter)  # names that inner graphs use again, by their place
    graph: Graph = field(default_factory=lambda: Graph((), [], [], [], {}))
    functions: dict[FunctionKey, Graph] = field(default_factory=dict)

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
    found.graph = _collect(path, model.graph, "", ChainMap(), found)
    for function in model.functions:
        graph = _collect(path, GraphProto(node=function.node), function.name[:LABEL], ChainMap(), found)
        graph = replace(graph, inputs=[*function.input], outputs=[*function.output])
        found.functions[function.domain, function.name, function.overload] = graph
    return found


def function_called(node: NodeProto) -> FunctionKey:
    """Of which function a node is a call, if the model has it."""
    return node.domain, node.op_type, node.overload


def _collect(path: str | Path, graph: GraphProto, place: str, outer: ChainMap[str, str], found: OnnxTensors) -> Graph:
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
    names = ChainMap({}, own, *outer.maps)
    bodies: list[list[Graph]] = []
    for node in graph.node:
        if node.op_type == "Identity" and len(node.input) == len(node.output) == 1 and node.input[0] in names:
            names[node.output[0]] = names[node.input[0]]
            if not place:
                found.aliases.setdefault(node.output[0], names[node.input[0]])
        elif node.op_type == "Constant" and node.output and node.output[0] in own:
            found.inner.add(own[node.output[0]])
        label = label_of(node)[:LABEL]
        bodies.append([])
        for attribute in node.attribute:
            for body in (*([attribute.g] if attribute.HasField("g") else ()), *attribute.graphs):
                inside = f"{place}/{label}.{attribute.name[:LABEL]}".lstrip("/")
                bodies[-1].append(_collect(path, body, inside, names, found))
    inputs, outputs = ([value.name for value in values] for values in (graph.input, graph.output))
    return Graph(graph.node, bodies, inputs, outputs, own)


def label_of(node: NodeProto) -> str:
    """The name of a node, or its operator and outputs if it has none."""
    return node.name or f"{node.op_type}({', '.join(node.output)})"


def _texts(model: ModelProto) -> Iterator[str | bytes]:
    """The names in a model."""
    for pair in model.metadata_props:
        yield from (pair.key, pair.value)
    for function in model.functions:
        yield from (function.name, *function.input, *function.output)
        yield from _texts_of_nodes(function.node)
    yield from _texts_of_graph(model.graph)


def _texts_of_graph(graph: GraphProto) -> Iterator[str | bytes]:
    for tensor in graph.initializer:
        yield tensor.name
    for sparse in graph.sparse_initializer:
        yield sparse.values.name
    yield from (value.name for value in (*graph.input, *graph.output))
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
