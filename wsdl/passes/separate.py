"""Takes scalars of a batch apart into what adds up over several batches.

    model m(%x: f32[n], %y: f32[n]) -> (loss: %loss) {
        %a = mean(%x) {axis=none, keepdims=false}: f32[]
        %b = mean(%y) {axis=none, keepdims=false}: f32[]
        %loss = add(%a, %b): f32[]
    }

The mean of a large batch is that of its parts, each weighed by its size. So `separate` says of `%loss` that it is a sum
of two means over `n` numbers each, from which the loss of a whole set of data is put together (`Separated`); and
`shares_of_whole` rewrites it to the share that one part has in the whole, whose sum over all parts is exact, and so is
the sum of its gradients: for micro-batches, and for batches that several workers share.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from wsdl.ir.dims import Dim
from wsdl.ir.graph import Graph, Node, Value
from wsdl.ir.types import TensorType
from wsdl.ops import OPERATIONS
from wsdl.ops.arguments import arguments
from wsdl.ops.build import Build

SCALAR = TensorType.of("f32")


@dataclass(frozen=True, eq=False)
class Part:
    """One scalar of a batch, and how those of several batches become one.

    A `mean` is weighed by `count`, which is over how much it was taken; `sum`s are added; what depends on no batch is
    the `same` in all.
    """

    value: Value
    kind: Literal["mean", "sum", "same"]
    count: Value | None = None


@dataclass(frozen=True, eq=False)
class Separated:
    """The parts of some scalars, and the graph that computes the scalars from the parts of the whole."""

    parts: list[Part]
    rest: Graph


def separate(graph: Graph, values: Sequence[Value]) -> Separated:
    """The parts that scalars of a batch consist of. Appends to `graph` what counts them."""
    work = _Work(graph)
    parts: dict[int, Part] = {}
    for value in values:
        work.collect(value, parts)
    leaves = [part.value for part in parts.values()]
    inside = {id(v) for v in leaves}
    inputs = [Value(v.type, f"part_{i}") for i, v in enumerate(leaves)]
    replaced = {id(v): i for v, i in zip(leaves, inputs, strict=True)}
    rest = Graph(inputs)
    for node in _between(graph, values, inside):
        results = [Value(v.type, v.name) for v in node.results]
        operands = [_swapped(o, replaced) for o in node.operands]
        rest.nodes.append(Node(node.op, operands, node.attributes, results, node.path, node.span))
        replaced.update({id(old): new for old, new in zip(node.results, results, strict=True)})
    rest.outputs = [replaced[id(v)] for v in values]
    return Separated(list(parts.values()), rest)


def shares_of_whole(graph: Graph, values: Sequence[Value]) -> tuple[list[Value], dict[str, Value]]:
    """For each scalar the share that this part of a batch has in that of the whole; and the counts of this part, each
    by the name of the new input (f32[]) that wants that of the whole.

    Exact for every sum of means and sums, whatever numbers these are multiplied with. Another function of them (a root,
    a quotient) is weighed by the rows, as if it were a mean over them.
    """
    work = _Work(graph)
    shares = [work.share(value) for value in values]
    return shares, {total.name: count for total, count in work.totals.values()}


class _Work:
    """A search through one graph, from scalars back to what was computed from tensors."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.producers = {id(v): node for node in graph.nodes for v in node.results}
        self.of_batch = _dependents(graph, {id(v) for v in graph.inputs})
        reads = {id(n.result) for n in graph.nodes if n.op == "parameter"}
        self.of_weights = _dependents(graph, reads) | reads
        self.build = Build(graph)
        self.counts: dict[str, Value] = {}
        self.totals: dict[int, tuple[Value, Value]] = {}  # by the id of the count: the input for that of the whole

    # -- parts ---------------------------------------------------------------------------------------------------------

    def collect(self, value: Value, parts: dict[int, Part]) -> None:
        if id(value) in parts:
            return
        node = self.producers.get(id(value))
        if id(value) not in self.of_batch:
            parts[id(value)] = Part(value, "same")
        elif node is not None and node.body is None and all(v.type.rank == 0 for v in node.inputs):
            for operand in node.inputs:
                self.collect(operand, parts)
        elif node is not None and node.op == "sum":
            parts[id(value)] = Part(value, "sum")
        else:
            parts[id(value)] = Part(value, "mean", self.count(node))

    def count(self, node: Node | None) -> Value:
        """Over how much a scalar is a mean, f32[]; over the rows of the batch where that can't be said."""
        counted = None
        if node is not None and node.op in OPERATIONS:
            operation = OPERATIONS[node.op]
            counted = operation.counted(self.build, **arguments(operation, node, lambda value: value))
        if counted is None:
            counted = self.build.size(self._rows(), SCALAR)
        if not isinstance(counted, Value):
            counted = self.build.constant(float(counted), SCALAR)
        if counted.type.dtype != "f32":
            counted = self.build("cast", counted, dtype="f32")
        return self._once(counted)

    def _rows(self) -> Dim:
        leading = [v.type.shape[0] for v in self.graph.inputs if v.type.rank]
        return next((dim for dim in leading if dim.name), leading[0] if leading else Dim.of(1))

    def _once(self, counted: Value) -> Value:
        """Counts that are computed alike are one."""
        return self.counts.setdefault(_described(self.graph, counted), counted)

    # -- shares --------------------------------------------------------------------------------------------------------

    def share(self, value: Value) -> Value:
        build, node = self.build, self.producers.get(id(value))
        if id(value) not in self.of_batch or node is None:
            return self._weighed(value, self.count(None))
        moving = [id(v) in self.of_batch for v in node.inputs]
        if node.op in ("add", "sub"):
            return build(node.op, *(self.share(v) for v in node.inputs))
        if node.op in ("neg", "stop_gradient") or (node.op == "cast" and node.inputs[0].type.is_float):
            return build(node.op, self.share(node.inputs[0]), **node.attributes)
        if node.op == "mul" and not all(moving):
            return build("mul", *(self.share(v) if m else v for v, m in zip(node.inputs, moving, strict=True)))
        if node.op == "div" and not moving[1]:
            return build("div", self.share(node.inputs[0]), node.inputs[1])
        if node.op == "div" and id(node.inputs[1]) not in self.of_weights:
            return build("div", self.share(node.inputs[0]), self._total(self._once(node.inputs[1]), value.type))
        if node.op == "sum":
            return value
        if node.op == "cross_entropy" and node.operands[-1] is None:
            total = self._total(self.count(node), value.type)
            return build(node.op, *node.operands[:-1], total, **node.attributes)
        return self._weighed(value, self.count(node))

    def _weighed(self, value: Value, count: Value) -> Value:
        own = count if value.type.dtype == "f32" else self.build("cast", count, dtype=value.type.dtype)
        return self.build("mul", value, self.build("div", own, self._total(count, value.type)))

    def _total(self, count: Value, type: TensorType) -> Value:
        """What `count` is of the whole, in the dtype of a type."""
        if id(count) not in self.totals:
            self.totals[id(count)] = (Value(SCALAR, f"total/{len(self.totals)}"), count)
            self.graph.inputs.append(self.totals[id(count)][0])
        total = self.totals[id(count)][0]
        return total if type.dtype == "f32" else self.build("cast", total, dtype=type.dtype)


def _dependents(graph: Graph, sources: set[int]) -> set[int]:
    found = set(sources)
    for node in graph.nodes:
        if any(id(v) in found for v in node.reads()) or _depends_on_sizes(node):
            found |= {id(v) for v in node.results}
    return found


def _depends_on_sizes(node: Node) -> bool:
    return node.op == "size" and isinstance(node.attributes["dim"], Dim) and node.attributes["dim"].constant is None


def _described(graph: Graph, value: Value) -> str:
    """The same text for values that are computed in the same way from the same ones."""
    node = next((n for n in reversed(graph.nodes) if any(v is value for v in n.results)), None)
    if node is None or node.op not in ("size", "cast", "constant", "mul"):
        return str(id(value))
    inputs = ", ".join(_described(graph, v) for v in node.inputs)
    return f"{node.op}({inputs}) {sorted((k, str(v)) for k, v in node.attributes.items())}"


def _between(graph: Graph, values: Sequence[Value], leaves: set[int]) -> list[Node]:
    """The nodes that lead from the leaves to the values."""
    behind = [n for n in graph.nodes if not any(id(v) in leaves for v in n.results)]
    wanted = [v for v in values if id(v) not in leaves]
    kept: list[Node] = []
    needed = {id(v) for v in wanted}
    for node in reversed(behind):
        if any(id(v) in needed for v in node.results):
            needed |= {id(v) for v in node.inputs} - leaves
            kept.append(node)
    return kept[::-1]


def _swapped(operand: object, replaced: dict[int, Value]) -> Value | list[Value] | None:
    if isinstance(operand, list):
        return [replaced[id(v)] for v in operand]
    return None if operand is None else replaced[id(operand)]
