"""`update PATH = EXPRESSION every N`: the graph that computes what parameters and states become by a training step.

In it paths of parameters stand for their values after the step of the optimizer, other tensors for those of the forward
pass. A path of a layer stands for each parameter below it in turn.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from wsdl.diagnostics import Label
from wsdl.diagnostics.span import Span
from wsdl.elaborate.bound_names import OF_UPDATES, names_of
from wsdl.elaborate.context import Context
from wsdl.elaborate.evaluate import evaluate
from wsdl.elaborate.graph_builder import GraphBuilder
from wsdl.elaborate.items import ArgumentValue, Frame, Item, Layer, as_int, describe, has_poison
from wsdl.elaborate.operations import call_operation, note_check
from wsdl.elaborate.parts import is_applied
from wsdl.elaborate.results import as_tensor
from wsdl.ir.dims import compare
from wsdl.ir.graph import Graph, Slot, Value
from wsdl.ir.training import Update
from wsdl.ir.types import TensorType
from wsdl.syntax import tree


def update(node: tree.Update, frame: Frame, context: Context) -> None:
    """Keep an update, once for each slot that it writes; one of a block once for each application."""
    context.builder.unrepeatable += 1
    if not context.mode.training:
        return  # neither the compiled model nor an evaluation changes anything
    if not context.mode.again:  # a formula, which is the same in training
        context.mode.depends_on_training = True
        return
    outer, in_block = context.builder, frame.layer.module.kind != "training"
    if len(outer.graphs) > 1:
        _refuse_in_scan(node, context)
        return
    every = _every(node, frame, context)
    for below, slot in _targets(node, frame, context).items():
        context.budget.count(node.span)
        graph = _graph(node, slot, below, frame, context)
        context.builder = outer
        if graph is not None and every is not None:
            outer.updates.append(Update(slot.path, graph, every, node.target.span, node.value.span, in_block))


def _refuse_in_scan(node: tree.Update, context: Context) -> None:
    context.error(
        "E0846",
        node.target.span,
        "parameters and states can't be updated inside a `scan`",
        "would change at each step",
        help="carry the value through the scan, and update after it",
    )


def _every(node: tree.Update, frame: Frame, context: Context) -> int | None:
    """The number behind `every`, 1 without it; `None` after reporting that it is none."""
    if node.every is None:
        return 1
    item = evaluate(node.every, frame, context)
    number = as_int(item)
    if (number is None or number < 1) and not has_poison(item):
        context.error(
            "E0225",
            node.every.span,
            f"the number after `every` must be an integer of at least 1, not {describe(item)}",
            help="`every 100` updates after each hundredth step",
        )
        return None
    return number


# -- what is written ---------------------------------------------------------------------------------------------------


def _targets(node: tree.Update, frame: Frame, context: Context) -> Mapping[str, Slot]:
    """The slots that an update writes, by their paths below the one that it names; none after an error."""
    path = node.target
    if isinstance(path, tree.Name) and path.text in frame.layer.module.slots:
        return {"": frame.layer.module.slots[path.text]}
    outer = context.builder
    own = context.builder = apart(Graph(), context)
    item = evaluate(path, frame, context)
    context.builder = outer
    if has_poison(item):
        return {}
    if isinstance(item, Value) and (slot := outer.slots.get(item) or own.slots.get(item)) is not None:
        return {"": slot}
    if isinstance(item, Layer) and not is_applied(item, path.span, context):
        return {}
    below = slots_below(item)
    if below is None:
        _refuse(path.span, f"{describe(item)} can't be written", "not a parameter or a layer", context)
        return {}
    written = {part: slot for part, slot in below.items() if node.all or slot.kind == "param"}
    if not written:
        only_states = "has states only: add `all`, `update PATH all = …`" if below else "has none"
        _refuse(path.span, f"there are no parameters below `{path.span.text}`", only_states, context)
    return written


def slots_below(item: Item) -> dict[str, Slot] | None:
    """The slots of a layer or of an array of layers by their paths below it; `None` for anything else."""
    if isinstance(item, Layer):
        return {slot.path[len(item.module.path) :]: slot for slot in item.module.all_slots()}
    if isinstance(item, list) and item and all(isinstance(part, Layer) for part in item):
        parts = enumerate(map(slots_below, item))
        return {f"[{i}]{below}": slot for i, slots in parts for below, slot in (slots or {}).items()}
    return None


def _refuse(span: Span, message: str, label: str, context: Context) -> None:
    help = "`update` writes whole parameters and states: `update target.weight = …`, `update target = …`"
    context.error("E0840", span, message, label, help=help, applied=False)


# -- what becomes of it ------------------------------------------------------------------------------------------------


def apart(graph: Graph, context: Context) -> GraphBuilder:
    """A builder of a graph that reads slots by itself, and may capture values of the one that is built."""
    before = context.builder
    builder = GraphBuilder(before.where, before.report, before.budget, before.origins, [graph], outer=before)
    builder.sizes, builder.compared, builder.drawn = before.sizes, before.compared, before.drawn
    return builder


def reading_slots(expression: tree.Expression, frame: Frame, outer: GraphBuilder, context: Context) -> Frame:
    """A frame in which the names of an expression that stand for slots in the outer graph do so in the current one."""
    own = replace(frame, names=dict(frame.names), owner=None, results=None)
    for name in names_of(expression):
        item = own.names.get(name.text)
        if isinstance(item, Value) and item in outer.slots:
            own.names[name.text] = context.builder.parameter(outer.slots[item])
    return own


def _graph(node: tree.Update, slot: Slot, below: str, frame: Frame, context: Context) -> Graph | None:
    """The graph of one slot; `None` after reporting an error."""
    outer, graph = context.builder, Graph()
    context.builder = apart(graph, context)
    own = reading_slots(node.value, frame, outer, context)
    for name in names_of(node.value):
        if name.text in OF_UPDATES and name.text not in own.names and frame.scope.find(name.text) is None:
            own.names[name.text] = number = Value(TensorType.of("f32"), name.text)
            graph.inputs.append(number)
    expression = _of_part(node.value, below, slot, own, context) if below else node.value
    item = None if expression is None else evaluate(expression, own, context)
    if expression is None or has_poison(item):
        return None
    if isinstance(item, int | float):  # fills the slot
        filling: list[Item] = [[*slot.type.shape], item, slot.type.dtype]
        item = call_operation("full", [ArgumentValue(None, i, node.value.span) for i in filling], node.span, context)
        if has_poison(item):
            return None
    value = as_tensor(ArgumentValue(None, item, node.value.span), slot.type.dtype, context)
    value = None if value is None else _fitted(value, slot, node.value.span, context)
    if value is None:
        context.error(
            "E0841",
            node.value.span,
            f"`{slot.path}` is {slot.type}, and can't become {describe(item)}",
            describe(item),
            labels=[Label(node.target.span, f"is {slot.type}")],
            help="an update keeps shape and dtype",
            applied=False,
        )
        return None
    graph.outputs = [value]
    return graph


def _fitted(value: Value, slot: Slot, span: Span, context: Context) -> Value | None:
    """A value as one of the type of a slot; `None` if it has another type."""
    if value.type.dtype != slot.type.dtype or value.type.rank != slot.type.rank:
        return None
    for size, wanted in zip(value.type.shape, slot.type.shape, strict=True):
        answer = compare(size, wanted)
        if answer == "different":
            return None
        if answer == "unknown":
            note_check(size, wanted, span, f"`{slot.path}` is {slot.type}", context)
            value = context.builder.assume(value, size, wanted, span)
    return value


def _of_part(node: Any, below: str, slot: Slot, frame: Frame, context: Context) -> Any:
    """An expression over layers as one over their parameters at a path below them; `None` after an error."""
    if _is_layer(node, frame, context):
        item = evaluate(node, frame, context)
        slots = slots_below(item)
        if slots is None:
            return node
        if isinstance(item, Layer) and not is_applied(item, node.span, context):
            return None
        part = slots.get(below)
        if part is None or part.sizes != slot.sizes or part.type.dtype != slot.type.dtype:
            has = f"`{node.span.text}{below}` is {part.type}" if part is not None else f"has no `{below.lstrip('.')}`"
            context.error(
                "E0842",
                node.span,
                f"`{node.span.text}` doesn't have the parameters of the layer that is written",
                has,
                labels=[Label(slot.layer_span, f"`{slot.path}` is {slot.type}")],
                help="arithmetic on layers needs layers of one kind and size; write parameters one by one: "
                "`update target.weight = …`",
                applied=False,
            )
            return None
        name = f"{node.span.text}{below}"
        frame.names[name] = context.builder.parameter(part)
        return tree.Name(node.span, name)
    changed: dict[str, object] = {}
    for key, part in vars(node).items():
        if isinstance(part, tuple):
            parts = [_of_part(p, below, slot, frame, context) if isinstance(p, tree.Node) else p for p in part]
            if None in parts:
                return None
            changed[key] = tuple(parts)
        elif isinstance(part, tree.Node) and not (key in ("function", "stage") and _is_layer(part, frame, context)):
            changed[key] = _of_part(part, below, slot, frame, context)
            if changed[key] is None:
                return None
    return node.replaced(**changed)


def _is_layer(node: tree.Node, frame: Frame, context: Context) -> bool:
    """Whether an expression is a path that begins at a layer, or at an array of layers."""
    root: tree.Node = node
    while isinstance(root, tree.Field | tree.Index):
        root = root.object
    if not isinstance(root, tree.Name):
        return False
    item = frame.names.get(root.text, context.root.declared.get(root.text))
    return isinstance(item, Layer) or (isinstance(item, list) and any(isinstance(part, Layer) for part in item))
