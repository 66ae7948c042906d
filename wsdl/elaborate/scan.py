"""`scan`: the body is built once, as a separate graph that runs for each step."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from wsdl.diagnostics import Label, limits
from wsdl.diagnostics.span import Span
from wsdl.elaborate.bindings import assign
from wsdl.elaborate.bound_names import bound_names
from wsdl.elaborate.context import Context
from wsdl.elaborate.evaluate import evaluate, run
from wsdl.elaborate.items import POISON, ArgumentValue, Frame, any_poison, describe, has_poison
from wsdl.elaborate.losses import losses_of_steps
from wsdl.elaborate.report import TooMuch
from wsdl.elaborate.scan_numbers import end_of_steps, limit_of, number_of_step, numbers_of, warn_of_rows
from wsdl.ir.dims import Dim, compare
from wsdl.ir.graph import Attribute, Graph, Value
from wsdl.ir.types import DType, TensorType, same_type
from wsdl.syntax import tree


def scan(node: tree.Scan, frame: Frame, context: Context) -> None:
    """Build a `scan` node; bind its targets to the emitted tensors and the carried names to their final values."""
    results = _build(node, frame, context)
    carried_names = tuple(b.name for b in node.carried)
    if results is None:
        assign((*carried_names, *node.targets), [POISON] * (len(carried_names) + len(node.targets)), frame, context)
        return
    carried, emitted = results[: len(carried_names)], results[len(carried_names) :]
    assign(carried_names, list(carried), frame, context)
    if len(emitted) != len(node.targets) and node.targets:
        context.error(
            "E0230",
            node.targets[0].span.to(node.targets[-1].span),
            f"{len(node.targets)} name{'s' if len(node.targets) != 1 else ''} on the left, but this scan emits "
            f"{len(emitted)} value{'s' if len(emitted) != 1 else ''} at each step",
            f"{len(node.targets)} name{'s' if len(node.targets) != 1 else ''}",
            help="each value of `emit` is one result; carried values need no name on the left",
            applied=False,
        )
        assign(node.targets, [POISON] * len(node.targets), frame, context)
        return
    assign(node.targets, list(emitted[: len(node.targets)]), frame, context)


@dataclass(frozen=True)
class _Sequences:
    """The values that a scan goes along, and their axes with its steps."""

    values: Sequence[Value]
    axes: Sequence[int]
    steps: Dim


def _build(node: tree.Scan, frame: Frame, context: Context) -> list[Value] | None:
    along, written = (node.over, None) if isinstance(node.over, tree.Along) else (None, node.over)
    over = _sequences(along, frame, context) if along is not None else None
    numbers = numbers_of(written, frame, context) if written is not None else None
    sequences = over.values if over is not None else ()
    dtype = _dtype_of(sequences)
    whole: DType = dtype if along is not None else "i64"
    initial = [_tensor(b, frame, context, dtype, whole) for b in node.carried]
    if (over is None and numbers is None) or None in initial:
        return None
    starts = [s for s in initial if s is not None]
    head = along.axis.span if along is not None else node.over.span
    if len(context.builder.graphs) > limits.SCANS:
        context.error(
            "E0602",
            head,
            f"the program is nested too deeply: more than {limits.SCANS} scans inside each other",
            "the limit is exceeded here",
            help="`flatten` or `reshape` merges several axes into one, for one `scan`",
        )
        raise TooMuch
    body = Graph()
    inner = Frame(
        frame.layer, frame.scope, dict(frame.names), frame.dtype, path=frame.path, declared=frame.declared, emitted=[]
    )
    for binding, start in zip(node.carried, starts, strict=True):
        body.inputs.append(Value(start.type, binding.name.text))
        inner.names[binding.name.text] = body.inputs[-1]
    context.builder.graphs.append(body)
    before = len(context.builder.losses or ())
    if numbers is not None and written is not None:
        body.inputs.append(context.builder.step_of(body))
        assign((written.name,), [number_of_step(body.inputs[-1], numbers, head, context)], inner, context)
    axes = list(over.axes) if over is not None else []
    for binding, value, axis in zip(along.steps if along is not None else (), sequences, axes, strict=True):
        step = value.type.with_shape((*value.type.shape[:axis], *value.type.shape[axis + 1 :]))
        body.inputs.append(Value(step, binding.name.text))
        inner.names[binding.name.text] = body.inputs[-1]
    run(node.body, inner, context)
    finals = [_carried(b, s, node, inner, context) for b, s in zip(node.carried, starts, strict=True)]
    may_end = written is not None and not node.reverse and bool(inner.ends)
    end = end_of_steps(inner.ends, context) if may_end else None
    context.builder.graphs.pop()
    emitted = _emitted(body, inner, context)
    if inner.results is not None:  # a `return` in the body, already reported
        context.mark_incomplete()
        return None
    if emitted is None or any(f is None for f in finals) or (may_end and end is None):
        return None
    losses = (context.builder.losses or [])[before:]
    del (context.builder.losses or [])[before:]
    emissions = [*emitted, *(loss.value for loss in losses)]
    body.outputs = [*(f for f in finals if f is not None), *([end] if end else ()), *emissions]
    values, limit = list(sequences), list[Value]()
    attributes: dict[str, Attribute] = {}
    if numbers is not None:
        limit, steps = limit_of(numbers, end is not None, head, context)
        attributes = {"steps": steps, **({"until": True} if end else {})}
    elif over is not None:
        steps = over.steps
        if (number := context.builder.step_numbers.get(body)) is not None:
            body.inputs.append(number)
            size = TensorType.of("i64", [steps])
            values += context.builder.node("arange", [], {"start": steps, "stop": None}, [size], head)
            axes.append(0)
    first = axes[0] if axes else 0
    axes_out = [*(min(first, e.type.rank) for e in emitted), *(0 for _ in losses)]
    stacked = [_stacked(v.type, steps, axis) for v, axis in zip(emissions, axes_out, strict=True)]
    results = context.builder.node(
        "scan",
        [starts, values, *limit],
        {"axes": list(axes), "emit_axes": list(axes_out), "reverse": node.reverse, **attributes},
        [*(s.type for s in starts), *stacked],
        along.steps[0].span if along is not None else head,
        body,
    )
    if may_end:
        warn_of_rows(context.builder.graphs[-1].nodes[-1], inner.ends[0].span, context)
    visible = len(finals) + len(emitted)
    losses_of_steps(losses, results[visible:], context)
    return results[:visible]


def _sequences(node: tree.Along, frame: Frame, context: Context) -> _Sequences | None:
    sequences = [_tensor(b, frame, context) for b in node.steps]
    along = evaluate(node.axis, frame, context)
    if has_poison(along) or None in sequences:
        return None
    if not isinstance(along, int | Dim) or isinstance(along, bool):
        context.error("E0412", node.axis.span, f"`along` names a dimension, not {describe(along)}", applied=False)
        return None
    values = [s for s in sequences if s is not None]
    axes = [_axis(b, v, Dim.of(along), node, frame, context) for b, v in zip(node.steps, values, strict=True)]
    if None in axes:
        return None
    return _Sequences(values, [a for a in axes if a is not None], Dim.of(along))


def _tensor(
    binding: tree.Binding,
    frame: Frame,
    context: Context,
    dtype: DType | None = None,
    whole: DType | None = None,
) -> Value | None:
    """The value of a binding; a number in one of two dtypes, if these are given."""
    item = evaluate(binding.value, frame, context)
    if isinstance(item, Value):
        return item
    dtype = whole if isinstance(item, int) else dtype
    if isinstance(item, int | float) and not isinstance(item, bool) and dtype is not None:
        return context.builder.constant(item, TensorType.of(dtype), binding.value.span)
    if not has_poison(item):
        message = f"`{binding.name.text}` must be a tensor, not {describe(item)}"
        context.error("E0418", binding.value.span, message, applied=False)
    return None


def _dtype_of(values: Sequence[Value]) -> DType:
    return next((v.type.dtype for v in values if v.type.is_float), "f32")


def _axis(
    binding: tree.Binding, value: Value, along: Dim, node: tree.Along, frame: Frame, context: Context
) -> int | None:
    """The axis of a sequence with the size of the scan; of several the one whose declaration has its name."""
    fits = [i for i, d in enumerate(value.type.shape) if compare(d, along) == "equal"]
    if len(fits) > 1:
        named = _declared_axes(binding.value, value, node.axis, frame)
        fits = named if len(named) == 1 else fits
    if len(fits) == 1:
        return fits[0]
    name, sequence = node.axis.span.text, binding.value.span.text
    message = f"`{sequence}` has no dimension that is `{name}`"
    context.error(
        "E0412",
        binding.value.span,
        message if not fits else f"`{sequence}` has {len(fits)} dimensions that are `{name}`",
        f"is {value.type}",
        labels=[Label(node.axis.span, f"`{name}` is {along}")] if name != str(along) else (),
        help="give the dimensions of the sequence different names, so that `along` can tell them apart"
        if fits
        else "scan along a dimension of the sequence",
    )
    return None


def _declared_axes(sequence: tree.Expression, value: Value, along: tree.Expression, frame: Frame) -> list[int]:
    """The axes of an input that have the name of `along` in its declaration: in `x: [n, t, d]` the second is `t`, for
    any sizes."""
    if not isinstance(sequence, tree.Name) or not isinstance(along, tree.Name):
        return []
    declared, type_ = frame.declared.get(sequence.text, (None, None))
    if type_ is None or declared is not value:  # the name was rebound
        return []
    axes = [i for i, dim in enumerate(type_.dims) if isinstance(dim, tree.Name) and dim.text == along.text]
    leading = next((i for i, dim in enumerate(type_.dims) if isinstance(dim, tree.Ellipsis)), len(type_.dims))
    more = value.type.rank - len(type_.dims)  # the number of axes of `...`, minus one
    return [axis if axis < leading else axis + more for axis in axes]


def _carried(binding: tree.Binding, start: Value, node: tree.Scan, inner: Frame, context: Context) -> Value | None:
    item = inner.names[binding.name.text]
    if has_poison(item):
        return None
    if not isinstance(item, Value) or not same_type(item.type, start.type):
        after = item.type if isinstance(item, Value) else describe(item)
        last = bound_names(reversed(node.body)).get(binding.name.text)
        context.error(
            "E0413",
            binding.value.span,
            f"the type of `{binding.name.text}` changes between steps",
            f"starts as {start.type}",
            labels=[Label(last, f"continues as {after}")] if last else (),
            help="a carried value must keep its dtype and its shape",
        )
        return None
    return item


def _emitted(body: Graph, inner: Frame, context: Context) -> list[Value] | None:
    runs = inner.emitted or []
    results: list[ArgumentValue] = [g for run in runs for g in run]
    if any_poison(results):
        return None
    values: list[Value] = []
    for g in results:
        if not isinstance(g.item, Value):
            context.error("E0418", g.span, f"`emit` takes a tensor, not {describe(g.item)}", applied=False)
            return None
        values.append(g.item)
    differ = [_differs(g.span, value, body, context) for g, value in zip(results, values, strict=True)]
    return None if any(differ) else values


def _differs(span: Span, value: Value, body: Graph, context: Context) -> bool:
    """Whether the size of what is emitted may differ between steps, which is reported."""
    sizes = {name for dim in value.type.shape for name in dim.names()}
    by = next((node for node in body.nodes if not sizes.isdisjoint(node.measured)), None)
    if by is None:
        return False
    picks = by.op == "partition_rows"
    context.error(
        "E0425",
        span,
        f"the number of emitted {'rows' if picks else 'steps'} can differ between steps",
        f"is {value.type}",
        labels=[Label(by.span, "their number is known at run time only")] if by.span and by.span != span else (),
        help="`unpartition` restores all rows; or compute all rows, and keep some by `where(mask, a, b)`"
        if picks
        else "emit the carried values of the inner `scan`, or omit its `until`",
    )
    return True


def _stacked(step: TensorType, along: Dim, at: int) -> TensorType:
    return step.with_shape((*step.shape[:at], along, *step.shape[at:]))
