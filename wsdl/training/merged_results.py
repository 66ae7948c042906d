"""Loss and metrics of a batch that is computed in parts: the contribution of each part, and how results are computed
from all.

`separate` splits the graph; whatever follows the last reduction over the rows is computed once, by a graph of its own,
from the merged values.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from wsdl.diagnostics import CompileError
from wsdl.ir.binding import rows_dimension
from wsdl.ir.graph import Graph, Node, Value
from wsdl.ir.step import Forward, Merge, Result, Whole
from wsdl.ir.training import LOSS
from wsdl.training.draft import Draft
from wsdl.training.mixed_rows import refused_update
from wsdl.training.rows import Rows
from wsdl.training.separate import Entry, separate


def separate_results(draft: Draft, *, of_gradients: bool = False) -> list[Entry]:
    """Replace loss, metrics and what updates read by the values that they are merged from. With `of_gradients` the loss
    stays, as the contribution of one part, and the entries of values of the whole batch into the rows are returned."""
    phase, graph = draft.phase, draft.phase.graph
    results: dict[Result | Forward, Value] = {**phase.take(Result), **phase.take(Forward)}
    rows = rows_dimension(v.type for v in graph.inputs)
    apart = separate(graph, list(results.values()), rows, of_gradients=of_gradients)
    pairs = zip(results, apart.mixed, strict=True)
    draft.mixed = {result.name: node for result, node in pairs if node is not None}
    draft.merged_forward = [port for port in results if isinstance(port, Forward)]
    of_rows = [port for port in draft.merged_forward if Rows(rows).are_in(results[port].type)]
    for port in [*of_rows, *(port for port in draft.merged_forward if port.name in draft.mixed)]:
        raise CompileError([refused_update(draft, port)])
    draft.rest, same = rest_of(graph, apart.values, list(apart.merges))
    draft.merges = [*apart.merges, *same]
    phase.label(*(whole for merge in draft.merges for whole in merge.wholes))
    if of_gradients:
        phase.write(Result(LOSS), apart.values[0])
    for merge, parts in {**apart.merges, **same}.items():
        for whole, part in zip(merge.wholes if parts else (), parts, strict=True):
            phase.write(whole.part, part)
    return apart.entries


def rest_of(graph: Graph, values: Sequence[Value], merges: Sequence[Merge]) -> tuple[Graph, dict[Merge, list[Value]]]:
    """A graph that computes values of the whole batch from `Whole` inputs; and the merges of values that it reads and
    that are the same in all parts, with these."""
    rest = _RestOfBatch(graph, merges)
    rest.graph.outputs = [rest.take(v) for v in values]
    return rest.graph, rest.same


class _RestOfBatch:
    """A copy of what lies between the merged values and the results."""

    def __init__(self, graph: Graph, merges: Sequence[Merge]) -> None:
        self.graph, self.same = Graph(), dict[Merge, list[Value]]()
        names = {whole.name for merge in merges for whole in merge.wholes}
        self.wholes = {v for v in graph.inputs if v.name in names}
        self.producers = {v: node for node in graph.nodes for v in node.results}
        self.behind = set(self.wholes)  # values that depend on the whole batch
        for node in graph.nodes:
            if self.behind.intersection(node.reads()):
                self.behind.update(node.results)
        self.copies: dict[Value, Value] = {}

    def take(self, value: Value) -> Value:
        """The value in its own graph."""
        if value not in self.copies:
            node = self.producers.get(value)
            if value in self.wholes:
                self.copies[value] = self.input(value)
            elif node is not None and node.op == "straight_through":
                self.copies[value] = self.take(node.inputs[0])
            elif node is not None and (value in self.behind or (not node.reads() and node.op != "parameter")):
                self.copy(node)
            else:
                whole = Whole(str(len(self.wholes) + len(self.same)), value.type)
                self.same[Merge("same", (whole,))] = [value]
                self.copies[value] = self.input(Value(value.type, whole.name))
        return self.copies[value]

    def input(self, value: Value) -> Value:
        self.graph.inputs.append(Value(value.type, value.name))
        return self.graph.inputs[-1]

    def copy(self, node: Node) -> None:
        copies = {v: self.take(v) for v in node.reads()}
        results = [Value(v.type, v.name) for v in node.results]
        body = None if node.body is None else node.body.copy(copies)
        operands = node.substituted(copies)
        self.graph.nodes.append(replace(node, operands=operands, results=results, body=body))
        self.copies.update(zip(node.results, results, strict=True))
