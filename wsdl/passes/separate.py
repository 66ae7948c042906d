"""Takes what is computed of many rows apart, so that it can be computed of parts of them, however they are cut.

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

Each value is one of four: the *same* for all rows; of *rows*, if the run-time dimension that is cut is in its shape; of
the *whole*, behind a reduction over the rows; or *mixed*, where rows have met in a way that can't be merged, so that it
is that of one part. Where two rows meet is for the operations to say (`Operation.mixes`), and how a reduction is merged
(`Operation.merge`).

For gradients there is more to it (`of_gradients`). What is of the whole has the value that came in, and the gradient of
the share that this part has in it (`straight_through`), so that the gradients of all parts add up. Where it enters the
rows again, as in `x - mean(x)`, it does so as a number (`Entry`), whose gradient is a sum over the rows of all parts.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import count
from typing import Any, Literal, TypeAlias

from wsdl.ir.dims import Dim
from wsdl.ir.graph import Graph, Node, Value
from wsdl.ir.types import TensorType
from wsdl.ops import OPERATIONS
from wsdl.ops._define import Operation
from wsdl.ops._interfaces import How
from wsdl.ops.arguments import arguments
from wsdl.ops.build import Build
from wsdl.passes.dedupe import key_of, swapped
from wsdl.passes.rows import Rows

WHOLE = "whole/"  # before the number of a value of the whole, an input
SCALAR = TensorType.of("f32")
NUMBER = TensorType.of("i64")
Kind: TypeAlias = Literal["same", "rows", "whole", "mixed"]


@dataclass(frozen=True, eq=False)
class Merge:
    """`parts` are values of one part of the rows, `wholes` the inputs that are the same of all parts.

    How they are merged is said by `how`: as in `Merged`, and `same` are those that are the same in all parts, while
    `size` is the run-time size `dim` of the whole, for which nothing has to be computed.
    """

    how: How | Literal["same", "size"]
    parts: list[Value]
    wholes: list[Value]
    dim: Dim | None = None


@dataclass(frozen=True, eq=False)
class Entry:
    """A value of the whole that is read by values of rows: as it is, with its gradient, and as they read it."""

    value: Value
    number: Value


@dataclass(eq=False)
class Separated:
    """`values` are those that were asked for, computed from the inputs `wholes` of `merges`; `mixed` has, for each of
    them, the node that keeps it from being exact, if there is one."""

    values: list[Value]
    mixed: list[Node | None]
    merges: list[Merge] = field(default_factory=list)
    entries: list[Entry] = field(default_factory=list)


def separate(graph: Graph, values: Sequence[Value], rows: str | None, *, of_gradients: bool = False) -> Separated:
    """Take scalars of a graph apart, in place; `rows` is the name of the run-time dimension that is cut."""
    work = _Separation(graph, rows, of_gradients)
    work.run()
    return work.result(values)


class _Separation:
    """One walk through a graph. `of` has the kind of each value by its id, `replaced` the value in its place."""

    def __init__(self, graph: Graph, rows: str | None, of_gradients: bool) -> None:
        self.graph, self.rows, self.of_gradients = graph, Rows(rows), of_gradients
        self.of: dict[int, Kind] = {}
        self.mixing: dict[int, Node] = {}  # by the id of a value: where rows have met on the way to it
        self.replaced: dict[int, Value] = {}
        self.trained: set[int] = set()  # the values that depend on what is stored
        self.numbers = count()
        self.merges: dict[object, Merge] = {}
        self.entries: dict[int, Entry] = {}
        self.made: dict[object, list[Value]] = {}  # by what they compute: the results of nodes that were made here
        self.own: dict[int, Value] = {}  # what is the same for all rows, with the gradient of this part's share
        for value in graph.inputs:
            self.of[id(value)] = "rows" if self.rows.are_in(value.type) else "same"

    def run(self) -> None:
        nodes, self.graph.nodes = self.graph.nodes, []
        for node in nodes:
            self.take(node)

    def result(self, values: Sequence[Value]) -> Separated:
        found = [self.replaced.get(id(v), v) for v in values]
        mixed = [self.mixing.get(id(v)) for v in found]
        whole = [self.with_share(v) for v in found]
        return Separated(whole, mixed, list(self.merges.values()), list(self.entries.values()))

    # -- one node ------------------------------------------------------------------------------------------------------

    def take(self, node: Node) -> None:
        """Append a node, or what it becomes."""
        self.swap(node)
        if node.op == "size":
            self.take_size(node)
            return
        if node.body is not None:
            self.take_sizes_of(node.body)
        reads = node.reads()
        kinds = {self.of[id(v)] for v in reads}
        met = self.rows.meet(node)
        if met == "reduced":
            self.merge(node)
        elif met == "mixed" and self.take_apart(node):
            return
        else:
            self.append(node, kinds, node if met == "mixed" else None)

    def swap(self, node: Node) -> None:
        node.operands = [swapped(o, self.replaced) for o in node.operands]
        if node.body is not None:
            _swap_captured(node.body, self.replaced)

    def take_size(self, node: Node) -> None:
        dim = node.attributes["dim"]
        assert isinstance(dim, Dim)
        if self.rows.name in dim.names():
            self.replaced[id(node.result)] = self.size_of_whole(dim)
        else:
            self.append(node, set(), None)

    def take_sizes_of(self, body: Graph) -> None:
        """A body reads the sizes of the whole from outside."""
        for node in body.nodes:
            if node.body is not None:
                self.take_sizes_of(node.body)
        sizes = [n for n in body.nodes if n.op == "size" and self.rows.name in n.attributes["dim"].names()]  # type: ignore[union-attr]  # a Dim
        wholes = {id(n.result): self.size_of_whole(n.attributes["dim"]) for n in sizes}  # type: ignore[arg-type]  # a Dim
        body.nodes = [n for n in body.nodes if n not in sizes]
        _swap_captured(body, wholes)

    def append(self, node: Node, kinds: set[Kind], mixing: Node | None) -> None:
        """Append a node as it is."""
        of_rows = "rows" in kinds or mixing is node or self.rows.are_in(*(v.type for v in node.results))
        if self.of_gradients and "whole" in kinds:
            self.exchange(node, self.entering if of_rows or "mixed" in kinds else self.with_share)
        self.graph.nodes.append(node)
        reads = node.inputs[:3] if node.op == "batch_norm_training" else node.reads()  # no row reads running statistics
        mixing = mixing or next((self.mixing[id(v)] for v in reads if id(v) in self.mixing), None)
        is_trained = node.op == "parameter" or any(id(v) in self.trained for v in node.reads())
        for value in node.results:
            if mixing is not None or len(self.rows.axes(value.type)) > 1:
                self.mixing[id(value)] = mixing or node
            if is_trained and value.type.is_float:
                self.trained.add(id(value))
            if self.rows.are_in(value.type):
                self.of[id(value)] = "rows"
            elif of_rows or "mixed" in kinds:
                self.mixing.setdefault(id(value), node)
                self.of[id(value)] = "mixed"
                if value.type.rank == 0:
                    self.merge_mixed(value, node)
            else:
                self.of[id(value)] = "whole" if "whole" in kinds else "same"

    def exchange(self, node: Node, new: Any) -> None:
        """Replace what a node reads that is of the whole or the same."""
        wanted = [v for v in node.reads() if self.of[id(v)] in ("whole", "same")]
        replaced = {id(v): new(v) for v in wanted}
        node.operands = [swapped(o, replaced) for o in node.operands]
        if node.body is not None:
            _swap_captured(node.body, replaced)

    def take_apart(self, node: Node) -> bool:
        """Append the same made of operations that can be merged, if there is a way."""
        if node.op not in OPERATIONS or any(id(v) in self.mixing for v in node.reads()):
            return False
        operation = OPERATIONS[node.op]
        inside = Build(Graph(), node.path, node.span, node.steps, around=Build(self.graph))
        made = operation.taken_apart(inside, **arguments(operation, node, lambda value: value))
        if made is None:
            return False
        for part in inside.graph.nodes:
            self.take(part)
        self.replaced[id(node.result)] = self.replaced.get(id(made), made)
        return True

    # -- what is merged ------------------------------------------------------------------------------------------------

    def merge(self, node: Node) -> None:
        """A reduction over the rows: behind it is what it is of the whole."""
        operation = OPERATIONS[node.op]
        if self.of_gradients:
            self.exchange(node, self.entering)
        y = node.result
        mixing = next((self.mixing[id(v)] for v in node.reads() if id(v) in self.mixing), None)
        self.graph.nodes.append(node)
        whole = self.computed(operation, operation.merged, node)
        trained = any(id(v) in self.trained for v in node.reads())
        if self.of_gradients and mixing is None and trained and y.type.is_float:
            share = self.computed(operation, operation.shared, node)
            whole = self.beside(node)("straight_through", whole, share)
            self.trained.add(id(whole))
        if mixing is not None:
            self.mixing[id(whole)] = mixing
        self.of[id(whole)] = "whole"
        self.replaced[id(y)] = whole

    def computed(self, operation: Operation, rule: Any, node: Node) -> Value:
        given = arguments(operation, node, lambda value: value)
        made: Value = rule(self.beside(node), _Asked(self), node.result, **given)
        return made

    def merge_mixed(self, value: Value, node: Node) -> None:
        """A number that can't be merged counts as a mean over the rows."""
        rows = self.beside(node).number_of(Dim.symbol(self.rows.name or ""), SCALAR)
        [whole, _] = self.merged("mean", [value, rows])
        self.of[id(whole)], self.mixing[id(whole)] = "whole", self.mixing[id(value)]
        self.replaced[id(value)] = whole

    def merged(self, how: How, parts: Sequence[Value]) -> list[Value]:
        """What values of one part are of the whole: inputs of the graph; the same values are merged once."""
        key = (how, *(id(p) for p in parts))
        if key not in self.merges:
            self.merges[key] = Merge(how, list(parts), [self.input(p.type) for p in parts])
        return self.merges[key].wholes

    def size_of_whole(self, dim: Dim) -> Value:
        key = ("size", str(dim))
        if key not in self.merges:
            self.merges[key] = Merge("size", [], [self.input(NUMBER)], dim)
        return self.merges[key].wholes[0]

    def input(self, type: TensorType) -> Value:
        value = Value(type, f"{WHOLE}{next(self.numbers)}")
        self.graph.inputs.append(value)
        self.of[id(value)] = "whole"
        return value

    def beside(self, node: Node) -> Build:
        return _Once(self.graph, node.path, node.span, node.steps, made=self.made)

    # -- between the whole and the rows --------------------------------------------------------------------------------

    def entering(self, value: Value) -> Value:
        """What is of the whole as a number, for rows to be computed with."""
        if self.of[id(value)] != "whole" or not value.type.is_float or id(value) not in self.trained:
            return value
        if id(value) not in self.entries:
            number = Build(self.graph)("stop_gradient", value)
            self.of[id(number)] = "whole"
            self.trained.add(id(number))  # what is computed with it changes with what is trained: by its `Entry`
            self.entries[id(value)] = Entry(value, number)
        return self.entries[id(value)].number

    def with_share(self, value: Value) -> Value:
        """What is the same for all rows, and stored or made of what is stored: with this part's share in its gradient,
        since the gradients of all parts are added."""
        if (
            not self.of_gradients
            or self.of[id(value)] != "same"
            or id(value) not in self.trained
            or self.rows.name is None
        ):
            return value
        if id(value) not in self.own:
            build, rows = Build(self.graph), Dim.symbol(self.rows.name)
            own, all = build.number_of(rows, value.type), _Asked(self).size(rows, value.type)
            share = build.mul(value, build("div", own, all))
            self.own[id(value)] = build("straight_through", value, share)
            self.of[id(self.own[id(value)])] = "whole"
        return self.own[id(value)]


class _Asked:
    """`Merged`, for the rules of operations."""

    def __init__(self, separation: _Separation) -> None:
        self.separation = separation

    def __call__(self, how: How, *parts: Value) -> Value:
        return self.all(how, *parts)[0]

    def all(self, how: How, *parts: Value) -> list[Value]:
        return self.separation.merged(how, parts)

    def size(self, dim: Dim, type: TensorType) -> Value | float:
        if dim.constant is not None:
            return dim.constant
        return Build(self.separation.graph)("cast", self.separation.size_of_whole(dim), dtype=type.dtype)


@dataclass
class _Once(Build):
    """A `Build` that makes nothing twice, so that rules may ask for the same."""

    made: dict[object, list[Value]] = field(default_factory=dict)

    def all(self, op: str, *operands: Any, **attributes: Any) -> list[Value]:
        before = len(self.graph.nodes)
        results = super().all(op, *operands, **attributes)
        if len(self.graph.nodes) != before + 1:
            return results
        key = key_of(self.graph.nodes[-1])
        if key in self.made:
            self.graph.nodes.pop()
        return self.made.setdefault(key, results)


# -- bodies ------------------------------------------------------------------------------------------------------------


def _swap_captured(body: Graph, replaced: dict[int, Value]) -> None:
    """Replace values that a body reads from outside."""
    for node in body.walk():
        node.operands = [swapped(o, replaced) for o in node.operands]
    for inner in [body, *(n.body for n in body.walk() if n.body is not None)]:
        inner.outputs = [replaced.get(id(v), v) for v in inner.outputs]
