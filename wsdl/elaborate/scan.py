"""`scan`: the body is built once, as a separate graph that runs for each step."""

from __future__ import annotations

from wsdl.diagnostics import Label, limits
from wsdl.elaborate.bindings import assign
from wsdl.elaborate.bound_names import bound_names
from wsdl.elaborate.context import Context
from wsdl.elaborate.evaluate import evaluate, run
from wsdl.elaborate.items import POISON, ArgumentValue, Frame, describe, has_poison
from wsdl.elaborate.losses import losses_of_steps
from wsdl.elaborate.report import TooMuch
from wsdl.ir.dims import Dim, compare
from wsdl.ir.graph import Graph, Value
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


def _build(node: tree.Scan, frame: Frame, context: Context) -> list[Value] | None:
    sequences = [_tensor(b, frame, context, None) for b in node.steps]
    initial = [_tensor(b, frame, context, _dtype_of(sequences)) for b in node.carried]
    along = evaluate(node.along, frame, context)
    if has_poison(along) or any(s is None for s in (*sequences, *initial)):
        return None
    if not isinstance(along, int | Dim) or isinstance(along, bool):
        context.error("E0412", node.along.span, f"`along` names a dimension, not {describe(along)}", applied=False)
        return None
    values = [s for s in sequences if s is not None]
    starts = [s for s in initial if s is not None]
    axes = [_axis(b, v, Dim.of(along), node, frame, context) for b, v in zip(node.steps, values, strict=True)]
    if None in axes:
        return None
    known = [a for a in axes if a is not None]

    if len(context.builder.graphs) > limits.SCANS:
        context.error(
            "E0602",
            node.along.span,
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
    for binding, value, axis in zip(node.steps, values, known, strict=True):
        step = value.type.with_shape((*value.type.shape[:axis], *value.type.shape[axis + 1 :]))
        body.inputs.append(Value(step, binding.name.text))
        inner.names[binding.name.text] = body.inputs[-1]
    context.builder.graphs.append(body)
    before = len(context.builder.losses or ())
    run(node.body, inner, context)
    finals = [_carried(b, s, node, inner, context) for b, s in zip(node.carried, starts, strict=True)]
    context.builder.graphs.pop()
    emitted = _emitted(node, inner, context)
    if inner.results is not None:  # a `return` in the body, already reported
        context.mark_incomplete()
        return None
    if emitted is None or any(f is None for f in finals):
        return None
    losses = (context.builder.losses or [])[before:]
    del (context.builder.losses or [])[before:]
    body.outputs = [*(f for f in finals if f is not None), *emitted, *(loss.value for loss in losses)]
    if (number := context.builder.step_numbers.get(body)) is not None:
        body.inputs.append(number)
        size = TensorType.of("i64", [Dim.of(along)])
        values += context.builder.node("arange", [], {"start": Dim.of(along), "stop": None}, [size], node.along.span)
        known.append(0)
    axes_out = [*(min(known[0], e.type.rank) for e in emitted), *(0 for _ in losses)]
    stacked = [
        _stacked(v.type, Dim.of(along), axis) for v, axis in zip(body.outputs[len(finals) :], axes_out, strict=True)
    ]
    results = context.builder.node(
        "scan",
        [starts, values],
        {"axes": list(known), "emit_axes": list(axes_out), "reverse": node.reverse},
        [*(s.type for s in starts), *stacked],
        node.steps[0].span,
        body,
    )
    visible = len(finals) + len(emitted)
    losses_of_steps(losses, results[visible:], context)
    return results[:visible]


def _tensor(binding: tree.Binding, frame: Frame, context: Context, dtype: DType | None) -> Value | None:
    item = evaluate(binding.value, frame, context)
    if isinstance(item, Value):
        return item
    if isinstance(item, int | float) and not isinstance(item, bool) and dtype is not None:
        return context.builder.constant(item, TensorType.of(dtype), binding.value.span)
    if not has_poison(item):
        message = f"`{binding.name.text}` must be a tensor, not {describe(item)}"
        context.error("E0418", binding.value.span, message, applied=False)
    return None


def _dtype_of(values: list[Value | None]) -> DType:
    return next((v.type.dtype for v in values if v is not None and v.type.is_float), "f32")


def _axis(
    binding: tree.Binding, value: Value, along: Dim, node: tree.Scan, frame: Frame, context: Context
) -> int | None:
    """The axis of a sequence with the size of the scan; of several the one whose declaration has its name."""
    fits = [i for i, d in enumerate(value.type.shape) if compare(d, along) == "equal"]
    if len(fits) > 1:
        named = _declared_axes(binding.value, value, node.along, frame)
        fits = named if len(named) == 1 else fits
    if len(fits) == 1:
        return fits[0]
    name, sequence = node.along.span.text, binding.value.span.text
    message = f"`{sequence}` has no dimension that is `{name}`"
    context.error(
        "E0412",
        binding.value.span,
        message if not fits else f"`{sequence}` has {len(fits)} dimensions that are `{name}`",
        f"is {value.type}",
        labels=[Label(node.along.span, f"`{name}` is {along}")] if name != str(along) else (),
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


def _emitted(node: tree.Scan, inner: Frame, context: Context) -> list[Value] | None:
    runs = inner.emitted or []
    results: list[ArgumentValue] = [g for run in runs for g in run]
    if any(has_poison(g.item) for g in results):
        return None
    values: list[Value] = []
    for g in results:
        if not isinstance(g.item, Value):
            context.error("E0418", g.span, f"`emit` takes a tensor, not {describe(g.item)}", applied=False)
            return None
        values.append(g.item)
    return values


def _stacked(step: TensorType, along: Dim, at: int) -> TensorType:
    return step.with_shape((*step.shape[:at], along, *step.shape[at:]))
