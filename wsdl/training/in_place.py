"""Which variables an update may overwrite: those that nothing else reads afterwards."""

from __future__ import annotations

from collections.abc import Iterable

from wsdl.ir.graph import Graph, Value
from wsdl.ir.step import Next
from wsdl.training.draft import Draft


def find_in_place(draft: Draft) -> None:
    """Find the variables that may share memory with their new values: those read only by nodes that compute the new
    value, so that no order of the nodes reads them too late."""
    phase, graph = draft.phase, draft.phase.graph
    reads: dict[str, set[Value]] = {v.name: {v} for v in graph.inputs}
    for node in graph.nodes:
        if node.op == "parameter":
            reads.setdefault(str(node.attributes["stored"]), set()).add(node.result)
    outputs = phase.values(Next)
    common = _behind_all_readers(graph, outputs.values())
    for i, port in enumerate(outputs):
        if port.of.role == "statistic":
            continue  # gradients have written what it is by the batch already, in the other buffer
        if all(common[value] & 1 << i for value in reads.get(port.of.name, ()) if value in common):
            draft.in_place.add(port.of)


def _behind_all_readers(graph: Graph, outputs: Iterable[Value]) -> dict[Value, int]:
    """For each value that a node reads, the outputs that depend on every node that reads it, as bits."""
    behind: dict[Value, int] = {}  # the outputs that depend on a value
    for i, output in enumerate(outputs):
        behind[output] = behind.get(output, 0) | 1 << i
    common: dict[Value, int] = {}
    for node in reversed(graph.nodes):
        bits = 0
        for result in node.results:
            bits |= behind.pop(result, 0)
        for value in node.reads():
            behind[value] = behind.get(value, 0) | bits
            common[value] = common.get(value, bits) & bits
    return common
