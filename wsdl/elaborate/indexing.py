"""`x[:, -1]` on tensors, `blocks[3]` and `blocks[0:6]` on arrays of layers and lists."""

from __future__ import annotations

from wsdl.elaborate.context import Context
from wsdl.elaborate.evaluate import evaluate
from wsdl.elaborate.items import POISON, ArgumentValue, Frame, Item, Layer, as_dim, as_int, describe, has_poison, whole
from wsdl.elaborate.kinds import ROUNDING
from wsdl.elaborate.operations import call_operation
from wsdl.ir.dims import Dim
from wsdl.ir.graph import Value
from wsdl.syntax import tree

_MASKS = tree.Name | tree.Call | tree.Binary | tree.Unary | tree.Pipe | tree.Field | tree.Index  # that may be tensors


def index(node: tree.Index, frame: Frame, context: Context) -> Item:
    """The value of `object[subscripts]`."""
    item = evaluate(node.object, frame, context)
    if not isinstance(item, list) and has_poison(item):
        return POISON
    if isinstance(item, list | tuple):
        return _of_list(node, list(item), frame, context)
    if isinstance(item, Value):
        return _of_tensor(node, item, frame, context)
    help = "to index its result, put the pipeline in parentheses: `(x |> f)[0]`" if isinstance(item, Layer) else None
    context.error("E0228", node.span, f"{describe(item)} can't be indexed", help=help, applied=False)
    return POISON


def _of_list(node: tree.Index, items: list[Item], frame: Frame, context: Context) -> Item:
    subscript = node.subscripts[0]
    if len(node.subscripts) == 1 and isinstance(subscript, tree.Slice):
        bounds = [
            None if b is None else evaluate(b, frame, context)
            for b in (subscript.start, subscript.stop, subscript.step)
        ]
        if has_poison(bounds):
            return POISON
        bounds = [whole(b) for b in bounds]
        if all(b is None or isinstance(b, int) for b in bounds) and bounds[2] != 0:
            return items[slice(*bounds)]  # type: ignore[arg-type]  # numbers, checked above
    elif len(node.subscripts) == 1 and not isinstance(subscript, tree.Star | tree.Ellipsis | tree.Slice):
        at = whole(evaluate(subscript, frame, context))
        if has_poison(at):
            return POISON
        if isinstance(at, int) and not isinstance(at, bool):
            if -len(items) <= at < len(items):
                return items[at]
            message, label = f"there is no element {at}", f"`{node.object.span.text}` has {len(items)}, counted from 0"
            context.error("E0237", subscript.span, message, label)
            return POISON
        help = ROUNDING if isinstance(at, float) else ""
        if isinstance(at, Value):
            help = "a layer is selected when compiling; `Mixture(bank=…)` weighs all of a list in each run"
        context.error("E0228", subscript.span, f"an index must be an integer, not {describe(at)}", help=help)
        return POISON
    context.error("E0228", node.span, "an array of layers or a list has one index: an integer or a slice")
    return POISON


def _of_tensor(node: tree.Index, value: Value, frame: Frame, context: Context) -> Item:
    rank = value.type.rank
    subscripts = [s for s in node.subscripts if not isinstance(s, tree.Ellipsis)]
    if len(subscripts) > rank or len(node.subscripts) - len(subscripts) > 1:
        context.error("E0228", node.span, f"too many subscripts for {value.type}", f"it has {rank} axes")
        return POISON
    if len(node.subscripts) == 1 and isinstance(node.subscripts[0], _MASKS):
        mask = evaluate(node.subscripts[0], frame, context)
        if isinstance(mask, Value) and mask.type.dtype == "bool":
            return _picked(node, value, mask, context)
    starts: list[Item] = []
    stops: list[Item] = []
    steps: list[Item] = []
    axes: list[Item] = []
    dropped: list[Item] = []
    axis = 0
    for subscript in node.subscripts:
        if isinstance(subscript, tree.Ellipsis):
            axis += rank - len(subscripts)
            continue
        bounds = _bounds(subscript, frame, axis, node.object.span.text, context)
        if bounds is None or _leaves(subscript, bounds, axis, value, context):
            return POISON
        start, stop, step = bounds
        if not isinstance(subscript, tree.Slice):
            dropped.append(axis)
        if start is not None or stop is not None or step != 1:
            starts.append(Dim.of(0) if start is None else start)
            stops.append(value.type.shape[axis] if stop is None else stop)
            steps.append(step)
            axes.append(axis)
        axis += 1
    result: Item = value
    if axes:
        parts: list[Item] = [result, starts, stops, axes, steps]
        arguments = [ArgumentValue(None, part, node.span) for part in parts]
        result = call_operation("slice", arguments, node.span, context)
    if dropped and not has_poison(result):
        result = call_operation(
            "squeeze", [ArgumentValue(None, i, node.span) for i in (result, dropped)], node.span, context
        )
    return result


def _picked(node: tree.Index, value: Value, mask: Value, context: Context) -> Item:
    """`x[mask]`: the rows at which it is true, in one axis."""
    span = node.subscripts[0].span
    if not mask.type.rank:
        help = f"it has one truth value for all rows; `where({span.text}, a, b)` chooses between two tensors"
        context.error("E0228", span, f"a mask has an axis for the rows, but this is {mask.type}", help=help)
        return POISON
    group = call_operation("cast", [ArgumentValue(None, item, span) for item in (mask, "i64")], span, context)
    group = call_operation("sub", [ArgumentValue(None, item, span) for item in (group, 1)], span, context)
    arguments = [ArgumentValue(None, item, node.span) for item in (value, group, 1)]
    return call_operation("partition", arguments, node.span, context)


def _leaves(
    subscript: tree.Subscript, bounds: tuple[Dim | None, Dim | None, int], axis: int, value: Value, context: Context
) -> bool:
    """Whether a subscript is out of bounds, which is reported."""
    size = value.type.shape[axis].constant
    single = not isinstance(subscript, tree.Slice | tree.Star)
    for bound in bounds[:1] if single else bounds[:2]:
        number = None if bound is None else bound.constant
        if size is None or number is None or -size <= number <= size - single:
            continue
        what = f"there is no element {number}" if single else f"the slice ends at {number}"
        label = f"axis {axis} of {value.type} has {size} elements" + (", counted from 0" if single else "")
        context.error("E0237", subscript.span, what, label)
        return True
    return False


def _bounds(
    subscript: tree.Subscript, frame: Frame, axis: int, x: str, context: Context
) -> tuple[Dim | None, Dim | None, int] | None:
    """Start, stop and step of the subscript of one axis of `x`; a single index is a slice of length one."""
    if isinstance(subscript, tree.Slice):
        items = [
            None if b is None else evaluate(b, frame, context)
            for b in (subscript.start, subscript.stop, subscript.step)
        ]
    elif isinstance(subscript, tree.Star):
        items = [None, None, None]
    else:
        assert not isinstance(subscript, tree.Ellipsis)
        at = evaluate(subscript, frame, context)
        if has_poison(at):
            return None
        first = as_dim(at)
        if first is None:
            context.error(
                "E0228",
                subscript.span,
                f"a subscript must be an integer or a slice, not {describe(at)}",
                help=_picking(at, subscript, axis, x),
            )
            return None
        return first, (None if first.constant == -1 else first + 1), 1
    if any(has_poison(i) for i in items):
        return None
    start, stop, step = items
    low, high = as_dim(start), as_dim(stop)
    if (low is None and start is not None) or (high is None and stop is not None):
        context.error("E0228", subscript.span, "the bounds of a slice must be integers")
        return None
    stride = 1 if step is None else as_int(step)
    if stride is None or stride <= 0:
        context.error(
            "E0228",
            subscript.span,
            "the step of a slice must be a positive integer",
            help=f"to reverse, use `.flip({axis})`",
        )
        return None
    return low, high, stride


def _picking(at: Item, subscript: tree.Subscript, axis: int, x: str) -> str:
    """The help for `x[indices]`, `x[mask]` and `x[0.5]`."""
    if isinstance(at, float):
        return ROUNDING
    if isinstance(at, Value) and at.type.dtype == "bool":
        return f"a mask is the only subscript: `{x}[{subscript.span.text}]`"
    indices = subscript.span.text if isinstance(at, Value) else "indices"
    return f"to select by a tensor of indices, use `gather({x if len(x) <= 30 else 'x'}, {indices}, axis={axis})`"
