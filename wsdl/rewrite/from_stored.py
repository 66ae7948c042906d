"""The values that only depend on stored tensors: those of formulas, and weights that a block computes from others."""

from __future__ import annotations

from wsdl.ir.graph import Graph, Value


def from_stored(graph: Graph) -> set[Value]:
    """The values of a graph, without its subgraphs, that are the same in every run: stored tensors, constants, and
    values computed from these."""
    fixed: set[Value] = set()
    for node in graph.nodes:
        reads = node.reads()
        if node.in_f32 or node.op in ("parameter", "constant") or (reads and fixed.issuperset(reads)):
            fixed.update(node.results)
    return fixed
