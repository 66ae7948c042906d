"""Dead code elimination: removes nodes that no output depends on.

    model m(%x: f32[n]) -> (y: %b) {
        %a = relu(%x): f32[n]
        %b = tanh(%x): f32[n]
    }

becomes

    model m(%x: f32[n]) -> (y: %b) {
        %b = tanh(%x): f32[n]
    }

A stored tensor without readers stays in `program.stored`: it belongs to the weights, not to the graph.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from wsdl.ir.graph import Graph, Lowered, Node, Value


def prune(program: Lowered) -> Lowered:
    """Drop nodes whose results are never read."""
    for model in program.models.values():
        prune_graph(model.graph)
    return program


def prune_graph(graph: Graph) -> None:
    """Drop nodes of one graph, and of its bodies."""
    graph.nodes = needed_nodes(graph.nodes, graph.outputs)


def needed_nodes(nodes: Sequence[Node], values: Iterable[Value]) -> list[Node]:
    """The nodes that some value depends on; their bodies are pruned."""
    needed = set(values)
    measured = Graph(nodes=list(nodes)).measured()
    sizes: set[str] = set()  # those of `measured` that some kept node has
    kept = []
    for node in reversed(nodes):
        if needed.isdisjoint(node.results) and sizes.isdisjoint(node.measured):
            continue
        if node.body is not None:
            prune_graph(node.body)
        needed.update(node.reads())
        sizes.update(name for name in measured if node.names([name]))
        kept.append(node)
    return kept[::-1]


def drop_unread(graph: Graph, *names: str) -> None:
    """Remove inputs without readers, or only those with these names."""
    read = {*graph.outputs, *(v for node in graph.nodes for v in node.reads())}
    graph.inputs = [v for v in graph.inputs if (names and v.name not in names) or v in read]
