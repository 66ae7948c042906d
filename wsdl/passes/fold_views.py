"""Moves transposes, permutations, reshapes, flips and slices of a parameter into the view that it is read through.

    stored m.weight: f32[8, 4]

    model m(%x: f32[n, 4]) -> (y: %y) {
        %weight = parameter {stored="m.weight"}: f32[8, 4]
        %t = transpose(%weight): f32[4, 8]
        %y = matmul(%x, %t): f32[n, 8]
    }

becomes

    stored m.weight: f32[8, 4]

    model m(%x: f32[n, 4]) -> (y: %y) {
        %weight = parameter {stored="m.weight"}: f32[8, 4]
        %t = parameter {stored="m.weight", view=".T"}: f32[4, 8]
        %y = matmul(%x, %t): f32[n, 8]
    }

So a lowering sees `x @ weight.T` as one thing, and the runtime has nothing to fold into a second copy.
"""

from __future__ import annotations

from wsdl.ir.graph import Graph, Node, Program
from wsdl.ir.views import View
from wsdl.ops import OPERATIONS


def fold_views(program: Program) -> Program:
    """Every movement of a parameter becomes a part of its view, where a view can express it."""
    for model in program.models.values():
        _fold(model.graph, {}, {})
    return program


def _fold(graph: Graph, views: dict[int, View], names: dict[int, str]) -> None:
    for node in graph.nodes:
        if node.body is not None:
            _fold(node.body, views, names)
        if node.op == "parameter":
            assert node.view is not None
            views[id(node.result)], names[id(node.result)] = node.view, str(node.attributes["stored"])
            continue
        source = node.inputs[0] if node.inputs else None
        view = moved(views[id(source)], node) if id(source) in views else None
        if view is None:
            continue
        views[id(node.result)], names[id(node.result)] = view, names[id(source)]
        node.op, node.operands, node.view = "parameter", [], view
        node.attributes = {"stored": names[id(source)]}


def moved(view: View, node: Node) -> View | None:
    """The view that a node makes of a view which it reads; `None` where it does anything else, or no view can do it."""
    operation = OPERATIONS.get(node.op)
    if operation is None or len(node.results) > 1:
        return None
    return operation.moved(view, node.result.type, **node.attributes)
