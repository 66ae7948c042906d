"""How often all parts of the rows have to be gone through, and what is computed each time.

A variance that is written out, `mean((x - mean(x)) ** 2)`, takes two rounds: the inner mean has to be known before the
outer one can be begun. What is behind the last reduction is computed once (`rest_of`).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from wsdl.ir.binding import size_sources
from wsdl.ir.dims import Dim
from wsdl.ir.graph import Graph, Model, Node, Program, Value
from wsdl.ir.types import TensorType
from wsdl.passes.prune import drop_unread, needed_nodes, prune
from wsdl.passes.separate import WHOLE, Merge

PART = "part/"  # before the number of a value of one part, an output


@dataclass(frozen=True, eq=False)
class Round:
    """One time through all parts: outputs `part/3` of `program` are merged to the inputs `whole/3` of later ones."""

    program: Program
    merges: list[Merge]

    @property
    def fed(self) -> list[str]:
        """The stored tensors that are inputs."""
        return self.program.only.fed


def part_name(whole: Value) -> str:
    """The output with the value of one part."""
    return PART + whole.name.removeprefix(WHOLE)


def rounds_before(
    graph: Graph, merges: Sequence[Merge], wanted: Sequence[Value], results: Sequence[Merge] = ()
) -> list[list[Merge]]:
    """What has to be merged before some values can be computed, and some `results` besides, in rounds."""
    levels: dict[int, int] = {}
    rounds: list[list[Merge]] = []

    def behind(values: Sequence[Value]) -> list[Merge]:
        read = _read(graph, values)
        return [merge for merge in merges if any(id(whole) in read for whole in merge.wholes)]

    def level(merge: Merge) -> int:
        """The round that it takes; -1 for what takes none."""
        if merge.how == "size":
            return -1
        if id(merge) not in levels:
            levels[id(merge)] = own = 1 + max(map(level, behind(merge.parts)), default=-1)
            while len(rounds) <= own:
                rounds.append([])
            rounds[own].append(merge)
        return levels[id(merge)]

    for merge in [*behind(wanted), *results]:
        level(merge)
    return rounds


def moved(merges: Sequence[Merge], parts: Sequence[Value]) -> list[Merge]:
    """The merges with other values in the places of their parts, in order."""
    rest = iter(parts)
    return [replace(merge, parts=[next(rest) for _ in merge.parts]) for merge in merges]


def read_by(rest: Graph, merges: Sequence[Merge]) -> list[Merge]:
    """The merges whose wholes a graph has as inputs."""
    names = {v.name for v in rest.inputs}
    return [merge for merge in merges if any(whole.name in names for whole in merge.wholes)]


def _read(graph: Graph, values: Iterable[Value]) -> set[int]:
    """The ids of all that is read on the way to some values, these among them."""
    wanted = list(values)
    return {id(v) for v in wanted} | {id(v) for node in needed_nodes(graph.nodes, wanted) for v in node.reads()}


def round_of(model: Model, program: Program, merges: list[Merge]) -> Round:
    """The program that computes the parts of some merges: a part of the graph of a model."""
    outputs, model.graph.outputs = model.graph.outputs, [part for merge in merges for part in merge.parts]
    graph = model.graph.copy({})
    model.graph.outputs = outputs
    names = [part_name(whole) for merge in merges for whole in merge.wholes]
    own = Model(model.name, graph, model.module, output_names=names)
    result = Program(models={own.name: own}, stored=dict(program.stored))
    prune(result)
    inputs = list(graph.inputs)
    drop_unread(graph)
    graph.inputs = _with_sizes(graph, inputs)
    read = {str(n.attributes["stored"]) for n in graph.walk() if n.op == "parameter"}
    own.fed = [name for name in model.fed if name in read]
    return Round(result, merges)


def _with_sizes(graph: Graph, inputs: Sequence[Value]) -> list[Value]:
    """The inputs of a graph, and of all those that there were the ones that say how large a run-time dimension is which
    a size in the graph is computed from."""
    wanted = {name for node in graph.walk() for v in node.results for dim in v.type.shape for name in dim.names()}
    wanted |= {name for node in graph.walk() for dim in _dims(list(node.attributes.values())) for name in dim.names()}
    kept = {id(v) for v in graph.inputs}
    for value in inputs:
        known = size_sources([v.type for v in inputs if id(v) in kept]).keys()
        if any(name in wanted - known for dim in value.type.shape for name in dim.names()):
            kept.add(id(value))
    return [v for v in inputs if id(v) in kept]


def _dims(attribute: object) -> Iterator[Dim]:
    if isinstance(attribute, Dim):
        yield attribute
    for item in attribute if isinstance(attribute, list | tuple) else ():
        yield from _dims(item)


def rest_of(graph: Graph, values: Sequence[Value], merges: Sequence[Merge]) -> tuple[Graph, list[Merge]]:
    """What computes values of the whole from `whole/…`, a graph of its own; and the merges of those it reads that are
    the same in all parts."""
    rest = _Rest(graph, merges)
    rest.graph.outputs = [rest.take(v) for v in values]
    return rest.graph, rest.same


class _Rest:
    def __init__(self, graph: Graph, merges: Sequence[Merge]) -> None:
        self.graph, self.same = Graph(), list[Merge]()
        self.wholes = {id(whole): whole for merge in merges for whole in merge.wholes}
        self.producers = {id(v): node for node in graph.nodes for v in node.results}
        self.behind = set(self.wholes)  # those that depend on something of the whole
        for node in graph.nodes:
            if any(id(v) in self.behind for v in node.reads()):
                self.behind |= {id(v) for v in node.results}
        self.taken: dict[int, Value] = {}

    def take(self, value: Value) -> Value:
        """The value in its own graph."""
        if id(value) not in self.taken:
            node = self.producers.get(id(value))
            if id(value) in self.wholes:
                self.taken[id(value)] = self.input(value.type, value.name)
            elif node is not None and node.op == "straight_through":
                self.taken[id(value)] = self.take(node.inputs[0])
            elif node is not None and (id(value) in self.behind or (not node.reads() and node.op != "parameter")):
                self.copy(node)
            else:
                name = f"{WHOLE}{len(self.wholes) + len(self.same)}"
                self.taken[id(value)] = self.input(value.type, name)
                self.same.append(Merge("same", [value], [self.taken[id(value)]]))
        return self.taken[id(value)]

    def input(self, type: TensorType, name: str) -> Value:
        self.graph.inputs.append(Value(type, name))
        return self.graph.inputs[-1]

    def copy(self, node: Node) -> None:
        copies = {v: self.take(v) for v in node.reads()}
        results = [Value(v.type, v.name) for v in node.results]
        body = None if node.body is None else node.body.copy(copies)
        operands = node.substituted(copies)
        self.graph.nodes.append(replace(node, operands=operands, results=results, body=body))
        self.taken.update({id(old): new for old, new in zip(node.results, results, strict=True)})
