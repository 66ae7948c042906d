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

from collections.abc import Callable

from wsdl.ir.dims import Dim
from wsdl.ir.graph import Attribute, Graph, Node, Program
from wsdl.ir.views import View, ViewError


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
    if node.op not in _MOVEMENTS:
        return None
    try:
        view_after = _MOVEMENTS[node.op](view, node)
    except (ViewError, TypeError):
        return None
    return view_after if view_after is not None and view_after.shape == node.result.type.sizes else None


def _ints(attribute: Attribute) -> list[int]:
    """Numbers as they stand; TypeError for a run-time size."""
    items = attribute if isinstance(attribute, list) else [attribute]
    return [int(i.constant) if isinstance(i, Dim) else int(i) for i in items]  # type: ignore[arg-type]


def _slice(view: View, node: Node) -> View | None:
    a = node.attributes
    starts, stops = _ints(a["starts"]), _ints(a["stops"])
    axes = _ints(a["axes"]) if a.get("axes") is not None else list(range(len(starts)))
    steps = _ints(a["steps"]) if a.get("steps") is not None else [1] * len(starts)
    bounds: list[tuple[int | None, int | None, int | None]] = [(None, None, None)] * len(view.shape)
    for axis, start, stop, step in zip(axes, starts, stops, steps, strict=True):
        bounds[axis] = (start, min(stop, view.shape[axis]), step)
    return view.slice(bounds)


def _squeezed(view: View, node: Node) -> View | None:
    return view.reshape(node.result.type.sizes or ())


_MOVEMENTS: dict[str, Callable[[View, Node], View | None]] = {
    "transpose": lambda view, node: view.transposed,
    "permute": lambda view, node: view.permute(_ints(node.attributes["axes"])),
    "reshape": _squeezed,
    "flatten": _squeezed,
    "squeeze": _squeezed,
    "unsqueeze": _squeezed,
    "flip": lambda view, node: view.flip(_ints(node.attributes["axis"])),
    "slice": _slice,
}
