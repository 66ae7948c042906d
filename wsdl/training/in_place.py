"""Which variables an update may overwrite: those that nothing else reads afterwards."""

from __future__ import annotations

from wsdl.ir.graph import Graph, Node, Value
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
    for port, output in phase.values(Next).items():
        if port.of.role == "statistic":
            continue  # gradients have written what it is by the batch already, in the other buffer
        if _is_last(graph, reads.get(port.of.name, set()), output):
            draft.in_place.add(port.of)


def _is_last(graph: Graph, values: set[Value], output: Value) -> bool:
    """Do only nodes that the output depends on read the values, and nothing else?"""
    needed = _ancestors(graph, output)
    return all(node in needed for node in graph.nodes if not values.isdisjoint(node.inputs))


def _ancestors(graph: Graph, output: Value) -> set[Node]:
    needed, nodes = {output}, set[Node]()
    for node in reversed(graph.nodes):
        if not needed.isdisjoint(node.results):
            needed.update(node.inputs)
            nodes.add(node)
    return nodes
