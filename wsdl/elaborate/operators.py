"""`+ - * / // % ** @`, comparisons and logic: on constants and sizes when compiling, on tensors as operations."""

from __future__ import annotations

import operator
from collections.abc import Callable
from math import isfinite, isinf
from typing import Any

from wsdl.diagnostics import Label
from wsdl.elaborate.context import Context
from wsdl.elaborate.evaluate import evaluate
from wsdl.elaborate.items import POISON, ArgumentValue, Frame, Item, Layer, as_dim, describe, has_poison, one_of_results
from wsdl.elaborate.journal import Divided
from wsdl.elaborate.lists import of_lists
from wsdl.elaborate.operations import call_operation
from wsdl.elaborate.report import Remainder
from wsdl.elaborate.sizes import LARGEST, compared, simplest
from wsdl.ir.dims import Dim
from wsdl.ir.graph import Value
from wsdl.syntax import tree

OPERATIONS_OF_SIGNS = {
    "+": "add", "-": "sub", "*": "mul", "/": "div", "//": "floordiv", "%": "mod", "**": "pow", "@": "matmul",
    "==": "equal", "!=": "not_equal", "<": "less", "<=": "less_equal", ">": "greater", ">=": "greater_equal",
    "and": "logical_and", "or": "logical_or",
}  # fmt: skip

_ARITHMETIC: dict[str, Callable[[Any, Any], Any]] = {
    "+": operator.add, "-": operator.sub, "*": operator.mul, "/": operator.truediv, "//": operator.floordiv,
    "%": operator.mod, "**": operator.pow, "<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge,
}  # fmt: skip


def binary(node: tree.Binary, frame: Frame, context: Context) -> Item:
    """The value of `left operator right`."""
    left = evaluate(node.left, frame, context)
    if (node.operator == "and" and left is False) or (node.operator == "or" and left is True):
        return left  # `mask != none and …`: the right side may be invalid then
    right = evaluate(node.right, frame, context)
    return POISON if has_poison(left) or has_poison(right) else combined(node, left, right, frame, context)


def combined(node: tree.Binary, left: Item, right: Item, frame: Frame, context: Context) -> Item:
    """The value of an operator of two values."""
    sign = node.operator
    if sign in ("==", "!=") and (left is None or right is None):
        return (left is right) == (sign == "==")  # also of tensors, lists and sizes
    if isinstance(left, Value) or isinstance(right, Value):
        if sign not in OPERATIONS_OF_SIGNS:
            return _refuse(node, left, right, context)
        if not all(isinstance(i, Value | bool | int | float | Dim | list) for i in (left, right)):
            return _refuse(node, left, right, context)
        arguments = [ArgumentValue(None, left, node.left.span), ArgumentValue(None, right, node.right.span)]
        return call_operation(OPERATIONS_OF_SIGNS[sign], arguments, node.operator_span, context, sign)
    if sign in ("and", "or"):
        if isinstance(left, bool) and isinstance(right, bool):
            return (left and right) if sign == "and" else (left or right)
        return _refuse(node, left, right, context)
    if isinstance(left, list | tuple) or isinstance(right, list | tuple):
        result = of_lists(node, left, right, frame, context)
        return _refuse(node, left, right, context) if result is None else result
    if isinstance(left, Dim) or isinstance(right, Dim):
        return _on_sizes(node, left, right, context)
    if sign in ("==", "!="):
        return (left == right) == (sign == "==")
    if sign not in _ARITHMETIC or not (_is_number(left) and _is_number(right)):
        return _refuse(node, left, right, context)
    return _on_numbers(node, left, right, context)


def unary(node: tree.Unary, frame: Frame, context: Context) -> Item:
    """The value of `-x` and `not x`."""
    operand = evaluate(node.operand, frame, context)
    if has_poison(operand):
        return POISON
    if isinstance(operand, Value):
        name = "neg" if node.operator == "-" else "logical_not"
        return call_operation(
            name, [ArgumentValue(None, operand, node.operand.span)], node.span, context, node.operator
        )
    if node.operator == "not" and isinstance(operand, bool):
        return not operand
    if node.operator == "-" and isinstance(operand, int | float | Dim) and not isinstance(operand, bool):
        return -operand
    message = f"`{node.operator}` can't be applied to {describe(operand)}"
    context.error("E0406", node.span, message, labels=[Label(node.operand.span, describe(operand))])
    return POISON


def _is_number(item: Item) -> bool:
    return isinstance(item, int | float) and not isinstance(item, bool)


def _on_numbers(node: tree.Binary, left: Any, right: Any, context: Context) -> Item:
    if node.operator == "**" and abs(left) > 1 and abs(right) > 64:
        return _too_large(node, context)
    try:
        result = _ARITHMETIC[node.operator](left, right)
    except ZeroDivisionError:
        return _by_zero(node, left, right, context)
    except OverflowError:
        return _too_large(node, context)
    if node.operator == "//" and isinstance(result, int) and left % right:
        _remember_rest(node, left, right, context)
    if isinstance(result, int) and abs(result) >= LARGEST:
        return _too_large(node, context)
    if isinstance(result, float) and isinf(result) and isfinite(left) and isfinite(right):
        return _too_large(node, context)
    return result if not isinstance(result, complex) else _refuse(node, left, right, context)


def _by_zero(node: tree.Binary, left: Item, right: Item, context: Context) -> Item:
    """Report a division by zero; one in the standard library at the argument that is 0."""
    span, message, help = node.operator_span, "division by zero", None
    if isinstance(node.right, tree.Name):
        name = node.right.text
        message, help = f"division by zero: `{name}` is 0", f"give `{name}` another value"
        span = node.right.span if span.source.is_standard else span
    context.error("E0407", span, message, f"{left} {node.operator} {right}", help=help)
    return POISON


def _too_large(node: tree.Binary, context: Context) -> Item:
    context.error("E0417", node.span, "this number is too large", "doesn't fit into 64 bits")
    return POISON


def _remember_rest(node: tree.Binary, left: int, right: int, context: Context) -> None:
    """Record a division with a remainder, which is often the cause of a later shape error."""
    story = f"{left} // {right}, which leaves a remainder of {left % right}"
    context.note(Divided(Remainder(node.span, node.right.span, story, context.where.path)))


def _on_sizes(node: tree.Binary, left: Item, right: Item, context: Context) -> Item:
    """Arithmetic and comparison with a dynamic dimension."""
    sign = node.operator
    if left is None or right is None:
        return _refuse(node, left, right, context)
    a, b = (None if isinstance(i, float) else as_dim(i) for i in (left, right))
    if a is None or b is None:
        if sign in ("*", "/", "+", "-", "**") and all(isinstance(i, int | float | Dim) for i in (left, right)):
            arguments = [ArgumentValue(None, i, n.span) for i, n in ((left, node.left), (right, node.right))]
            for argument in arguments:  # a dynamic dimension times a fraction is computed at run time
                if isinstance(argument.item, Dim):
                    argument.item = context.builder.size(argument.item, context.where.dtype, argument.span)
            return call_operation(OPERATIONS_OF_SIGNS[sign], arguments, node.operator_span, context, sign)
        return _refuse(node, left, right, context)
    if sign in ("+", "-", "*", "//", "%"):
        try:
            return simplest(_ARITHMETIC[sign](a, b))
        except ZeroDivisionError:
            return _by_zero(node, left, right, context)
    if sign == "/":
        return simplest(a // b) if b.constant != 0 and (a % b).constant == 0 else _refuse(node, left, right, context)
    if sign == "**" and b.constant is not None and 0 <= b.constant <= 8:
        power = Dim.of(1)
        for _ in range(b.constant):
            power = power * a
        return simplest(power)
    return _compared(node, a, b, context)


def _compared(node: tree.Binary, a: Dim, b: Dim, context: Context) -> Item:
    if (answer := compared(node.operator, a, b)) is not None:
        return answer
    names = ", ".join(f"`{n}`" for n in sorted(a.names() | b.names()))
    context.error(
        "E0408",
        node.span,
        "the result of this comparison is not known when compiling",
        f"{names} {'are' if ',' in names else 'is'} known at run time only",
        labels=[Label(n.span, f"is {d}") for n, d in ((node.left, a), (node.right, b)) if n.span.text != str(d)],
        help=f"fix {names}, {', '.join(f'`--dim {n}=…`' for n in sorted(a.names() | b.names()))}, "
        "or choose between values with `where`",
    )
    return POISON


def _refuse(node: tree.Binary, left: Item, right: Item, context: Context) -> Item:
    layer = next((n for n, item in ((node.left, left), (node.right, right)) if isinstance(item, Layer)), None)
    results = one_of_results(left, node.left.span.text) or one_of_results(right, node.right.span.text)
    context.error(
        "E0406",
        node.operator_span,
        f"`{node.operator}` can't be applied to {describe(left)} and {describe(right)}",
        labels=[Label(node.left.span, describe(left)), Label(node.right.span, describe(right))],
        help=f"a layer is applied to a tensor first: `{layer.span.text}(x)`" if layer is not None else results,
    )
    return POISON
