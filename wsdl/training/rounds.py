"""How many passes over all parts of a batch are needed, and what each computes.

A variance written as `mean((x - mean(x)) ** 2)` takes two rounds: the inner mean must be known before the outer one.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

from wsdl.ir.binding import size_sources
from wsdl.ir.dims import Dim
from wsdl.ir.graph import Graph, Lowered, Model, Value
from wsdl.ir.phase import Phase
from wsdl.ir.step import Merge, Part
from wsdl.ir.training_graphs import Round
from wsdl.rewrite.prune import drop_unread, needed_nodes, prune
from wsdl.training.draft import Draft


def plan_rounds(draft: Draft) -> None:
    """Plan the rounds that compute all parts of the results."""
    parts = draft.phase.take(Part)
    plan = _Plan(draft, parts)
    rounds = plan.rounds_before((), plan.of_results())
    draft.rounds = [_round_of(draft.phase, merges, parts) for merges in rounds]


def plan_rounds_before(draft: Draft) -> None:
    """Plan the rounds that must be complete before this phase can run on a part; the phase itself computes the
    remaining parts of the results."""
    phase = draft.phase
    parts = phase.take(Part)
    plan, outputs = _Plan(draft, parts), list(phase.graph.outputs)
    rounds = plan.rounds_before(outputs)
    while True:
        known = {merge for merges in rounds for merge in merges}
        last = [merge for merge in plan.of_results() if merge not in known and merge.how != "size"]
        own = [parts[whole.part] for merge in last for whole in merge.wholes]
        rounds, before = plan.rounds_before([*outputs, *own]), rounds
        if sum(map(len, before)) == sum(map(len, rounds)):
            break
    draft.rounds, draft.last = [_round_of(phase, merges, parts) for merges in rounds], last
    for merge in last:
        for whole in merge.wholes:
            phase.write(whole.part, parts[whole.part])


class _Plan:
    """Which merges have to be known before which values can be computed."""

    def __init__(self, draft: Draft, parts: Mapping[Part, Value]) -> None:
        self.graph, self.merges, self.rest, self.parts = draft.phase.graph, draft.merges, draft.rest, parts

    def of_results(self) -> list[Merge]:
        """The merges that loss and metrics are computed from."""
        return self._merges_of(self.rest.inputs if self.rest is not None else ())

    def rounds_before(self, values: Sequence[Value], results: Sequence[Merge] = ()) -> list[list[Merge]]:
        """The merges needed before some values can be computed, and those of `results`, grouped in rounds."""
        round_of: dict[Merge, int] = {}
        rounds: list[list[Merge]] = []

        def number_of(merge: Merge) -> int:
            """The round of a merge; -1 for a size, which needs none."""
            if merge.how == "size":
                return -1
            if merge not in round_of:
                before = self._before(self.parts[whole.part] for whole in merge.wholes)
                round_of[merge] = own = 1 + max(map(number_of, before), default=-1)
                rounds.extend([] for _ in range(len(rounds), own + 1))
                rounds[own].append(merge)
            return round_of[merge]

        for merge in [*self._before(values), *results]:
            number_of(merge)
        return rounds

    def _before(self, values: Iterable[Value]) -> list[Merge]:
        """The merges that some values depend on."""
        pending = list(values)
        nodes = needed_nodes(self.graph.nodes, pending)
        read = {*pending, *(v for node in nodes for v in node.reads())}
        return self._merges_of(v for v in self.graph.inputs if v in read)

    def _merges_of(self, inputs: Iterable[Value]) -> list[Merge]:
        names = {v.name for v in inputs}
        return [merge for merge in self.merges if any(whole.name in names for whole in merge.wholes)]


def _round_of(phase: Phase, merges: list[Merge], parts: Mapping[Part, Value]) -> Round:
    """The phase that computes the parts of some merges: a subgraph of another phase."""
    outputs = {whole.part: parts[whole.part] for merge in merges for whole in merge.wholes}
    whole_graph = phase.graph
    graph = Graph(whole_graph.inputs, whole_graph.nodes, list(outputs.values())).copy({})
    names = [port.name for port in outputs]
    model = Model(phase.model.name, graph, phase.model.module, output_names=names)
    program = Lowered({model.name: model}, dict(phase.program.stored), phase.program.target)
    prune(program)
    inputs = list(graph.inputs)
    drop_unread(graph)
    graph.inputs = _with_sizes(graph, inputs)
    read = {str(n.attributes["stored"]) for n in graph.walk() if n.op == "parameter"}
    fed = [name for name in phase.fed if name in read]
    return Round(phase.with_same_inputs(program, list(outputs), fed), merges)


def _with_sizes(graph: Graph, inputs: Sequence[Value]) -> list[Value]:
    """The inputs of a graph, and those former inputs that are needed to bind the dynamic dimensions that the graph
    uses."""
    sizes = {name for node in graph.walk() for v in node.results for dim in v.type.shape for name in dim.names()}
    sizes |= {name for node in graph.walk() for dim in _dims(list(node.attributes.values())) for name in dim.names()}
    kept = set(graph.inputs)
    for value in inputs:
        known = size_sources([v.type for v in inputs if v in kept]).keys()
        if any(name in sizes - known for dim in value.type.shape for name in dim.names()):
            kept.add(value)
    return [v for v in inputs if v in kept]


def _dims(attribute: object) -> Iterator[Dim]:
    if isinstance(attribute, Dim):
        yield attribute
    for item in attribute if isinstance(attribute, list | tuple) else ():
        yield from _dims(item)
