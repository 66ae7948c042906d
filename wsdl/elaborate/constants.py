"""Functions of constants, computed when compiling: `floor(8 * 0.3)`, `max(1, width // 4)`.

They have the names of operations, which compute the same of tensors. A function of numbers alone is a number.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from wsdl.diagnostics.span import Span
from wsdl.elaborate.context import Context
from wsdl.elaborate.items import POISON, ArgumentValue, Item, as_dim, describe
from wsdl.elaborate.sizes import LARGEST, compared, simplest
from wsdl.ir.dims import Dim

# Of one number. `floor`, `ceil` and `round` are integers; `round` takes halves to the even neighbour.
_OF_ONE: dict[str, Callable[[float], int | float]] = {
    "floor": math.floor, "ceil": math.ceil, "round": round, "abs": abs,
    "sqrt": math.sqrt, "exp": math.exp, "log": math.log,
}  # fmt: skip
_EXTREMES = {"max": True, "min": False, "maximum": True, "minimum": False}


def is_constant(name: str, arguments: Sequence[ArgumentValue]) -> bool:
    """Whether a call is that of a function of constants, which `constant` computes."""
    if any(argument.name is not None for argument in arguments):
        return False
    if name in _OF_ONE:
        return len(arguments) == 1 and _is_number(arguments[0].item)
    numbers = _numbers(arguments)
    return name in _EXTREMES and len(numbers) > 1 and all(_is_number(n) or isinstance(n, Dim) for n in numbers)


def constant(name: str, arguments: Sequence[ArgumentValue], span: Span, context: Context) -> Item:
    """The value of a function of constants; poison after reporting an error."""
    numbers = _numbers(arguments)
    context.budget.count(span, len(numbers) // 100)
    if name in _EXTREMES:
        return _extreme(numbers, _EXTREMES[name], span, context)
    [number] = numbers
    assert isinstance(number, int | float)
    try:
        result = _OF_ONE[name](number)
    except ValueError:
        argument = arguments[0].span
        label = f"`{argument.text}` is {number}" if argument.text != str(number) else ""
        context.error("E0423", span, f"`{name}` of {number} is not a number", label)
        return POISON
    except OverflowError:
        result = LARGEST
    if isinstance(result, int) and abs(result) >= LARGEST:
        context.error("E0417", span, "this number is too large", "doesn't fit into 64 bits")
        return POISON
    return result


def _extreme(numbers: Sequence[Item], largest: bool, span: Span, context: Context) -> Item:
    best, *rest = numbers
    for number in rest:
        a, b = (number, best) if largest else (best, number)
        better = _at_least(a, b)
        if better is None:
            names = sorted({name for item in (a, b) if isinstance(item, Dim) for name in item.names()})
            context.error(
                "E0408",
                span,
                f"which of {describe(a)} and {describe(b)} is larger is not known when compiling",
                help=f"fix {', '.join(f'`--dim {name}=…`' for name in names)}, or compute with tensors: "
                f"`{'maximum' if largest else 'minimum'}` of a tensor and a size",
            )
            return POISON
        best = number if better else best
    return simplest(best) if isinstance(best, Dim) else best


def _at_least(a: Item, b: Item) -> bool | None:
    """Whether a >= b, for numbers and sizes; `None` where only the run knows."""
    if isinstance(a, Dim) or isinstance(b, Dim):
        left, right = as_dim(a), as_dim(b)
        return None if left is None or right is None else compared(">=", left, right)
    return bool(a >= b)  # type: ignore[operator]  # numbers, as `is_constant` has seen


def _numbers(arguments: Sequence[ArgumentValue]) -> list[Item]:
    """The arguments, or the elements of the list that is the only one."""
    items = [argument.item for argument in arguments]
    return items[0] if len(items) == 1 and isinstance(items[0], list) else items


def _is_number(item: Item) -> bool:
    return isinstance(item, int | float) and not isinstance(item, bool)
