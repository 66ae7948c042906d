"""Splits a computation over the rows of a batch so that it can run on parts of it, independent of how it is cut.

    model m(%x: f32[n], %y: f32[n]) -> (ratio: %ratio) {
        %a = sum(%x) {axis=none, keepdims=false}: f32[]
        %b = sum(%y) {axis=none, keepdims=false}: f32[]
        %ratio = div(%a, %b): f32[]
    }

becomes

    model m(%x: f32[n], %y: f32[n], %whole/0: f32[], %whole/1: f32[]) -> (ratio: %ratio) {
        %a = sum(%x) {axis=none, keepdims=false}: f32[]
        %b = sum(%y) {axis=none, keepdims=false}: f32[]
        %ratio = div(%whole/0, %whole/1): f32[]
    }

with two `Merge`s: `whole/0` is the sum of the `%a` of all parts, `whole/1` that of the `%b`.

The nodes are visited in order, and each value is one of four kinds: the *same* for all rows; of *rows*, if the dynamic
dimension that is cut is in its shape; of the *whole* batch, after a reduction over the rows; or *mixed*, where rows
were combined in a way that can't be merged, so that its value is that of one part. Operations declare where they
combine rows (`Operation.mixes`), and how a reduction is merged (`Operation.merge`).

For gradients (`of_gradients`) a value of the whole batch has the merged value, and the gradient of this part's
contribution (`straight_through`), so that the gradients of all parts add up. Where it enters the rows again, as in `x -
mean(x)`, it does so as an input (`Entry`), whose gradient is the sum over the rows of all parts.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import count
from typing import Any, Literal, TypeAlias

from wsdl.ir.dims import Dim, is_part, origins
from wsdl.ir.graph import Graph, Node, Value
from wsdl.ir.step import How, Merge, Whole
from wsdl.ir.types import TensorType
from wsdl.ops import OPERATIONS
from wsdl.ops._define import Operation
from wsdl.ops.build import Build
from wsdl.ops.node_arguments import arguments
from wsdl.rewrite.dedupe import key_of
from wsdl.training.rows import Rows

SCALAR = TensorType.of("f32")
NUMBER = TensorType.of("i64")
Kind: TypeAlias = Literal["same", "rows", "whole", "mixed"]


@dataclass(frozen=True, eq=False)
class Entry:
    """A value of the whole batch that values of rows read: itself, with its gradient, and as they read it."""

    value: Value
    number: Value


@dataclass(eq=False)
class Separated:
    """`values` are the requested ones, computed from the inputs of `merges`, each with the values of one part; `mixed`
    maps each that isn't exact to the node that is the reason."""

    values: list[Value]
    mixed: list[Node | None]
    merges: dict[Merge, list[Value]] = field(default_factory=dict)
    entries: list[Entry] = field(default_factory=list)


def separate(graph: Graph, values: Sequence[Value], rows: str | None, *, of_gradients: bool = False) -> Separated:
    """Separate scalars of a graph, in place; `rows` is the name of the dynamic dimension that is cut."""
    separation = _Separation(graph, rows, of_gradients)
    separation.run()
    return separation.result(values)


# -- what is merged ----------------------------------------------------------------------------------------------------


class _Merges:
    """The values of one part merged over the whole batch, as inputs of the graph; the same values are merged once.

    This is the `Merged` that rules of operations use.
    """

    def __init__(self, graph: Graph, kinds: dict[Value, Kind]) -> None:
        self.graph, self.kinds = graph, kinds
        self.parts: dict[Merge, list[Value]] = {}
        self._wholes: dict[object, list[Value]] = {}
        self._labels = count()

    def __call__(self, how: How, *parts: Value) -> Value:
        return self.all(how, *parts)[0]

    def all(self, how: How, *parts: Value) -> list[Value]:
        key = (how, *parts)
        if key not in self._wholes:
            self._wholes[key] = self._merge(how, [part.type for part in parts], parts)
        return self._wholes[key]

    def size(self, dim: Dim, type: TensorType) -> Value | float:
        if dim.constant is not None:
            return dim.constant
        return Build(self.graph)("cast", self.size_of_whole(dim), dtype=type.dtype)

    def size_of_whole(self, dim: Dim) -> Value:
        """A dynamic dimension, i64[]; that of a part of the rows is the sum over all parts of the batch."""
        if any(map(is_part, dim.names())):
            return self("sum", Build(self.graph)("size", dim=dim))
        key = str(dim)
        if key not in self._wholes:
            self._wholes[key] = self._merge("size", [NUMBER], (), dim)
        return self._wholes[key][0]

    def _merge(
        self, how: How, types: Sequence[TensorType], parts: Sequence[Value], dim: Dim | None = None
    ) -> list[Value]:
        wholes = tuple(Whole(str(next(self._labels)), type) for type in types)
        self.parts[Merge(how, wholes, dim)] = list(parts)
        inputs = [Value(whole.type, whole.name) for whole in wholes]
        self.graph.inputs += inputs
        self.kinds.update(dict.fromkeys(inputs, "whole"))
        return inputs


# -- the walk ----------------------------------------------------------------------------------------------------------


class _Separation:
    """One walk through a graph, which keeps each node or replaces it."""

    def __init__(self, graph: Graph, rows: str | None, of_gradients: bool) -> None:
        self.graph, self.rows, self.of_gradients = graph, Rows(rows), of_gradients
        self.kinds: dict[Value, Kind] = {v: "rows" if self.rows.are_in(v.type) else "same" for v in graph.inputs}
        self.mixed_by: dict[Value, Node] = {}  # the node that mixed rows on the way to a value
        self.trained: set[Value] = set()  # the values that depend on stored tensors
        self.replaced: dict[Value, Value] = {}
        self.merges = _Merges(graph, self.kinds)
        self.entries: dict[Value, Entry] = {}
        self.shares: dict[
            Value, Value
        ] = {}  # values that are the same for all rows, with the gradient of this part's share
        self.computed: dict[object, list[Value]] = {}  # results of nodes that rules of operations have requested

    def run(self) -> None:
        nodes, self.graph.nodes = self.graph.nodes, []
        for node in nodes:
            self.take(node)

    def result(self, values: Sequence[Value]) -> Separated:
        latest = [self.replaced.get(v, v) for v in values]
        mixed = [self.mixed_by.get(v) for v in latest]
        return Separated([self.with_share(v) for v in latest], mixed, self.merges.parts, list(self.entries.values()))

    def take(self, node: Node) -> None:
        """Append a node, or its replacement."""
        _substitute(node, self.replaced)
        if node.op == "size":
            self.take_size(node)
            return
        if node.body is not None:
            self.take_sizes_of(node.body)
        meet = self.rows.meet(node)
        if meet == "reduced":
            self.reduce(node)
        elif meet is None or not self.take_apart(node):
            self.append(node, mixes=meet == "mixed")

    def take_size(self, node: Node) -> None:
        dim = node.attributes["dim"]
        assert isinstance(dim, Dim)
        if self.rows.name in origins(dim):
            self.replaced[node.result] = self.merges.size_of_whole(dim)
        else:
            self.append(node)

    def take_sizes_of(self, body: Graph) -> None:
        """A body reads the sizes of the whole batch from outside."""
        for node in body.nodes:
            if node.body is not None:
                self.take_sizes_of(node.body)
        sizes: dict[Value, Value] = {}
        for node in body.nodes:
            dim = node.attributes.get("dim")
            if node.op == "size" and isinstance(dim, Dim) and self.rows.name in origins(dim):
                sizes[node.result] = self.merges.size_of_whole(dim)
        body.nodes = [n for n in body.nodes if not n.results or n.result not in sizes]
        _substitute_in(body, sizes)

    def take_apart(self, node: Node) -> bool:
        """Append the same computation from operations that can be merged, if possible."""
        if node.op not in OPERATIONS or any(v in self.mixed_by for v in node.reads()):
            return False
        operation = OPERATIONS[node.op]
        inside = Build(Graph(), node.path, node.span, node.steps, around=Build(self.graph))
        result = operation.taken_apart(inside, **arguments(operation, node, lambda value: value))
        if result is None:
            return False
        for part in inside.graph.nodes:
            self.take(part)
        self.replaced[node.result] = self.replaced.get(result, result)
        return True

    def append(self, node: Node, *, mixes: bool = False) -> None:
        """Append a node as it is; `mixes` if it combines rows in a way that can't be merged."""
        kinds = {self.kinds[v] for v in node.reads()}
        of_rows = "rows" in kinds or mixes or self.rows.are_in(*(v.type for v in node.results))
        if self.of_gradients and "whole" in kinds:
            self.exchange(node, self.entering if of_rows or "mixed" in kinds else self.with_share)
        self.graph.nodes.append(node)
        reads = node.inputs[:3] if node.op == "batch_norm_training" else node.reads()  # no row reads running statistics
        before = next((self.mixed_by[v] for v in reads if v in self.mixed_by), None)
        mixed_by = self.rows.where(node) if mixes else before
        is_trained = node.op == "parameter" or not self.trained.isdisjoint(node.reads())
        for value in node.results:
            if mixed_by is not None or len(self.rows.axes(value.type)) > 1:
                self.mixed_by[value] = mixed_by or node
            if is_trained and value.type.is_float:
                self.trained.add(value)
            if self.rows.are_in(value.type):
                self.kinds[value] = "rows"
            elif of_rows or "mixed" in kinds:
                self.mixed_by.setdefault(value, node)
                self.kinds[value] = "mixed"
                if value.type.rank == 0:
                    self.reduce_mixed(value, node)
            else:
                self.kinds[value] = "whole" if "whole" in kinds else "same"

    # -- reductions over the rows --------------------------------------------------------------------------------------

    def reduce(self, node: Node) -> None:
        """Append a reduction; it is replaced by that over the whole batch, which the operation's rule merges."""
        operation = OPERATIONS[node.op]
        if self.of_gradients:
            self.exchange(node, self.entering)
        mixed_by = next((self.mixed_by[v] for v in node.reads() if v in self.mixed_by), None)
        self.graph.nodes.append(node)
        whole = self.by_rule(operation, operation.merged, node)
        is_trained = not self.trained.isdisjoint(node.reads())
        if self.of_gradients and mixed_by is None and is_trained and node.result.type.is_float:
            share = self.by_rule(operation, operation.shared, node)
            whole = self.beside(node)("straight_through", whole, share)
            self.trained.add(whole)
        if mixed_by is not None:
            self.mixed_by[whole] = mixed_by
        self.kinds[whole] = "whole"
        self.replaced[node.result] = whole

    def reduce_mixed(self, value: Value, node: Node) -> None:
        """A scalar that can't be merged counts as a mean over the rows."""
        rows = self.beside(node).number_of(Dim.symbol(self.rows.name or ""), SCALAR)
        whole = self.merges("mean", value, rows)
        self.mixed_by[whole] = self.mixed_by[value]
        self.replaced[value] = whole

    def by_rule(self, operation: Operation, rule: Callable[..., Value], node: Node) -> Value:
        """The result of a rule of an operation for a node's result and operands."""
        return rule(self.beside(node), self.merges, node.result, **arguments(operation, node, lambda value: value))

    def beside(self, node: Node) -> Build:
        return _DeduplicatingBuild(self.graph, node.path, node.span, node.steps, computed=self.computed)

    # -- between the whole and the rows --------------------------------------------------------------------------------

    def exchange(self, node: Node, replacement: Callable[[Value], Value]) -> None:
        """Replace the operands of a node that are of the whole batch or the same for all rows."""
        values = {v: replacement(v) for v in node.reads() if self.kinds[v] in ("whole", "same")}
        _substitute(node, values)

    def entering(self, value: Value) -> Value:
        """A value of the whole batch as an input, for computations on rows."""
        if self.kinds[value] != "whole" or not value.type.is_float or value not in self.trained:
            return value
        if value not in self.entries:
            number = Build(self.graph)("stop_gradient", value)
            self.kinds[number] = "whole"
            self.trained.add(number)  # values computed from it depend on trained tensors: through its `Entry`
            self.entries[value] = Entry(value, number)
        return self.entries[value].number

    def with_share(self, value: Value) -> Value:
        """A value that is the same for all rows and depends on stored tensors, with its gradient scaled by this part's
        share, since the gradients of all parts are added."""
        if not (self.of_gradients and self.rows.name and self.kinds[value] == "same" and value in self.trained):
            return value
        if value not in self.shares:
            build, rows = Build(self.graph), Dim.symbol(self.rows.name)
            own, all = build.number_of(rows, value.type), self.merges.size(rows, value.type)
            share = build.mul(value, build("div", own, all))
            self.shares[value] = build("straight_through", value, share)
            self.kinds[self.shares[value]] = "whole"
            self.trained.add(self.shares[value])
        return self.shares[value]


@dataclass
class _DeduplicatingBuild(Build):
    """A `Build` that computes nothing twice, since several rules may request the same."""

    computed: dict[object, list[Value]] = field(default_factory=dict)

    def all(self, op: str, *operands: Any, **attributes: Any) -> list[Value]:
        before = len(self.graph.nodes)
        results = super().all(op, *operands, **attributes)
        if len(self.graph.nodes) != before + 1:
            return results
        key = key_of(self.graph.nodes[-1])
        if key in self.computed:
            self.graph.nodes.pop()
        return self.computed.setdefault(key, results)


def _substitute(node: Node, values: Mapping[Value, Value]) -> None:
    """Replace values that a node reads, and that its body captures."""
    node.operands = node.substituted(values)
    if node.body is not None:
        _substitute_in(node.body, values)


def _substitute_in(body: Graph, values: Mapping[Value, Value]) -> None:
    for node in body.walk():
        node.operands = node.substituted(values)
    for graph in body.graphs():
        graph.outputs = [values.get(v, v) for v in graph.outputs]
