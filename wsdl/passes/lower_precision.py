"""Stores floats in 16 bits, and computes with them where that is safe.

    stored m.weight: f32[8, 4]

    model m(%x: f32[n, 4]) -> (y: %y) {
        %weight = parameter {stored="m.weight"}: f32[8, 4]
        %t = transpose(%weight): f32[4, 8]
        %h = matmul(%x, %t): f32[n, 8]
        %y = softmax(%h) {axis=-1}: f32[n, 8]
    }

becomes, for `f16`,

    stored m.weight: f16[8, 4]

    model m(%x: f32[n, 4]) -> (y: %y) {
        %weight = parameter {stored="m.weight"}: f16[8, 4]
        %t = transpose(%weight): f16[4, 8]
        %0 = cast(%x) {dtype="f16"}: f16[n, 4]
        %h = matmul(%0, %t): f16[n, 8]
        %1 = cast(%h) {dtype="f32"}: f32[n, 8]
        %y = softmax(%1) {axis=-1}: f32[n, 8]
    }

How an operation computes it says itself (`half` in `wsdl/ops`), much as PyTorch's autocast has it: products of matrices
and convolutions in 16 bits, sums, powers and exponentials in f32, most else in the wider dtype of its operands. `bf16`,
for which ONNX Runtime has no kernels on the CPU, is a way to store only: a parameter is read as f32, and everything
computes with that.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal, TypeAlias

from wsdl.ir.graph import Graph, Node, Operand, Program, Value
from wsdl.ir.types import DType
from wsdl.ops import OPERATIONS
from wsdl.ops._define import HalfRule
from wsdl.ops.arguments import ScanParts, arguments

Half = Literal["f16", "bf16"]
WIDE: DType = "f32"
LARGEST = 65504.0  # of f16

Casts: TypeAlias = "dict[tuple[int, DType, object], Value]"


def lower_precision(program: Program, half: Half, keep_io: bool = True) -> Program:
    """All that is stored as f32 becomes `half`, and inputs and outputs too, unless these are to be kept.
    (There is no training in 16 bits: `program` has none afterwards.)"""
    program.trainings.clear()
    for slot in [slot for stored in program.stored.values() for slot, _ in stored.slots]:
        if slot.type.dtype == WIDE:
            slot.type = slot.type.with_dtype(half)
    for model in program.models.values():
        lowering = _Lowering(half, "f16" if half == "f16" else WIDE)
        graph = model.graph
        inputs = [v for v in graph.inputs if v.type.dtype == WIDE]
        wanted: DType = WIDE if keep_io else half
        for value in inputs:
            value.type = value.type.with_dtype(wanted)
        outputs = [v.type.dtype == WIDE for v in graph.outputs]
        lowering.run(graph, {})
        lowering.finish(graph, [wanted if is_float else None for is_float in outputs])
    return program


@dataclass
class _Lowering:
    """`computes` is the dtype of what is computed in 16 bits: `f16`, or f32 where nothing is."""

    half: DType
    computes: DType

    def run(self, graph: Graph, casts: Casts) -> None:
        nodes, graph.nodes = graph.nodes, []
        for node in nodes:
            if node.op == "parameter":
                self._parameter(node)
            elif node.op == "scan":
                self._scan(node, graph, casts)
            else:
                self._operation(node, graph, casts)
            graph.nodes.append(node)

    def finish(self, graph: Graph, wanted: list[DType | None]) -> None:
        """Outputs of these dtypes; `None` leaves one as it is."""
        casts: Casts = {}
        for i, dtype in enumerate(wanted):
            value = graph.outputs[i]
            if dtype is not None and value.type.dtype != dtype:
                graph.outputs[i] = self._cast(value, dtype, Node("cast", [], {}, []), graph, casts)

    def _is_ours(self, value: Value) -> bool:
        return value.type.dtype in (WIDE, self.half)

    # -- nodes ---------------------------------------------------------------------------------------------------------

    def _parameter(self, node: Node) -> None:
        if node.result.type.dtype == WIDE:
            node.result.type = node.result.type.with_dtype(self.computes)

    def _operation(self, node: Node, graph: Graph, casts: Casts) -> None:
        if _rule(node) == "makes" and node.attributes.get("dtype") == WIDE:
            self._make(node, self.computes)
        floats = [v for v in node.inputs if self._is_ours(v)]
        if floats and _rule(node) != "as is":
            self._all_as(node, self._computed_as(node, floats), graph, casts)
        if node.op == "assume":
            node.result.type = node.result.type.with_dtype(node.inputs[0].type.dtype)
            return
        operation = OPERATIONS[node.op]
        types = operation.result_types(**arguments(operation, node, lambda value: value.type))
        for result, type in zip(node.results, types, strict=True):
            result.type = result.type.with_dtype(type.dtype)

    def _computed_as(self, node: Node, floats: list[Value]) -> DType:
        if _rule(node) == "f16":
            return self.computes
        return WIDE if _rule(node) == "f32" or any(v.type.dtype == WIDE for v in floats) else self.half

    def _all_as(self, node: Node, dtype: DType, graph: Graph, casts: Casts) -> None:
        def as_asked(value: Value) -> Value:
            fits = not self._is_ours(value) or value.type.dtype == dtype
            return value if fits else self._cast(value, dtype, node, graph, casts)

        operands: list[Operand] = []
        for operand in node.operands:
            is_list = isinstance(operand, list)
            operands.append([as_asked(v) for v in operand] if is_list else operand and as_asked(operand))  # type: ignore[union-attr, arg-type]
        node.operands = operands

    def _cast(self, value: Value, dtype: DType, for_: Node, graph: Graph, casts: Casts) -> Value:
        """A value in another dtype, in the same step of a `for` as the node that reads it; once for each step."""
        key = (id(value), dtype, for_.steps)
        if key not in casts:
            made_by = next((n for n in graph.nodes if n.results == [value]), None)
            result = Value(value.type.with_dtype(dtype))
            if made_by is not None and (made_by.op == "parameter" or _rule(made_by) == "makes"):
                node = replace(made_by, attributes=dict(made_by.attributes), results=[result])
                if node.op != "parameter":
                    self._make(node, dtype)
            else:
                node = Node("cast", [value], {"dtype": dtype}, [result], for_.path, for_.span, for_.steps)
            graph.nodes.append(node)
            casts[key] = result
        return casts[key]

    def _make(self, node: Node, dtype: DType) -> None:
        """What has no operands in another dtype; what is too large for it becomes its largest number."""
        node.attributes["dtype"] = dtype
        value = node.attributes.get("value")
        if dtype == "f16" and isinstance(value, float) and LARGEST < abs(value) < float("inf"):
            node.attributes["value"] = LARGEST if value > 0 else -LARGEST

    # -- time ----------------------------------------------------------------------------------------------------------

    def _scan(self, node: Node, graph: Graph, casts: Casts) -> None:
        """What is carried has one dtype at each step."""
        assert node.body is not None
        body, carried = node.body, ScanParts.of(node).carried
        inputs = list(node.inputs)
        for i, value in enumerate(inputs[:carried]):
            if self._is_ours(value) and value.type.dtype != self.computes:
                inputs[i] = self._cast(value, self.computes, node, graph, casts)
        node.operands = list(inputs)
        for inner, value in zip(body.inputs, inputs, strict=True):
            inner.type = inner.type.with_dtype(value.type.dtype)
        self.run(body, dict(casts))
        self.finish(body, [v.type.dtype for v in inputs[:carried]])
        for result, value in zip(node.results, body.outputs, strict=True):
            result.type = result.type.with_dtype(value.type.dtype)


def _rule(node: Node) -> HalfRule | None:
    """What its operation says about 16 bits; `None` for a node of the graph itself, such as `assume`."""
    return OPERATIONS[node.op].half if node.op in OPERATIONS else None
