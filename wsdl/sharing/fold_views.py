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

So a lowering sees `x @ weight.T` as one operation, and the runtime can't fold the transpose into a second copy.
"""

from __future__ import annotations

from wsdl.ir.graph import Graph, Lowered, Node, Value
from wsdl.ir.views import View
from wsdl.ops import OPERATIONS


def fold_views(program: Lowered) -> Lowered:
    """Fold every movement of a parameter into its view, if a view can express it."""
    for model in program.models.values():
        parameters: dict[Value, Node] = {}
        for node in model.graph.walk():
            source = parameters.get(node.inputs[0]) if node.inputs else None
            if source is not None and source.view is not None and (view := moved(source.view, node)) is not None:
                node.op, node.operands, node.view = "parameter", [], view
                node.attributes = {"stored": source.attributes["stored"]}
            if node.op == "parameter":
                parameters[node.result] = node
    return program


def moved(view: View, node: Node) -> View | None:
    """The view that results from applying a node to a view; `None` if the node isn't a movement, or no view expresses
    it."""
    operation = OPERATIONS.get(node.op)
    if operation is None or len(node.results) > 1:
        return None
    return operation.moved(view, node.result.type, **node.attributes)


def view_of(graph: Graph) -> tuple[str, View] | None:
    """The slot, or where stored tensors are read the stored tensor, and the view of it that a graph computes; `None` if
    it computes anything else."""
    producers = graph.producers()
    nodes = []
    value = graph.outputs[0]
    while (node := producers[value]).op != "parameter":
        if len(node.inputs) != 1:
            return None
        nodes.append(node)
        [value] = node.inputs
    view: View | None = View.identity(value.type.sizes or ())
    for step in reversed(nodes):
        view = moved(view, step) if view is not None else None
    return None if view is None else (str(node.attributes.get("slot") or node.attributes["stored"]), view)
