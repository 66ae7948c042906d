"""The reference interpreter: runs a graph with the operations' NumPy references.

Compiled files are compared with it, so it is simple rather than fast; it also computes, when compiling, the tensors
that are derived from stored ones.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from wsdl.ir.binding import bind_sizes
from wsdl.ir.dims import Dim
from wsdl.ir.dtypes import numpy_dtype
from wsdl.ir.graph import Attribute, Graph, Node, Value
from wsdl.ir.types import TensorType
from wsdl.ops._define import OPERATIONS
from wsdl.ops._interfaces import Array
from wsdl.ops.node_arguments import ScanParts, arguments


class AssumptionError(Exception):
    """Two dimensions that the program requires to be equal have different sizes in this run."""


def evaluate(
    graph: Graph, inputs: Sequence[Array], stored: Mapping[str, Array], sizes: Mapping[str, int] | None = None
) -> list[Array]:
    """The outputs of a graph.

    `stored` holds the stored tensors by name. Dynamic dimensions come from the shapes of the inputs; `sizes` adds those
    that no input has. Raises `SizeError` for inputs that don't fit and `AssumptionError` where an `assume` doesn't
    hold.
    """
    import numpy as np

    arrays = [np.asarray(array) for array in inputs]
    bound = bind_sizes([v.type for v in graph.inputs], [a.shape for a in arrays], [v.name for v in graph.inputs])
    return _Run(np, stored, {**(sizes or {}), **bound}).run(graph, arrays)


class _Run:
    """One evaluation: the arrays of the values computed so far, those in bodies included (each step overwrites the
    previous one)."""

    def __init__(self, np: Any, stored: Mapping[str, Array], sizes: Mapping[str, int]) -> None:
        self.np, self.stored, self.sizes = np, stored, dict(sizes)
        self.arrays: dict[Value, Array] = {}

    def run(self, graph: Graph, inputs: Sequence[Array]) -> list[Array]:
        for value, array in zip(graph.inputs, inputs, strict=True):
            self.arrays[value] = array
        for node in graph.nodes:
            for value, array in zip(node.results, self._results(node), strict=True):
                self.arrays[value] = self.np.asarray(array)
            if node.op == "partition_rows":
                self.sizes |= zip(node.measured, (len(self.arrays[v]) for v in node.results), strict=False)
        return [self._array(value) for value in graph.outputs]

    def _array(self, value: Value) -> Array:
        return self.arrays[value]

    def _results(self, node: Node) -> Sequence[Array]:
        if node.op == "parameter":
            array = self.stored[str(node.attributes["stored"])]
            read = array if node.view is None else node.view.of(array)
            return [read.astype(numpy_dtype(node.result.type.dtype), copy=False)]
        if node.op == "scan":
            return self._scan(node)
        if node.op == "loop":
            return self._loop(node)
        if node.op == "assume":
            return [self._assumed(node)]
        operation = OPERATIONS[node.op]
        return operation.evaluate(self.np, **arguments(operation, node, self._array, self._attribute))

    def _attribute(self, attribute: Attribute) -> Any:
        """Dimensions become numbers, except those that the node measures."""
        if isinstance(attribute, Dim):
            return attribute.known(self.sizes)
        if isinstance(attribute, list):
            return [self._attribute(a) for a in attribute]
        return attribute

    def _shape(self, type: TensorType) -> tuple[int, ...]:
        return tuple(d.evaluate(self.sizes) for d in type.shape)

    def _scan(self, node: Node) -> list[Array]:
        assert node.body is not None
        parts = ScanParts.of(node)
        arrays = [self._array(v) for v in node.inputs]
        carried, sequences = arrays[: parts.carried], arrays[parts.carried :]
        steps = self._attribute(parts.steps) if parts.limit is None else max(int(self._array(parts.limit)), 0)
        emitted: list[list[Array]] = [[] for _ in parts.emit_axes]
        done = 0
        for i in reversed(range(steps)) if parts.reverse else range(steps):
            slices = [self.np.take(s, i, axis=axis) for s, axis in zip(sequences, parts.axes, strict=False)]
            number = [self.np.array(i, self.np.int64)] if parts.numbered else []
            outputs = self.run(node.body, [*carried, *number, *slices])
            carried = outputs[: parts.carried]
            done += 1
            for stack, array in zip(emitted, outputs[parts.emitted :], strict=True):
                stack.append(array)
            if parts.until and outputs[parts.carried]:
                break
        self.sizes.update(dict.fromkeys(node.measured, done))
        stacks = [stack[::-1] if parts.reverse else stack for stack in emitted]  # in the order of the input's positions
        return [*carried, *map(self._stacked, stacks, parts.emit_axes, node.results[parts.carried :])]

    def _stacked(self, arrays: list[Array], axis: int, result: Value) -> Array:
        if not arrays:
            return self.np.zeros(self._shape(result.type), numpy_dtype(result.type.dtype))
        return self.np.stack(arrays, axis=axis)

    def _loop(self, node: Node) -> list[Array]:
        assert node.body is not None
        carried = [self._array(v) for v in node.inputs]
        for _ in range(self._attribute(node.attributes["count"])):
            carried = self.run(node.body, carried)
        return carried

    def _assumed(self, node: Node) -> Array:
        left, right = node.attributes["left"], node.attributes["right"]
        relation = node.attributes.get("relation", "equal")
        a, b = self._attribute(left), self._attribute(right)
        if not (a >= b if relation == "at least" else (a == b) == (relation == "equal")):
            sizes = ", ".join(f"{name} = {size}" for name, size in sorted(self.sizes.items()))
            raise AssumptionError(f"{left} must be {relation} {right}, but is not for {sizes}")
        return self._array(node.inputs[0])
