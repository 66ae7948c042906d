"""Leaves out what no output needs.

    model m(%x: f32[n]) -> (y: %b) {
        %a = relu(%x): f32[n]
        %b = tanh(%x): f32[n]
    }

becomes

    model m(%x: f32[n]) -> (y: %b) {
        %b = tanh(%x): f32[n]
    }

A stored tensor that nothing reads any more stays in `program.stored`: it belongs to the weights, not to the graph.
"""

from __future__ import annotations

from wsdl.ir.graph import Graph, Program


def prune(program: Program) -> Program:
    """Drop nodes whose results are never read."""
    for model in program.models.values():
        _prune(model.graph)
    return program


def _prune(graph: Graph) -> None:
    needed = {id(v) for v in graph.outputs}
    kept = []
    for node in reversed(graph.nodes):
        if not any(id(v) in needed for v in node.results):
            continue
        if node.body is not None:
            _prune(node.body)
            needed |= {id(v) for v in node.body.captured()}
        needed |= {id(v) for v in node.inputs}
        kept.append(node)
    graph.nodes = kept[::-1]
