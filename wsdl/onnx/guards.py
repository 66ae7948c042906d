"""Keeps ONNX Runtime's own optimizer from storing a shared tensor a second time.

Two of its rewritings copy weights: constant folding (`W.T`, a slice, `W * s` become tensors of their own beside `W`),
and folding a batch normalization or a scale into the convolution or the product before it (a copy for each use).
Neither touches what only the run knows. So where a copy would be made, the tensor concerned is read through a `Reshape`
to its own shape, whose operand (zeros: "copy each size") the run computes from the number of elements of an input; what
is a `Reshape` anyhow gets its shape in that way. That copies nothing and takes next to no time; measured in
docs/decisions/0004-no-copies-by-the-optimizer.md.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from functools import cached_property
from itertools import chain
from math import prod
from typing import Any, TypeAlias

import numpy as np
from onnx import AttributeProto, GraphProto, ModelProto, NodeProto, TensorProto, helper, numpy_helper, shape_inference

SMALL = 1024  # bytes; below this a copy doesn't matter
LARGE = 64 * SMALL  # bytes that constants become
_MELTS = {  # what melts into the weight (the second input) of what: the inputs of it that may be data and scale
    ("Conv", "BatchNormalization"): [(0, 1)],
    ("Conv", "Mul"): [(0, 1), (1, 0)],
    ("MatMul", "BatchNormalization"): [(0, 1)],
}
_BETWEEN = {"Reshape", "Transpose"}  # may stand between the two
_NOT_FOLDED = {"RandomNormal", "RandomUniform", "Size"}

Read: TypeAlias = "tuple[NodeProto, int]"  # a node, and which of its inputs


def guard_sharing(proto: ModelProto) -> None:
    """Insert the `Reshape`s where they are needed. (A model without inputs has nothing that only the run knows.)"""
    if not proto.graph.input:
        return
    facts = _Constants(proto.graph)
    inferred = _InferredTypes(proto)
    folded = _folded_copies(inferred, facts)
    reads = [*folded, *_large_maps(folded, inferred, facts), *_fused_copies(facts), *_scales_in_a_row(facts)]
    if reads:
        _Guards(proto.graph, inferred).put_before(reads)


def subgraphs(node: NodeProto) -> Iterator[GraphProto]:
    """The graphs that a node holds."""
    for attribute in node.attribute:
        if attribute.type == AttributeProto.GRAPH:
            yield attribute.g


def walk(graph: GraphProto) -> Iterator[NodeProto]:
    """All nodes; those of a subgraph come after the node that has it."""
    for node in graph.node:
        yield node
        for body in subgraphs(node):
            yield from walk(body)


def folded_origins(graph: GraphProto) -> dict[str, frozenset[str]]:
    """The results that constant folding computes when a model is loaded, and the initializers that each is made of."""
    facts = _Constants(graph)
    return {name: facts.origins[name] for name in facts.folded}


class _Constants:
    """What constant folding would see: the tensors that are known before the run, and what they are made of."""

    def __init__(self, graph: GraphProto) -> None:
        self.nodes = list(walk(graph))
        self.initializers = {tensor.name: tensor for tensor in graph.initializer}
        self.origins: dict[str, frozenset[str]] = {name: frozenset([name]) for name in self.initializers}
        self.folded: dict[str, NodeProto] = {}  # by result
        self.reads = Counter(name for node in self.nodes for name in node.input)
        self.producers = {name: node for node in self.nodes for name in node.output}
        self.kept = {output.name for output in graph.output}  # read by something that stays
        for node in self.nodes:
            self._add(node)

    def _add(self, node: NodeProto) -> None:
        inputs = [name for name in node.input if name]
        known = all(name in self.origins for name in inputs) and (bool(inputs) or node.op_type == "Constant")
        if known and node.op_type not in _NOT_FOLDED and not any(subgraphs(node)):
            made_of = frozenset[str]().union(*(self.origins[name] for name in inputs))
            for name in node.output:
                self.origins[name], self.folded[name] = made_of, node
        else:
            self.kept.update(inputs)
            self.kept.update(output.name for body in subgraphs(node) for output in body.output)

    def is_shared(self, weight: str) -> bool:
        """Is it a large constant that several nodes read?"""
        stored = self.origins.get(weight, frozenset())
        return self.reads[weight] > 1 and any(tensor_bytes(self.initializers[name]) >= SMALL for name in stored)

    def scaled_by_number(self, node: NodeProto) -> int | None:
        """Which input of a node is a constant number by which the other one is multiplied or divided."""
        operands = {"Mul": (1, 0), "Div": (1,)}.get(node.op_type, ())
        scalars = (i for i in operands if (c := self.initializers.get(node.input[i])) and prod(c.dims) == 1)
        return next(scalars, None)

    def reads_behind(self, node: NodeProto, i: int) -> list[Read]:
        """The reads of initializers that make an input constant: its own, or those of the node that computes it."""
        name = node.input[i]
        if name in self.initializers:
            return [(node, i)]
        behind = self.folded.get(name)
        return [(behind, j) for j, read in enumerate(behind.input) if read in self.initializers] if behind else []


class _InferredTypes:
    """Types of the tensors of the model's graph, as far as ONNX can tell; worked out when they are first asked for."""

    def __init__(self, proto: ModelProto) -> None:
        self._proto = proto

    @cached_property
    def _tensors(self) -> dict[str, TensorProto]:
        tensors = {tensor.name: tensor for tensor in self._proto.graph.initializer}
        for info in shape_inference.infer_shapes(self._proto).graph.value_info:
            type = info.type.tensor_type
            if type.elem_type and all(dim.HasField("dim_value") for dim in type.shape.dim):
                dims = [dim.dim_value for dim in type.shape.dim]
                tensors[info.name] = TensorProto(name=info.name, data_type=type.elem_type, dims=dims)
        return tensors

    def tensor(self, name: str) -> TensorProto | None:
        """Dtype and shape of a tensor."""
        return self._tensors.get(name)

    def bytes(self, name: str, unknown: int = 0) -> int:
        """The bytes of a tensor, or `unknown`."""
        tensor = self.tensor(name)
        return unknown if tensor is None else tensor_bytes(tensor)


# -- where a copy would be made ----------------------------------------------------------------------------------------


def _folded_copies(inferred: _InferredTypes, facts: _Constants) -> list[Read]:
    """Reads of large initializers by nodes that would be folded, where that would leave more bytes than before."""
    large = {name: tensor_bytes(t) for name, t in facts.initializers.items() if tensor_bytes(t) >= SMALL}
    folded = [name for name in facts.folded if name in facts.kept and facts.origins[name] & large.keys()]
    if not folded:
        return []
    reads: list[Read] = []
    for name, size in large.items():
        copies = [_share(name, result, large, inferred, facts) for result in folded if name in facts.origins[result]]
        if copies and sum(copies) + size * (name in facts.kept) > size:
            nodes = {node.output[0]: node for node in facts.folded.values() if name in node.input}
            reads += [(node, i) for node in nodes.values() for i, read in enumerate(node.input) if read == name]
    return reads


def _share(name: str, result: str, large: dict[str, int], inferred: _InferredTypes, facts: _Constants) -> float:
    """The bytes of a folded result that an initializer answers for: those that it is made of share them by size."""
    together = sum(large[origin] for origin in facts.origins[result] & large.keys())
    return inferred.bytes(result, together) * large[name] / together


def _large_maps(guarded: list[Read], inferred: _InferredTypes, facts: _Constants) -> list[Read]:
    """Reads of small constants that become large ones for guarded weights: `arange(d).reshape(d, 1) - arange(d)`, by
    which a circulant matrix gathers its `d` weights, would be stored with all its d * d elements."""
    weights = {node.input[i] for node, i in guarded}
    of_weights = {name for name in facts.folded if facts.origins[name] & weights}
    reads: list[Read] = []
    for node in {facts.folded[name].output[0]: facts.folded[name] for name in of_weights}.values():
        for name in node.input:
            if name in facts.folded and name not in of_weights and inferred.bytes(name) >= LARGE:
                reads += _where_it_grows(name, inferred, facts)
    return list({(node.output[0], i): (node, i) for node, i in reads}.values())


def _where_it_grows(name: str, inferred: _InferredTypes, facts: _Constants) -> list[Read]:
    """Of a folded tensor, the operand of what makes it, or of what makes its operands, that is much smaller."""
    node = facts.folded[name]
    sizes = [inferred.bytes(read) for read in node.input]
    if 2 * sum(sizes) > inferred.bytes(name):
        largest = node.input[sizes.index(max(sizes))]
        return _where_it_grows(largest, inferred, facts) if largest in facts.folded else []
    for i, read in enumerate(node.input):  # of two `Reshape`s in a row the runtime makes one
        if read in facts.initializers or (inferred.tensor(read) and facts.folded[read].op_type != "Reshape"):
            return [(node, i)]
    behind = facts.folded.get(node.input[0])
    return [(behind, 1)] if behind is not None and behind.op_type == "Reshape" else []


def _fused_copies(facts: _Constants) -> list[Read]:
    """Reads of constant scales that melt into a product whose weight has other readers."""
    reads: list[Read] = []
    for node in facts.nodes:
        for (product_type, scale_type), inputs in _MELTS.items():
            for data, scale in inputs if node.op_type == scale_type else ():
                product = facts.producers.get(node.input[data])
                while product is not None and product.op_type in _BETWEEN:
                    product = facts.producers.get(product.input[0])
                if product is not None and product.op_type == product_type and facts.is_shared(product.input[1]):
                    reads += facts.reads_behind(node, scale)
    return reads


def _scales_in_a_row(facts: _Constants) -> list[Read]:
    """Reads of a number that scales what was scaled before and has other readers.

    ONNX Runtime 1.32 melts scales into products of matrices. It takes the first scale out where a product reads what it
    gives, though the second one, melted into another product, still does: the model is then invalid.
    """
    reads: list[Read] = []
    for node in facts.nodes:
        scale = facts.scaled_by_number(node)
        name = "" if scale is None else node.input[1 - scale]
        is_shared, before = facts.reads[name] > 1, facts.producers.get(name)
        while before is not None and before.op_type == "Transpose":  # melts into the product too
            is_shared, before = is_shared or facts.reads[before.input[0]] > 1, facts.producers.get(before.input[0])
        if scale is not None and is_shared and before is not None and facts.scaled_by_number(before) is not None:
            reads.append((node, scale))
    return reads


def tensor_bytes(tensor: TensorProto) -> int:
    """The bytes of an initializer, whether its values are there or not."""
    return int(prod(tensor.dims) * helper.tensor_dtype_to_np_dtype(tensor.data_type).itemsize)


# -- the guard ---------------------------------------------------------------------------------------------------------


class _Guards:
    """The `Reshape`s of one graph, each tensor's once, in front of all other nodes or behind what computes it."""

    def __init__(self, graph: GraphProto, inferred: _InferredTypes) -> None:
        self._graph, self._inferred = graph, inferred
        self._computed = {name for node in graph.node for name in node.output}
        self._behind: dict[str, NodeProto] = {}  # guards of what is computed
        self._initializers = {tensor.name: tensor for tensor in graph.initializer}
        self._nodes: list[NodeProto] = []
        self._zeros: dict[int, str] = {}
        self._guarded: dict[str, str] = {}

    def put_before(self, reads: list[Read]) -> None:
        for node, i in reads:
            if node.op_type == "Reshape":
                self._reshape_at_run_time(node)
            else:
                node.input[i] = self._guard(node.input[i])
        rest = [[node, *(self._behind[n] for n in node.output if n in self._behind)] for node in self._graph.node]
        del self._graph.node[:]
        self._graph.node.extend([*self._nodes, *chain(*rest)])

    def _guard(self, name: str) -> str:
        tensor = self._initializers.get(name) or (self._inferred.tensor(name) if name in self._computed else None)
        if tensor is None or name in self._guarded.values():
            return name  # guarded already
        if name not in self._guarded:
            result = self._guarded[name] = f"{name}/as stored"
            self._node("Reshape", [name, self._zero_shape(len(tensor.dims))], result)
            if name in self._computed:
                self._behind[name] = self._nodes.pop()
            self._graph.value_info.append(helper.make_tensor_value_info(result, tensor.data_type, list(tensor.dims)))
        return self._guarded[name]

    def _reshape_at_run_time(self, node: NodeProto) -> None:
        """Guards a `Reshape` by its own shape: of several in a row the runtime makes one with the shape of the last, so
        that a guard before it would be gone, and one behind it that isn't guarded too undoes it."""
        shape = self._initializers.get(node.input[1])
        if shape is None:
            return  # guarded already
        (rank,) = shape.dims
        node.input[1] = self._run_time_shape(shape, rank)
        for reader in walk(self._graph):
            if reader.op_type == "Reshape" and reader.input[0] == node.output[0]:
                self._reshape_at_run_time(reader)

    def _run_time_shape(self, shape: TensorProto, rank: int) -> str:
        """A shape, with zeros added to it that only the run knows."""
        if shape.name not in self._guarded:
            self._guarded[shape.name] = f"{shape.name}/at run time"
            self._node("Add", [shape.name, self._zero_shape(rank)], self._guarded[shape.name])
        return self._guarded[shape.name]

    def _zero_shape(self, rank: int) -> str:
        """`rank` zeros that only the run can know to be zeros: the smaller of 0 and a number of elements."""
        if not self._zeros:
            self._node("Size", [self._counted()], "sharing/size")
        if rank not in self._zeros:
            zeros = f"sharing/zeros[{rank}]"
            self._graph.initializer.append(numpy_helper.from_array(np.zeros(rank, np.int64), zeros))
            self._zeros[rank] = f"sharing/shape[{rank}]"
            self._node("Min", ["sharing/size", zeros], self._zeros[rank])
        return self._zeros[rank]

    def _counted(self) -> str:
        """An input that can be counted: for bf16 there is no `Size` on the CPU."""
        inputs = sorted(self._graph.input, key=lambda i: i.type.tensor_type.elem_type == TensorProto.BFLOAT16)
        if inputs[0].type.tensor_type.elem_type != TensorProto.BFLOAT16:
            return str(inputs[0].name)
        self._node("Cast", [inputs[0].name], "sharing/counted", to=TensorProto.FLOAT)
        return "sharing/counted"

    def _node(self, op_type: str, inputs: list[str], output: str, **attributes: Any) -> None:
        self._nodes.append(helper.make_node(op_type, inputs, [output], name=output, **attributes))
