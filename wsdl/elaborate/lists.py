"""Lists: `[a, b]`, comprehensions, `left + right`, `[0] * 3`, `x in list`, `left == right`."""

from __future__ import annotations

from collections.abc import Iterable

from wsdl.diagnostics import Label, limits
from wsdl.diagnostics.span import Span
from wsdl.elaborate.context import Context
from wsdl.elaborate.control import elements_of
from wsdl.elaborate.evaluate import evaluate
from wsdl.elaborate.items import POISON, Frame, Item, Layer, as_dim, as_int, describe
from wsdl.elaborate.layers import keep_repeated, layers_in_list
from wsdl.ir.dims import Dim, compare
from wsdl.ir.graph import Value
from wsdl.syntax import tree


def list_(node: tree.List | tree.Comprehension, frame: Frame, context: Context) -> Item:
    """The value of `[a, b]` and of `[2 * i for i in 0..4]`."""
    elements = elements_of(node, frame, context)
    if elements is None:
        return POISON
    if frame.owner is not None:
        return layers_in_list(elements, frame, context)
    return list_of([evaluate(element, frame, context) for element in elements], node.span, context)


def list_of(items: list[Item], span: Span, context: Context) -> Item:
    """A list, if it isn't too long: nested and doubled lists would soon exceed the memory."""
    elements, depth = _extent(items)
    if elements > limits.ELEMENTS or depth > limits.LIST_DEPTH:
        many = f"more than {limits.ELEMENTS:,} elements"
        context.error(
            "E0417",
            span,
            "this list is too large",
            many if elements > limits.ELEMENTS else f"lists nested {depth} deep",
        )
        return POISON
    context.budget.count(span, elements // 100)
    return items


def _extent(items: list[Item]) -> tuple[int, int]:
    """The number of elements of a list, with those of nested lists, and the depth of nesting."""
    inner = [_extent(item) for item in items if isinstance(item, list)]
    return len(items) + sum(elements for elements, _ in inner), 1 + max((depth for _, depth in inner), default=0)


_SEARCHES = ("in", "not in", "==", "!=")


def of_lists(node: tree.Binary, left: Item, right: Item, frame: Frame, context: Context) -> Item:
    """The value of an operator with a list on one side, which is no constant `none`; `None` if there is no such
    operator."""
    sign = node.operator
    if sign in _SEARCHES:
        context.budget.count(node.span, sum(_extent([side])[0] for side in (left, right)) // 100)
    try:
        if sign in ("in", "not in") and isinstance(right, list | tuple):
            return _known(_holds(right, left), sign == "in", node, context)
        if sign in ("==", "!="):
            return _known(equal(left, right), sign == "==", node, context)
    except _Unequaled:
        return None
    if sign == "+" and isinstance(left, list) and isinstance(right, list):
        return list_of(left + right, node.span, context)
    if sign == "*" and isinstance(left, list) and not isinstance(right, list | tuple):
        return _repeated(left, right, node, node.left, node.right, frame, context)
    if sign == "*" and isinstance(right, list) and not isinstance(left, list | tuple):
        return _repeated(right, left, node, node.right, node.left, frame, context)
    return None


# -- comparisons -------------------------------------------------------------------------------------------------------


_PLAIN = frozenset({bool, int, float, str, type(None)})  # constants that are equal where Python's `==` says so


class _Unequaled(Exception):
    """Tensors are no constants: whether two of them are equal is computed by the model."""


def equal(left: Item, right: Item) -> bool | None:
    """Whether two constants, lists of constants or layers are equal; `None` where only the run knows. Raises
    `_Unequaled` for tensors."""
    if isinstance(left, Value) or isinstance(right, Value):
        raise _Unequaled
    if isinstance(left, list | tuple) or isinstance(right, list | tuple):
        if not isinstance(left, list | tuple) or not isinstance(right, list | tuple) or len(left) != len(right):
            return False
        different = _any(_not(equal(a, b)) for a, b in zip(left, right, strict=True))
        return _not(different)
    if isinstance(left, Dim) or isinstance(right, Dim):
        a, b = as_dim(left), as_dim(right)
        if a is None or b is None:
            return False
        return {"equal": True, "different": False}.get(compare(a, b))
    return left is right or (isinstance(left, bool | int | float | str) and left == right)


def _holds(items: list[Item] | tuple[Item, ...], wanted: Item) -> bool | None:
    if type(wanted) in _PLAIN and _PLAIN.issuperset(map(type, items)):
        return wanted in items  # 20 times faster
    return _any(equal(wanted, item) for item in items)


def _not(answer: bool | None) -> bool | None:
    return None if answer is None else not answer


def _any(answers: Iterable[bool | None]) -> bool | None:
    """Whether one of the answers is true; `None` if none is, and one is not known."""
    known = list(answers)
    return True if True in known else None if None in known else False


def _known(answer: bool | None, wanted: bool, node: tree.Binary, context: Context) -> Item:
    if answer is not None:
        return answer == wanted
    context.error(
        "E0408",
        node.span,
        "the result of this comparison is not known when compiling",
        "sizes in it are known at run time only",
        help="fix them with `--dim`, or compare the sizes one by one in a `require`",
    )
    return POISON


# -- repetition --------------------------------------------------------------------------------------------------------


def _repeated(
    items: list[Item],
    times: Item,
    node: tree.Binary,
    written: tree.Expression,
    count: tree.Expression,
    frame: Frame,
    context: Context,
) -> Item:
    """`[0] * 3`. A layer that is written in the list would be one layer three times, or three: that is an error."""
    number = as_int(times)
    if number is None:
        context.error(
            "E0234",
            count.span,
            "a list is repeated an integer number of times, known when compiling",
            f"is {describe(times)}",
        )
        return POISON
    for item in items:
        if isinstance(item, Layer) and _is_inside(item.call_span, written.span):
            call, many = item.call_span.text, count.span.text
            context.error(
                "E0248",
                node.span,
                "a layer that is written in a list can't be repeated: its weights could be one set or several",
                labels=[Label(item.call_span, "one layer, written once")],
                help=f"for several layers write `[{call} for i in 0..{many}]`; for one that is applied several times, "
                f"`layer f = {call}`, then `[f] * {many}`",
                applied=False,
            )
            return POISON
    if _extent(items)[0] * number > limits.ELEMENTS:
        return list_of([None] * (limits.ELEMENTS + 1), node.span, context)
    if frame.owner is not None:
        context.budget.count(node.span, len(items) * max(number, 0))
        keep_repeated(items * max(number - 1, 0), frame, node.span)
    return list_of(items * number, node.span, context)


def _is_inside(span: Span, outer: Span) -> bool:
    return span.source is outer.source and outer.start <= span.start and span.end <= outer.end
