"""Views of computed tensors, and the gradient of a stored tensor from that of a view of it, by the steps of the view in
reverse.

    b = Build(graph)
    total = b.add([through_view(b, gradient, view) for gradient, view in uses])

is the gradient of a tensor with several readers. Elements outside of a view have the gradient 0.
"""

from __future__ import annotations

from typing import Any

from wsdl.ir.graph import Value
from wsdl.ir.views import Step, View
from wsdl.ops import OPERATIONS
from wsdl.ops.build import Build


def through(build: Build, value: Value, view: View) -> Value:
    """Append the operations that compute a view of a value."""
    for step in view.steps:
        value = build.transposed(value) if _transposes(step) else build(step.kind, value, **_attributes(step))
    return value


def through_view(build: Build, gradient: Value, view: View) -> Value:
    """Append the operations from the gradient of a view to that of the whole tensor. `gradient` may become unused."""
    shapes = [view.source]
    for step in view.steps:
        shapes.append(step.shape_after(shapes[-1]))
    for step, shape in zip(reversed(view.steps), reversed(shapes[:-1]), strict=True):
        gradient = _through(build, gradient, step, Value(gradient.type.with_shape(shape)))
    return gradient


def _through(build: Build, gradient: Value, step: Step, before: Value) -> Value:
    if _transposes(step):
        return build.transposed(gradient)
    operation, attributes = OPERATIONS[step.kind], _attributes(step)
    back = operation.differentiate(build, [gradient], [gradient], x=before, **attributes)
    return back["x"] if back else build.zeros(before.type)


def _transposes(step: Step) -> bool:
    return step.kind == "permute" and step.numbers == (1, 0)


def _attributes(step: Step) -> dict[str, Any]:
    """The attributes of the operation that does the same as the step."""
    if step.kind == "slice":
        starts, stops, steps = ([*column] for column in zip(*step.slices, strict=True))
        return {"starts": starts, "stops": stops, "steps": steps}
    [name] = [p.name for p in OPERATIONS[step.kind].attributes]
    return {name: list(step.numbers)}
