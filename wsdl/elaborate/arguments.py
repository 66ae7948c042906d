"""Matches arguments with parameters: of operations, blocks, layers, optimizers, schedules, initializers.

Arguments are matched by name, otherwise by position. Each argument without a parameter is reported; if there is none,
the missing ones are. With too many positional arguments, only that is reported, since the matching is uncertain.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol, TypeVar

from wsdl.diagnostics import Label
from wsdl.diagnostics.span import Span
from wsdl.diagnostics.suggest import nearest
from wsdl.elaborate.context import Context
from wsdl.elaborate.items import ArgumentValue
from wsdl.ir.graph import Value
from wsdl.syntax import tree


class Argument(Protocol):
    """`tree.Argument`, or `ArgumentValue` with its value."""

    @property
    def name(self) -> tree.Name | None: ...

    @property
    def span(self) -> Span: ...


A = TypeVar("A", bound=Argument)


@dataclass(eq=False)
class Wording:
    """The texts of messages about a callee: "`Dense` is created with 2 arguments, not 3".

    `signature` is the default help; more specific ones are `surplus`, `twice`, and by parameter name `unknown` and
    `missing`. `others` maps names from other frameworks to parameters; `codes` are those of an unknown argument, of too
    many, and of a missing one.
    """

    name: str
    signature: str
    noun: str = "argument"
    takes: str = "takes"
    codes: tuple[str, str, str] = ("E0221", "E0222", "E0224")
    labels: Sequence[Label] = ()
    others: Mapping[str, str] = field(default_factory=dict)
    surplus: str | None = None
    unknown: Mapping[str, str] = field(default_factory=dict)
    twice: str | None = None
    missing: Mapping[str, str] = field(default_factory=dict)


class Callee(NamedTuple):
    """A callee: its parameters in order, those without a default, and the texts for messages, computed on demand."""

    parameters: Sequence[str]
    required: Collection[str]
    wording: Callable[[], Wording]


def match(callee: Callee, arguments: Sequence[A], span: Span, context: Context) -> tuple[dict[str, A], bool]:
    """The arguments of a call at `span` by parameter, and whether there was no error."""
    positional = [argument for argument in arguments if argument.name is None]
    if len(positional) > len(callee.parameters):
        _report_surplus(callee, positional, context)
        return {}, False
    bound: dict[str, A] = {}
    complete = True
    in_order = iter(callee.parameters)
    for argument in arguments:
        name = next(in_order) if argument.name is None else _named(callee, argument.name, context)
        if name is not None and name in bound:
            _report_twice(callee, name, argument, bound[name], context)
        elif name is not None:
            bound[name] = argument
            continue
        complete = False
    missing = [name for name in callee.required if name not in bound]
    if missing and complete:
        complete = False
        _report_missing(callee, missing, span, context)
    return bound, complete


def collected(arguments: list[ArgumentValue], count: int, into_list: bool, single: bool) -> list[ArgumentValue]:
    """Positional arguments, with those from the last of `count` parameters on collected into a list: `x.reshape(2, 3)`
    is `x.reshape([2, 3])`. With `single`, a single tensor becomes a list of one."""
    if not into_list:
        return arguments
    positional = [argument for argument in arguments if argument.name is None]
    rest = positional[count - 1 :]
    alone = single and len(rest) == 1 and isinstance(rest[0].item, Value)
    if len(rest) < 2 and not alone:
        return arguments
    together = ArgumentValue(None, [argument.item for argument in rest], rest[0].span.to(rest[-1].span))
    return [*positional[: count - 1], together, *(argument for argument in arguments if argument.name is not None)]


def _named(callee: Callee, name: tree.Name, context: Context) -> str | None:
    """The parameter of this name; `None` after reporting that there is none."""
    if name.text in callee.parameters:
        return name.text
    wording = callee.wording()
    advice, other = wording.unknown.get(name.text), wording.others.get(name.text)
    near = other if other in callee.parameters else nearest(name.text, callee.parameters) if advice is None else None
    context.error(
        wording.codes[0],
        name.span,
        f"{wording.name} has no {wording.noun} `{name.text}`",
        labels=wording.labels,
        help=advice or wording.signature,
        near=near,
        applied=False,
    )
    return None


def _report_surplus(callee: Callee, positional: Sequence[Argument], context: Context) -> None:
    count, wording = len(callee.parameters), callee.wording()
    context.error(
        wording.codes[1],
        positional[count].span,
        f"{wording.name} {wording.takes} {count or 'no'} {wording.noun}{'s' if count != 1 else ''}, "
        f"not {len(positional)}",
        "one too many",
        labels=wording.labels,
        help=wording.surplus or wording.signature,
        applied=False,
    )


def _report_twice(callee: Callee, name: str, argument: Argument, first: Argument, context: Context) -> None:
    context.error(
        "E0223",
        argument.name.span if argument.name is not None else argument.span,
        f"`{name}` occurs twice",
        "given again",
        labels=[Label(first.span, "given first")],
        help=callee.wording().twice,
        applied=False,
    )


def _report_missing(callee: Callee, missing: Sequence[str], span: Span, context: Context) -> None:
    wording = callee.wording()
    names = " and ".join(f"`{name}`" for name in missing)
    what = "" if wording.noun == "argument" else f"the {wording.noun}{'s' if len(missing) > 1 else ''} "
    context.error(
        wording.codes[2],
        span,
        f"{wording.name} needs {what}{names}",
        f"{names} {'is' if len(missing) == 1 else 'are'} missing",
        labels=wording.labels,
        help=wording.missing.get(missing[0], wording.signature),
        applied=False,
    )
