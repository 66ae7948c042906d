"""`require condition, "message"`: decided when compiling where that is possible, otherwise checked in each run."""

from __future__ import annotations

from wsdl.elaborate.bound_names import BUILTINS, names_of
from wsdl.elaborate.context import Context
from wsdl.elaborate.evaluate import evaluate
from wsdl.elaborate.items import POISON, ArgumentValue, Frame, Item, RunTimeCheck, as_dim, describe, has_poison
from wsdl.elaborate.operators import combined
from wsdl.elaborate.sizes import compared
from wsdl.ir.dims import Dim
from wsdl.ir.graph import Value
from wsdl.syntax import tree


def require(node: tree.Require, frame: Frame, context: Context) -> None:
    for condition in _conjuncts(node.condition):
        if not _is_met(condition, node, frame, context):
            context.mark_incomplete()
            if frame.layer is not context.root:
                frame.results = [ArgumentValue(None, POISON, node.span)]  # what follows depends on it
            return


def _conjuncts(node: tree.Expression) -> list[tree.Expression]:
    """The parts of `a and b`."""
    if isinstance(node, tree.Binary) and node.operator == "and":
        return [*_conjuncts(node.left), *_conjuncts(node.right)]
    return [node]


def _is_met(condition: tree.Expression, node: tree.Require, frame: Frame, context: Context) -> bool:
    """`False` after reporting that a condition is not met, or not known."""
    if isinstance(condition, tree.Binary):
        left, right = evaluate(condition.left, frame, context), evaluate(condition.right, frame, context)
        check = _for_run_time(condition.operator, left, right, node, frame, context)
        if check is not None and frame.checks is not None:
            frame.checks.append(check)
            context.builder.compared |= {(str(a), str(b)) for a, b in ((left, right), (right, left))}
            return True
        poisoned = has_poison(left) or has_poison(right)
        item = POISON if poisoned else combined(condition, left, right, frame, context)
    else:
        item = evaluate(condition, frame, context)
    if item is True or has_poison(item):
        return item is True
    if item is False:
        _report_not_met(node, frame, context)
        return False
    context.error(
        "E0411",
        node.condition.span,
        "the condition of a `require` must be `true` or `false` when compiling",
        f"is {describe(item)}",
        help="it is about constants and sizes, not about the values of tensors" if isinstance(item, Value) else None,
    )
    return False


def _for_run_time(
    sign: str, left: Item, right: Item, node: tree.Require, frame: Frame, context: Context
) -> RunTimeCheck | None:
    """The check of a comparison of sizes that only the run knows; `None` for any other condition."""
    if not (isinstance(left, Dim) or isinstance(right, Dim)):
        return None
    a, b = as_dim(left), as_dim(right)
    if a is None or b is None or compared(sign, a, b) is not None:
        return None
    if len(context.builder.graphs) > 1 and not (a.names() | b.names()) <= context.builder.sizes.keys():
        return None  # a size that is computed in each step of a scan
    relations = {
        "==": ("equal", a, b),
        "!=": ("different", a, b),
        ">=": ("at least", a, b),
        "<=": ("at least", b, a),
        ">": ("at least", a, b + 1),
        "<": ("at least", b, a + 1),
    }
    if sign not in relations:
        return None
    return RunTimeCheck(*relations[sign], _message(node), node.condition.span)


def _message(node: tree.Require) -> str:
    return node.message.value if node.message else f"`{node.condition.span.text}` is required"


def _report_not_met(node: tree.Require, frame: Frame, context: Context) -> None:
    written = (name for name in names_of(node.condition) if name.text not in BUILTINS)
    names = {name.text: evaluate(name, frame, context) for name in written}
    numbers = {name: item for name, item in names.items() if isinstance(item, int | float | Dim)}
    context.error(
        "E0420",
        node.condition.span,
        _message(node),
        ", ".join(f"`{name}` is {describe(item).removeprefix('the number ')}" for name, item in numbers.items()),
    )
