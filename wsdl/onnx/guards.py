"""Keeps ONNX Runtime's optimizer from storing a shared tensor a second time.

Two of its rewrites copy weights: constant folding (`W.T`, a slice, `W * s` become new tensors beside `W`), and folding
a batch normalization or a scale into the convolution or the product before it (a copy for each use). Neither applies to
values that are only known at run time. So where a copy would be made, the tensor is read through a *guard*: a `Reshape`
to its own shape, whose operand (zeros: "copy each size") is computed at run time from the number of elements of an
input. If the reader is a `Reshape`, its shape is computed in this way instead. A guard copies nothing and takes next to
no time; measured in docs/measurements/copies.md.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from itertools import chain
from typing import Any

import numpy as np
from onnx import GraphProto, ModelProto, NodeProto, TensorProto, helper, numpy_helper

from wsdl.onnx.folding import ELEMENTS, Constants, InferredTypes, Read, reads_to_guard
from wsdl.onnx.walk import walk
from wsdl.ops._interfaces import Ref

_FUSED = {  # of (product, scale), which the runtime fuses: the inputs of the scale that are data and factor
    ("Conv", "BatchNormalization"): [(0, 1)],
    ("Conv", "Mul"): [(0, 1), (1, 0)],
    ("MatMul", "BatchNormalization"): [(0, 1)],
}
_BETWEEN = {"Reshape", "Transpose"}  # operators that may come between the two


def guard_sharing(
    proto: ModelProto, stored: Collection[str], known: Iterable[Ref] = (), maps: Collection[str] = ()
) -> None:
    """Insert guards so that no `stored` tensor is copied. `known` are tensors whose types ONNX can't infer, `maps` the
    results in formulas. A model without inputs has no guards, as it has no value that is only known at run time."""
    if not proto.graph.input:
        return
    constants = Constants(proto.graph)
    inferred = InferredTypes(proto, known)
    folded = reads_to_guard(stored, maps, constants, inferred)
    reads = [*folded, *_fused_copies(constants), *_scales_in_a_row(constants)]
    if reads:
        _Guards(proto.graph, inferred).put_before(reads)


# -- reads that would be copied ----------------------------------------------------------------------------------------


def _fused_copies(constants: Constants) -> list[Read]:
    """Reads of constant scales that the runtime would fuse into a product whose weight has other readers."""
    reads: list[Read] = []
    for node in constants.nodes:
        for (product_type, scale_type), inputs in _FUSED.items():
            for data, scale in inputs if node.op_type == scale_type else ():
                product = constants.producers.get(node.input[data])
                while product is not None and product.op_type in _BETWEEN:
                    product = constants.producers.get(product.input[0])
                if product is not None and product.op_type == product_type and constants.is_shared(product.input[1]):
                    reads += constants.reads_behind(node, scale)
    return reads


def _scales_in_a_row(constants: Constants) -> list[Read]:
    """Reads of the second of two consecutive scalings by a number, if the result of the first has other readers.

    ONNX Runtime 1.32 fuses scales into matrix products. It removes the first scaling when a product reads its result,
    although the second one, fused into another product, reads it too: the model is then invalid.
    """
    reads: list[Read] = []
    for node in constants.nodes:
        scale = constants.scaled_by_number(node)
        name = "" if scale is None else node.input[1 - scale]
        is_shared, before = constants.reads[name] > 1, constants.producers.get(name)
        while before is not None and before.op_type == "Transpose":  # is fused into the product too
            is_shared = is_shared or constants.reads[before.input[0]] > 1
            before = constants.producers.get(before.input[0])
        if scale is not None and is_shared and before is not None and constants.scaled_by_number(before) is not None:
            reads.append((node, scale))
    return reads


# -- guards ------------------------------------------------------------------------------------------------------------


class _Guards:
    """The guards of one graph, one per tensor: before all other nodes, or after the node that computes the tensor."""

    def __init__(self, graph: GraphProto, inferred: InferredTypes) -> None:
        self._graph, self._inferred = graph, inferred
        self._computed = {name for node in graph.node for name in node.output}
        self._behind: dict[str, NodeProto] = {}  # guards of computed tensors
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
        """Guard a `Reshape` by its shape. The runtime merges consecutive ones into one with the shape of the last,
        so a guard before it would be removed, and those that follow it must be guarded too."""
        shape = self._initializers.get(node.input[1])
        before = node.input[1]
        node.input[1] = self._guard(before) if shape is None else self._run_time_shape(shape, shape.dims[0])
        if node.input[1] == before:
            return  # guarded already
        for reader in walk(self._graph):
            if reader.op_type == "Reshape" and reader.input[0] == node.output[0]:
                self._reshape_at_run_time(reader)

    def _run_time_shape(self, shape: TensorProto, rank: int) -> str:
        """A shape plus zeros that are only known at run time."""
        if shape.name not in self._guarded:
            self._guarded[shape.name] = f"{shape.name}/at run time"
            self._node("Add", [shape.name, self._zero_shape(rank)], self._guarded[shape.name])
        return self._guarded[shape.name]

    def _zero_shape(self, rank: int) -> str:
        """`rank` zeros that are only known at run time: the minimum of 0 and a number of elements."""
        if not self._zeros:
            self._node("Size", [self._counted()], ELEMENTS)
        if rank not in self._zeros:
            zeros = f"sharing/zeros[{rank}]"
            self._graph.initializer.append(numpy_helper.from_array(np.zeros(rank, np.int64), zeros))
            self._zeros[rank] = f"sharing/shape[{rank}]"
            self._node("Min", [ELEMENTS, zeros], self._zeros[rank])
        return self._zeros[rank]

    def _counted(self) -> str:
        """An input for `Size`, which the CPU doesn't support for bf16."""
        inputs = sorted(self._graph.input, key=lambda i: i.type.tensor_type.elem_type == TensorProto.BFLOAT16)
        if inputs[0].type.tensor_type.elem_type != TensorProto.BFLOAT16:
            return str(inputs[0].name)
        self._node("Cast", [inputs[0].name], "sharing/counted", to=TensorProto.FLOAT)
        return "sharing/counted"

    def _node(self, op_type: str, inputs: list[str], output: str, **attributes: Any) -> None:
        self._nodes.append(helper.make_node(op_type, inputs, [output], name=output, **attributes))
