"""`carry z = zeros([n, d])` in a `train`: an input of the model, or a target, goes from one step on a batch to the
next, as the carried names of a `scan` do.

The statement says what it is in the first step on a batch. In the others it is what the body of the `train` bound the
name to in the step before, as a number: no gradient goes back into that.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from wsdl.diagnostics import Label
from wsdl.diagnostics.span import Span
from wsdl.elaborate.context import Context
from wsdl.elaborate.evaluate import evaluate
from wsdl.elaborate.items import ArgumentValue, Frame, describe, has_poison
from wsdl.elaborate.results import as_tensor
from wsdl.elaborate.updates import apart, reading_slots
from wsdl.ir.binding import size_sources
from wsdl.ir.dims import same
from wsdl.ir.graph import Graph, Value
from wsdl.ir.rewriter import Rewriter
from wsdl.ir.step import FIRST
from wsdl.ir.training import Carry, Objective
from wsdl.ir.types import TensorType, same_type
from wsdl.ops.build import Build
from wsdl.syntax import tree


def carry(node: tree.Carry, frame: Frame, context: Context) -> None:
    """Keep a carried tensor with the graph of its first value."""
    requests, name = context.mode.requests, node.name.text
    assert requests is not None
    context.mode.depends_on_training = True  # an evaluation is the first update of each batch
    value = next((v for v in context.builder.graphs[0].inputs if v.name == name), None)
    if value is None or not _has_rows(value, context):
        context.error(
            "E0847",
            node.name.span,
            f"`{name}` can't be carried: {'it has no rows' if value else 'it is neither an input nor a target'}",
            f"is {value.type}" if value else "unknown",
            help="`carry` names an input of the model, or a target, with the same first axis as the others: "
            f"`model m(x: f32[n, 8], {name}: f32[n, 8])`",
        )
        return
    if name in requests.carries:
        context.error(
            "E0847",
            node.name.span,
            f"`{name}` is carried twice",
            "again",
            labels=[Label(requests.carries[name].span, "first")],
        )
        return
    start = _start(node, value, frame, context)
    if start is not None:
        requests.carries[name] = Carry(name, value, start, node.name.span)


def _has_rows(value: Value, context: Context) -> bool:
    others = [v.type.shape[0] for v in context.builder.graphs[0].inputs if v is not value and v.type.rank]
    return value.type.rank > 0 and any(same(value.type.shape[0], rows) for rows in others)


def _start(node: tree.Carry, value: Value, frame: Frame, context: Context) -> Graph | None:
    """The graph of the first value; `None` after reporting an error."""
    outer, graph = context.builder, Graph()
    context.builder = apart(graph, context)
    item = evaluate(node.value, reading_slots(node.value, frame, outer, context), context)
    start = None if has_poison(item) else as_tensor(ArgumentValue(None, item, node.value.span), frame.dtype, context)
    context.builder = outer
    if has_poison(item):
        return None
    if start is None or not same_type(start.type, value.type):
        _refuse(node.value.span, value, describe(item), context)
        return None
    graph.outputs = [start]
    known = [v for v in (*outer.graphs[0].inputs, *outer.random.values()) if v is not value]
    unknown = [v for v in graph.captured() if v not in known]
    if unknown:
        context.error(
            "E0848",
            node.value.span,
            f"the first value of `{value.name}` is known before the model runs",
            "reads what the model computes",
            help="compute it from other inputs, parameters and constants, such as `zeros`",
        )
        return None
    return graph


def _refuse(span: Span, value: Value, found: str, context: Context) -> None:
    context.error("E0848", span, f"`{value.name}` is {value.type}, and can't become {found}", "another type")


def carried(objective: Objective, carries: Mapping[str, Carry], frame: Frame, context: Context) -> Objective:
    """The objective with each carried tensor in place of its input: in training what the update before made of it, in
    an evaluation what it is at first."""
    values: dict[Value, Value] = {}
    following: dict[str, Value] = {}
    training = context.mode.training
    sources = size_sources([v.type for v in objective.graph.inputs if v.name not in carries])
    for carry in carries.values():
        unknown = {name for dim in carry.value.type.shape for name in dim.names()} - sources.keys()
        if unknown:
            context.error(
                "E0847",
                carry.span,
                f"`{carry.name}` can't be carried: no other input or target has the size `{min(unknown)}`",
                f"is {carry.value.type}",
                help="its first value is computed before it has one, so the data must have all of its sizes",
            )
            continue
        item = frame.names[carry.name]
        if not isinstance(item, Value) or item is carry.value or not same_type(item.type, carry.value.type):
            _report_next(carry, None if item is carry.value else describe(item), context)
            continue
        following[carry.name] = item
        values[carry.value] = _inserted(objective.graph, carry, training)
    graph = objective.graph
    context.forget(graph)
    with Rewriter(graph) as rewriter:
        for old, new in values.items():
            rewriter.replace(old, new)
    if training and values:
        for old, new in values.items():  # whose own reader still has to read what came in
            node = next(node for node in graph.nodes if new in node.results)
            given = Value(old.type, old.name)
            graph.inputs[graph.inputs.index(old)] = given
            node.operands = [given if operand is new else operand for operand in node.operands]
    else:
        graph.inputs = [v for v in graph.inputs if v not in values]
    result = objective.substituted(graph, values)
    targets = [v for v in result.targets if v in graph.inputs]
    return replace(
        result, targets=targets, carried={n: values.get(v, v) for n, v in following.items()} if training else {}
    )


def _inserted(graph: Graph, carry: Carry, training: bool) -> Value:
    """What an objective reads in place of an input; computed in front of everything else."""
    copies: dict[Value, Value] = {}
    start = carry.start.copy(copies)
    [value] = start.outputs
    if training:
        first = next((v for v in graph.inputs if v.name == FIRST.name), None)
        if first is None:
            first = Value(TensorType.of("bool"), FIRST.name)
            graph.inputs.append(first)
        value = Build(start, span=carry.span)("where", first, value, carry.value)
    graph.nodes[:0] = start.nodes
    return value


def _report_next(carry: Carry, found: str | None, context: Context) -> None:
    if context.report.is_reported(carry.span):
        return
    context.error(
        "E0849",
        carry.span,
        f"`{carry.name}` is carried, but the `train` doesn't bind it again"
        if found is None
        else f"`{carry.name}` is {carry.value.type}, and can't become {found}",
        "the same in each update" if found is None else "another type",
        help=f"bind it to what the next update reads, an output of the model: `{carry.name} = next_{carry.name}`",
    )
