"""Losses and metrics: scalars, or one value for each row of the batch, which are averaged.

A loss of a block or a model (`loss balance = …`) is kept with the graph of the run of the body, once for each
application, for the trainings that run it. The compiled model has none of it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from wsdl.diagnostics import Edit
from wsdl.diagnostics.span import Span
from wsdl.elaborate.context import Context
from wsdl.elaborate.evaluate import evaluate
from wsdl.elaborate.items import ArgumentValue, Frame, Item, describe, has_poison
from wsdl.elaborate.operations import call_operation
from wsdl.elaborate.results import as_tensor
from wsdl.ir.dims import same
from wsdl.ir.graph import Node, Value
from wsdl.ir.training import AuxiliaryLoss
from wsdl.ir.types import TensorType
from wsdl.syntax import tree


def scalar(argument: ArgumentValue, kind: str, context: Context) -> Value | None:
    """A loss or a metric as a scalar of f32 or f64; `None` after reporting that it isn't one."""
    value = _checked(argument, kind, context)
    return None if value is None else _mean(value, argument.span, context)


def total(values: Sequence[Value], arguments: Sequence[ArgumentValue], context: Context) -> Value:
    """The sum of losses; 0 if there are none."""
    if not values:
        return context.builder.constant(0.0, TensorType.of("f32"), context.where.uses[-1].span)
    first, *others = values
    for value, part in zip(others, arguments[1:], strict=True):
        if value.type.dtype != first.type.dtype:
            value = _operation("cast", context, part.span, value, first.type.dtype)
        first = _operation("add", context, part.span, first, value)
    return first


# -- losses of blocks --------------------------------------------------------------------------------------------------


def auxiliary_loss(node: tree.Loss, frame: Frame, context: Context) -> None:
    """Keep a loss of the body of a block or a model, where its graph is that of a training or of a formula."""
    assert node.name is not None, "the parser lets a loss without a name stand in a `train` only"
    losses, graph = context.builder.losses, context.builder.graphs[-1]
    context.builder.unrepeatable += 1
    before = len(graph.nodes)
    value = _checked(ArgumentValue(node.name, evaluate(node.value, frame, context), node.value.span), "loss", context)
    if losses is None:
        graph.nodes[before:] = [n for n in graph.nodes[before:] if n.op == "parameter"]  # which what follows may read
    elif value is not None:
        _keep(AuxiliaryLoss(node.name.text, value, node.name.span), losses, context)


def losses_of_steps(losses: Sequence[AuxiliaryLoss], results: Sequence[Value], context: Context) -> None:
    """Keep the sums over all steps of a scan of losses of its body; `results` are their values at all steps."""
    kept = context.builder.losses
    for loss, result in zip(losses, results, strict=True):
        assert kept is not None
        _keep(replace(loss, value=_operation("sum", context, loss.span, result, 0)), kept, context)


def auxiliary_losses(context: Context) -> list[AuxiliaryLoss]:
    """What is kept of the graph that is built: scalars, one of each name and dtype."""
    return context.builder.losses or []


def _keep(loss: AuxiliaryLoss, kept: list[AuxiliaryLoss], context: Context) -> None:
    """Add a loss to the one of its name. In the steps of a `for` that is carried from step to step, so that these stay
    alike and become one loop; in a scan it is added behind that."""
    if len(context.builder.graphs) > 1:
        kept.append(loss)
        return
    value = _mean(loss.value, loss.span, context)
    named = loss.name, value.type.dtype
    at = next((i for i, other in enumerate(kept) if (other.name, other.value.type.dtype) == named), None)
    if at is not None:
        before, others = kept[at], dict.fromkeys((*kept[at].others, loss.span))
        added = _operation("add", context, loss.span, before.value, value)
        kept[at] = replace(before, value=added, others=tuple(others))
    elif context.where.steps:
        zero = Value(value.type)
        constant = Node("constant", [], {"value": 0.0, "dtype": value.type.dtype}, [zero], span=loss.span)
        context.builder.graphs[0].nodes.insert(0, constant)
        kept.append(replace(loss, value=_operation("add", context, loss.span, zero, value)))
    else:
        kept.append(replace(loss, value=value))


# -- values ------------------------------------------------------------------------------------------------------------


def _checked(argument: ArgumentValue, kind: str, context: Context) -> Value | None:
    """A scalar, or a vector with a value for each row; `None` after reporting an error."""
    item = argument.item
    if has_poison(item):
        return None
    value = None if isinstance(item, bool) else as_tensor(argument, context.where.dtype, context)
    if value is not None and _fits(value, kind, isinstance(item, int), context):
        return value
    text = argument.span.text
    helps = value is not None and value.type.rank > 0 and (value.type.is_float or kind == "metric")
    context.error(
        "E0806",
        argument.span,
        f"a {kind} must be a number, not {describe(item)}",
        f"{'a float' if kind == 'loss' else 'one'} for the whole batch, or for each row",
        help=f"average it: `mean({text})`" if helps and "\n" not in text else None,
        fix=[Edit(argument.span, f"mean({text})")] if helps else (),
    )
    return None


def _fits(value: Value, kind: str, is_number: bool, context: Context) -> bool:
    if value.type.rank == 0:
        return value.type.dtype != "bool" and (kind == "metric" or value.type.is_float or is_number)
    return _is_batch(value, context) and (kind == "metric" or value.type.is_float)


def _mean(value: Value, span: Span, context: Context) -> Value:
    if value.type.rank == 1:
        if value.type.is_integer:
            value = _operation("cast", context, span, value, "f32")
        value = _operation("mean", context, span, value)
    return value if value.type.dtype in ("f32", "f64") else _operation("cast", context, span, value, "f32")


def _is_batch(value: Value, context: Context) -> bool:
    """Whether a vector has a value for each row of the inputs."""
    rows = [v.type.shape[0] for v in context.builder.graphs[0].inputs if v.type.rank > 0]
    return value.type.rank == 1 and any(same(dim, value.type.shape[0]) for dim in rows)


def _operation(name: str, context: Context, span: Span, *arguments: Item) -> Value:
    result = call_operation(name, [ArgumentValue(None, a, span) for a in arguments], span, context)
    assert isinstance(result, Value)
    return result
