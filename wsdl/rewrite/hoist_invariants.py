"""Loop-invariant code motion: computes nodes that are the same in each step of a scan or loop once, in front of it.

    stored m.w: f32[4, 4]

    model m(%x: f32[n, 4]) -> (y: %0) {
        %0 = loop([%x]) {count=3}: f32[n, 4] do (%h: f32[n, 4]) {
            %w = parameter {stored="m.w"}: f32[4, 4]
            %v = transpose(%w): f32[4, 4]
            %1 = matmul(%h, %v): f32[n, 4]
            yield %1
        }
    }

becomes

    stored m.w: f32[4, 4]

    model m(%x: f32[n, 4]) -> (y: %0) {
        %w = parameter {stored="m.w"}: f32[4, 4]
        %v = transpose(%w): f32[4, 4]
        %0 = loop([%x]) {count=3}: f32[n, 4] do (%h: f32[n, 4]) {
            %1 = matmul(%h, %v): f32[n, 4]
            yield %1
        }
    }

This saves time, and the gradient of `%v` is one product for all steps. What has a size that is only known in the body
stays there.
"""

from __future__ import annotations

from wsdl.ir.graph import Graph, Lowered, Node


def hoist_invariants(program: Lowered) -> Lowered:
    """Move nodes out of the bodies of every model."""
    for model in program.models.values():
        hoist_graph(model.graph)
    return program


def hoist_graph(graph: Graph) -> None:
    """Move nodes that read no value computed in a body out of it, also out of nested ones."""
    nodes: list[Node] = []
    for node in graph.nodes:
        if node.body is not None:
            hoist_graph(node.body)
            nodes += _taken_out(node.body)
        nodes.append(node)
    graph.nodes = nodes


def _taken_out(body: Graph) -> list[Node]:
    changing = set(body.inputs)
    measured: set[str] = set()
    taken: list[Node] = []
    kept: list[Node] = []
    for node in body.nodes:
        if changing.isdisjoint(node.reads()) and not node.names(measured):
            taken.append(node)
        else:
            changing.update(node.results)
            measured.update(node.measured)
            kept.append(node)
    body.nodes = kept
    return taken
