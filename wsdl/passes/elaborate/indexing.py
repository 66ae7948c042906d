"""`x[:, -1]` on tensors, `blocks[3]` and `blocks[0:6]` on arrays of layers and lists."""

from __future__ import annotations

from collections.abc import Callable

from wsdl.ir.dims import Dim
from wsdl.ir.graph import Attribute, Value
from wsdl.passes.elaborate.calls import call_operation
from wsdl.passes.elaborate.context import Context
from wsdl.passes.elaborate.items import POISON, Given, Item, describe, has_poison
from wsdl.syntax import tree


def index(node: tree.Index, item: Item, evaluate: Callable[[tree.Expression], Item], context: Context) -> Item:
    """The value of `item[subscripts]`."""
    if has_poison(item) and not isinstance(item, list):
        return POISON
    if isinstance(item, list | tuple):
        return _of_list(node, list(item), evaluate, context)
    if isinstance(item, Value):
        return _of_tensor(node, item, evaluate, context)
    context.error("E0227", node.span, f"{describe(item)} can't be indexed")
    return POISON


def _of_list(node: tree.Index, items: list[Item], evaluate: Callable[[tree.Expression], Item], context: Context) -> Item:
    subscript = node.subscripts[0]
    if len(node.subscripts) == 1 and isinstance(subscript, tree.Slice):
        bounds = [None if b is None else evaluate(b) for b in (subscript.start, subscript.stop, subscript.step)]
        if all(b is None or isinstance(b, int) for b in bounds) and bounds[2] != 0:
            return items[slice(*bounds)]
    elif len(node.subscripts) == 1 and not isinstance(subscript, tree.Star | tree.Ellipsis | tree.Slice):
        at = evaluate(subscript)
        if has_poison(at):
            return POISON
        if isinstance(at, int) and not isinstance(at, bool):
            if -len(items) <= at < len(items):
                return items[at]
            context.error(
                "E0228", subscript.span, f"there is no element {at}", f"the array has {len(items)}, counted from 0"
            )
            return POISON
    context.error("E0228", node.span, "an array of layers or a list is indexed by one whole number or slice")
    return POISON


def _of_tensor(node: tree.Index, value: Value, evaluate: Callable[[tree.Expression], Item], context: Context) -> Item:
    rank = value.type.rank
    given = [s for s in node.subscripts if not isinstance(s, tree.Ellipsis)]
    if len(given) > rank or len(node.subscripts) - len(given) > 1:
        context.error("E0228", node.span, f"too many subscripts for {value.type}", f"it has {rank} axes")
        return POISON
    starts: list[Attribute] = []
    stops: list[Attribute] = []
    steps: list[Attribute] = []
    axes: list[Attribute] = []
    dropped: list[Item] = []
    axis = 0
    for subscript in node.subscripts:
        if isinstance(subscript, tree.Ellipsis):
            axis += rank - len(given)
            continue
        bounds = _bounds(subscript, evaluate, context)
        if bounds is None:
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
        arguments = [Given(None, i, node.span) for i in (result, starts, stops, axes, steps)]
        result = call_operation("slice", arguments, node.span, context)
    if dropped and not has_poison(result):
        result = call_operation("squeeze", [Given(None, i, node.span) for i in (result, dropped)], node.span, context)
    return result


def _bounds(
    subscript: tree.Subscript, evaluate: Callable[[tree.Expression], Item], context: Context
) -> tuple[Dim | None, Dim | None, int] | None:
    """Start, stop and step of one subscript; a single index is a slice of length one."""
    if isinstance(subscript, tree.Slice):
        items = [None if b is None else evaluate(b) for b in (subscript.start, subscript.stop, subscript.step)]
    elif isinstance(subscript, tree.Star):
        items = [None, None, None]
    else:
        assert not isinstance(subscript, tree.Ellipsis)
        at = evaluate(subscript)
        if has_poison(at):
            return None
        if isinstance(at, bool) or not isinstance(at, int | Dim):
            context.error(
                "E0228",
                subscript.span,
                f"a subscript is a whole number or a slice, not {describe(at)}",
                help="to pick by a tensor of indices, use `gather(x, indices, axis=0)`",
            )
            return None
        first = Dim.of(at)
        return first, (None if first.constant == -1 else first + 1), 1
    if any(has_poison(i) for i in items):
        return None
    start, stop, step = items
    if not all(i is None or (isinstance(i, int | Dim) and not isinstance(i, bool)) for i in (start, stop)):
        context.error("E0228", subscript.span, "the bounds of a slice are whole numbers")
        return None
    if step is not None and not (isinstance(step, int) and step > 0):
        context.error("E0228", subscript.span, "the step of a slice is a positive whole number", help="to reverse, use `flip`")
        return None
    low = None if start is None else Dim.of(start)  # type: ignore[arg-type]  # int or Dim, as was just checked
    high = None if stop is None else Dim.of(stop)  # type: ignore[arg-type]
    return low, high, step or 1
