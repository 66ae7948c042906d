"""`optimizer AdamW(lr=cosine(1e-3, warmup=100))`: checks names and arguments by the tables of `wsdl/ir/training.py`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from wsdl.diagnostics.suggest import nearest
from wsdl.elaborate.arguments import Callee, Wording, match
from wsdl.elaborate.context import Context
from wsdl.elaborate.evaluate import evaluate
from wsdl.elaborate.items import Frame, has_poison
from wsdl.elaborate.kinds import NONE, OPTIONS, Misfit, either
from wsdl.ir.training import COMMON, OPTIMIZERS, SCHEDULES, Optimizer, Option, Schedule
from wsdl.syntax import tree

_IN_RANGE = {
    "more than 0": lambda x: x > 0,
    "at least 0": lambda x: x >= 0,
    "from 0 up to, but not including, 1": lambda x: 0 <= x < 1,
}


class _InvalidOption(Exception):
    """An invalid option, which has been reported."""


def optimizer_of(node: tree.Optimizer, frame: Frame, context: Context) -> Optimizer | None:
    """The optimizer of a statement, with all its options; `None` after reporting an error."""
    name = node.call.function
    assert isinstance(name, tree.Name)
    if name.text not in OPTIMIZERS:
        near = nearest(name.text, OPTIMIZERS)
        context.error(
            "E0809",
            name.span,
            f"there is no optimizer `{name.text}`",
            help=f"the optimizers are {', '.join(OPTIMIZERS)}",
            near=near,
        )
        return None
    options = (*OPTIMIZERS[name.text], *COMMON)
    try:
        arguments = _arguments(node.call, options, frame, context)
        if arguments.get("nesterov") and not arguments["momentum"]:
            blamed = next(a for a in node.call.arguments if a.name is None or a.name.text == "nesterov")
            context.error("E0812", blamed.span, "`nesterov` requires a momentum", help="add `momentum=0.9`")
            return None
    except _InvalidOption:
        return None
    lr = arguments.pop("lr")
    return Optimizer(name.text, lr if isinstance(lr, Schedule) else _constant(lr), arguments, node.span)


def rate_of(node: tree.Expression, frame: Frame, context: Context) -> Schedule | float | None:
    """A learning rate: a schedule, or a number; `None` after reporting an error."""
    try:
        rate: Schedule | float = _value(Option("lr", "rate"), node, "`lr`", frame, context)
    except _InvalidOption:
        return None
    return rate


def _constant(lr: float) -> Schedule:
    return Schedule("constant", {"lr": lr})


def _arguments(call: tree.Call, options: Sequence[Option], frame: Frame, context: Context) -> dict[str, Any]:
    """All options by name, including defaults. Raises `_InvalidOption` after reporting."""
    what = call.function.span.text
    bound, complete = match(_callee(call, options), call.arguments, call.span, context)
    by_name = {option.name: option for option in options}
    values = {option.name: option.default for option in options}
    for name, argument in bound.items():
        try:
            values[name] = _value(by_name[name], argument.value, f"`{name}` of `{what}`", frame, context)
        except _InvalidOption:
            complete = False
    if not complete:
        raise _InvalidOption
    return values


def _callee(call: tree.Call, options: Sequence[Option]) -> Callee:
    required = [o.name for o in options if o.required]

    def wording() -> Wording:
        what = f"`{call.function.span.text}`"
        return Wording(
            what,
            f"{what} takes {', '.join(f'`{o.name}`' for o in options)}",
            codes=("E0810", "E0810", "E0811"),
            missing={name: f"for example `{_example(call, name)}`" for name in required},
        )

    return Callee([o.name for o in options], required, wording)


def _example(call: tree.Call, missing: str) -> str:
    value = {"lr": "1e-3", "every": "1_000"}[missing]
    arguments = [a.span.text for a in call.arguments]
    at = 0 if missing == "lr" and all(a.name is not None for a in call.arguments) else len(arguments)
    return f"{call.function.span.text}({', '.join([*arguments[:at], f'{missing}={value}', *arguments[at:]])})"


def _value(option: Option, node: tree.Expression, what: str, frame: Frame, context: Context) -> Any:
    """The value of an option. Raises `_InvalidOption` after reporting."""
    if option.kind == "rate" and isinstance(node, tree.Call) and isinstance(node.function, tree.Name):
        return _schedule(node, node.function, frame, context)
    item = evaluate(node, frame, context)
    if has_poison(item):
        raise _InvalidOption
    kind = OPTIONS[option.kind]
    try:
        value = (either(kind, NONE) if option.default is None else kind).fit(item)
    except Misfit as misfit:
        context.error("E0812", node.span, f"{what} {misfit}")
        raise _InvalidOption from None
    values = value if isinstance(value, list) else [value]
    if value is not None and option.kind != "switch" and not all(map(_IN_RANGE[option.range], values)):
        context.error("E0812", node.span, f"{what} is {option.range}", f"is {node.span.text}")
        raise _InvalidOption
    return value


def _schedule(call: tree.Call, name: tree.Name, frame: Frame, context: Context) -> Schedule:
    if name.text not in SCHEDULES:
        near = nearest(name.text, SCHEDULES)
        context.error(
            "E0813",
            name.span,
            f"there is no schedule `{name.text}`",
            help=f"a learning rate is a number or one of {', '.join(SCHEDULES)}: `cosine(1e-3, warmup=100)`",
            near=near,
        )
        raise _InvalidOption
    return Schedule(name.text, _arguments(call, SCHEDULES[name.text], frame, context))
