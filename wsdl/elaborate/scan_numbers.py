"""What is special to a `scan` over numbers: its bounds, which only the run may know, and its `until`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from wsdl.diagnostics.span import Span
from wsdl.elaborate.context import Context
from wsdl.elaborate.evaluate import evaluate
from wsdl.elaborate.items import ArgumentValue, Frame, as_dim, describe, has_poison
from wsdl.elaborate.operations import call_operation
from wsdl.elaborate.results import as_tensor
from wsdl.ir.binding import rows_dimension
from wsdl.ir.dims import Dim
from wsdl.ir.graph import Node, Value
from wsdl.ir.types import TensorType
from wsdl.ops.halting import ends_by_rows
from wsdl.ops.node_arguments import ScanParts, scan_inputs
from wsdl.syntax import tree

NUMBER = TensorType.of("i64")


@dataclass(frozen=True)
class Bounds:
    """The numbers from `start` on: as many as `count`, or up to a `limit` that only the run knows."""

    start: Dim | Value
    count: Dim | None
    limit: Value | None


def numbers_of(written: tree.Numbers, frame: Frame, context: Context) -> Bounds | None:
    """The numbers of `step in start..stop`; `None` after reporting an error."""
    values = written.range
    bounds = [_bound(part, frame, context) for part in (values.start, values.stop)]
    start, stop = bounds
    if start is None or stop is None:
        return None
    if isinstance(start, Dim) and isinstance(stop, Dim):
        count = stop - start
        if count.constant is None and any(factor < 0 for _, factor in count.terms):
            return Bounds(start, None, context.builder.size(count, "i64", values.span))
        return Bounds(start, Dim.of(max(0, count.constant)) if count.constant is not None else count, None)
    if isinstance(start, Dim) and start.constant == 0:
        return Bounds(start, None, _value(stop, values.stop.span, context))
    ends = _value(stop, values.stop.span, context), _value(start, values.start.span, context)
    return Bounds(start, None, _call("sub", values.span, context, *ends))


def number_of_step(step: Value, numbers: Bounds, span: Span, context: Context) -> Value:
    """The number that a step stands for; steps are counted from 0."""
    if isinstance(numbers.start, Dim) and numbers.start.constant == 0:
        return step
    return _call("add", span, context, step, _value(numbers.start, span, context))


def limit_of(numbers: Bounds, may_end: bool, span: Span, context: Context) -> tuple[list[Value], Dim]:
    """The limit of the steps, if only the run knows how many there are, and their dimension."""
    if numbers.count is not None and not may_end:
        return [], numbers.count
    steps = context.builder.unknown_size("steps")
    if numbers.limit is not None:
        return [numbers.limit], steps
    assert numbers.count is not None
    count = numbers.count.constant
    if count is not None:
        return [context.builder.constant(count, NUMBER, span)], steps
    return [context.builder.size(numbers.count, "i64", span)], steps


def end_of_steps(ends: Sequence[ArgumentValue], context: Context) -> Value | None:
    """Whether any of the conditions of `until` holds; `None` after reporting an error."""
    found: list[Value] = []
    for end in ends:
        value = None if has_poison(end.item) else as_tensor(end, "f32", context)
        if value is None or value.type.dtype != "bool" or value.type.rank > 0:
            if not has_poison(end.item):
                _report_condition(end, value, context)
            return None
        found.append(value)
    first, *others = found
    for other, end in zip(others, ends[1:], strict=True):
        first = _call("logical_or", end.span, context, first, other)
    return first


def _report_condition(end: ArgumentValue, value: Value | None, context: Context) -> None:
    is_mask = value is not None and value.type.dtype == "bool"
    text = end.span.text
    context.error(
        "E0422",
        end.span,
        f"the condition of `until` must be one bool, not {describe(end.item)}",
        "for all rows together" if is_mask else "true or false?",
        help=f"`min({text})` is true where all are, `max({text})` where any is"
        if is_mask and "\n" not in text
        else None,
    )


def _bound(part: tree.Expression, frame: Frame, context: Context) -> Dim | Value | None:
    item = evaluate(part, frame, context)
    if isinstance(item, Value) and item.type.dtype == "i64" and item.type.rank == 0:
        return item
    dim = as_dim(item)
    if dim is None and not has_poison(item):
        scalar = isinstance(item, Value) and item.type.rank == 0 and item.type.is_integer
        vector = isinstance(item, Value) and item.type.rank > 0
        context.error(
            "E0421",
            part.span,
            f"a `scan` counts up to an integer, not {describe(item)}",
            "a number, a size or an i64 scalar",
            help=f"write `cast({part.span.text}, i64)`"
            if scalar
            else f"`max({part.span.text})` is the largest; rows of fewer steps keep their values by `where`"
            if vector
            else None,
        )
    return dim


def _value(item: Dim | Value, span: Span, context: Context) -> Value:
    if isinstance(item, Value):
        return item
    if item.constant is not None:
        return context.builder.constant(item.constant, NUMBER, span)
    return context.builder.size(item, "i64", span)


def _call(name: str, span: Span, context: Context, *values: Value) -> Value:
    result = call_operation(name, [ArgumentValue(None, value, span) for value in values], span, context)
    assert isinstance(result, Value)
    return result


# -- rows --------------------------------------------------------------------------------------------------------------


def warn_of_rows(node: Node, end: Span, context: Context) -> None:
    """W0403 for an `until` that depends on the rows of a batch, unless each row halts by itself."""
    rows = rows_dimension(value.type for value in context.builder.graphs[0].inputs)
    if rows is None or ends_by_rows(node) or not _depends_on_rows(node, rows, context):
        return
    context.error(
        "W0403",
        end,
        "this `until` ends the steps of all rows, so the rows of a batch depend on each other",
        f"computed from all rows of `{rows}`",
        help="let each row halt by itself: `h = where(done, h, next)`, `until min(done)`",
        severity="warning",
    )


def _depends_on_rows(node: Node, rows: str, context: Context) -> bool:
    """Whether the condition of a scan is computed from a tensor with rows."""
    assert node.body is not None
    parts = ScanParts.of(node)
    before = {inner: [outer] for outer, inner in scan_inputs(node)}
    for inner, after in zip(node.body.inputs, node.body.outputs[: parts.carried], strict=False):
        before[inner].append(after)
    rest, seen = [node.body.outputs[parts.carried]], set[Value]()
    while rest:
        value = rest.pop()
        if value in seen:
            continue
        seen.add(value)
        if any(rows in dim.names() for dim in value.type.shape):
            return True
        producer = context.builder.origins.producers.get(value)
        rest += before.get(value, producer.reads() if producer is not None else ())
    return False
