"""The paths in `share`, `freeze` and `load` as patterns: with evaluated indices, but not yet looked up."""

from __future__ import annotations

from collections.abc import Collection
from types import EllipsisType

from wsdl.diagnostics.suggest import nearest
from wsdl.elaborate.arguments import collected, match
from wsdl.elaborate.bound_names import VIEWS
from wsdl.elaborate.context import Context
from wsdl.elaborate.evaluate import evaluate
from wsdl.elaborate.items import ArgumentValue, Frame, has_poison
from wsdl.elaborate.kinds import INTS, LIMIT, Misfit
from wsdl.elaborate.operations import callee
from wsdl.ir.dims import Dim
from wsdl.ir.requests import (
    FreezeRequest,
    GroupRequest,
    LimitRequest,
    Mode,
    Part,
    PathPattern,
    Select,
    SelectAt,
    ViewCall,
    ViewStep,
)
from wsdl.ops import OPERATIONS
from wsdl.syntax import tree

LIMITS = ("params", "bytes", "macs")


class NoPath(Exception):
    """An expression that isn't a path, which has been reported."""


def path_pattern(node: tree.Expression, frame: Frame, context: Context) -> PathPattern:
    """A path such as `blocks[*].ffn.up.weight.T`."""
    steps = path_steps(node, frame, context)
    return PathPattern(tuple(step for step in steps if not isinstance(step, SelectAt)), node.span)


def path_steps(
    node: tree.Expression,
    frame: Frame,
    context: Context,
    start: tree.Expression | None = None,
    numbers: Collection[str] = (),
) -> list[Part | ViewStep]:
    """The steps of a path, or those behind a node that it starts with. `numbers` are dimensions of the frame that its
    indices and slices may depend on. Raises `NoPath` after reporting."""
    if node is start:
        return []
    if isinstance(node, tree.Name):
        return [Part(node.text, node.span)]
    if isinstance(node, tree.Call) and isinstance(node.function, tree.Field) and node.function.name.text in VIEWS[1:]:
        steps = path_steps(node.function.object, frame, context, start, numbers)
        return [*steps, _view_call(node, node.function.name, frame, context)]
    if isinstance(node, tree.Field):
        steps, name = path_steps(node.object, frame, context, start, numbers), node.name
        return [*steps, ViewCall("T", (), name.span) if name.text == "T" else Part(name.text, name.span)]
    if isinstance(node, tree.Index):
        steps = path_steps(node.object, frame, context, start, numbers)
        return [*steps, _select(node, frame, context, numbers)]
    context.error(
        "E0318",
        node.span,
        "this isn't a path of a layer or parameter",
        "not a path",
        help="write, for example, `blocks[*].ffn.up.weight` or `decode.weight.T`",
    )
    raise NoPath


def path_or_none(node: tree.Expression, frame: Frame, context: Context) -> PathPattern | None:
    """The same; `None` after reporting that an expression isn't a path."""
    try:
        return path_pattern(node, frame, context)
    except NoPath:
        return None


def group_request(node: tree.Share, frame: Frame, context: Context) -> GroupRequest | None:
    """One `share` group; `None` if a member isn't a path."""
    try:
        members = tuple(path_pattern(m, frame, context) for m in node.members)
        exceptions = tuple(path_pattern(e, frame, context) for e in node.exceptions)
    except NoPath:
        return None
    name = frame.layer.below(node.name.text) if node.name else ""
    name_span = node.name.span if node.name else None
    return GroupRequest(name, members, exceptions, frame.layer.module.path, node.span, name_span)


def freeze_request(node: tree.Freeze, frame: Frame, context: Context) -> FreezeRequest | None:
    """`freeze encoder, head.bias eval`."""
    try:
        paths = tuple(path_pattern(p, frame, context) for p in node.paths)
    except NoPath:
        return None
    mode: Mode | None = None
    if node.mode is not None:
        mode = "eval" if node.mode.text == "eval" else "train"
    return FreezeRequest(paths, frame.layer.module.path, mode)


def limit_request(node: tree.Limit, frame: Frame, context: Context) -> LimitRequest | None:
    """`limit params 100_000`."""
    value = evaluate(node.value, frame, context)
    if node.kind.text not in LIMITS:
        near = {"parameters": "params", "weights": "params", "size": "bytes", "flops": "macs"}.get(node.kind.text)
        near = near or nearest(node.kind.text, LIMITS)
        context.error(
            "E0217",
            node.kind.span,
            f"there is no limit on `{node.kind.text}`",
            help=f"the limits are {', '.join(LIMITS)}",
            near=near,
        )
    elif not has_poison(value):
        try:
            return LimitRequest(node.kind.text, LIMIT.fit(value), frame.layer.module.path, node.span)
        except Misfit as misfit:
            context.error("E0225", node.value.span, f"`limit {node.kind.text}` {misfit}")
    return None


def _view_call(node: tree.Call, name: tree.Name, frame: Frame, context: Context) -> ViewCall:
    operation = OPERATIONS[name.text]
    given = [ArgumentValue(a.name, evaluate(a.value, frame, context), a.value.span) for a in node.arguments]
    given = collected([ArgumentValue(None, None, node.function.span), *given], 2, into_list=True, single=False)
    bound, complete = match(callee(operation, given), given, node.span, context)
    if not complete:
        raise NoPath
    parameter = operation.parameters[1].name
    arguments = bound[parameter]
    if has_poison(arguments.item):
        raise NoPath
    try:
        return ViewCall(name.text, tuple(INTS.fit(arguments.item)), name.span.to(node.span))
    except Misfit as misfit:
        context.error("E0330", arguments.span, f"`{parameter}` of `{name.text}` {misfit}")
        raise NoPath from None


def _select(node: tree.Index, frame: Frame, context: Context, numbers: Collection[str]) -> Select | SelectAt:
    subscripts: list[int | Dim | slice | EllipsisType] = []
    for subscript in node.subscripts:
        if isinstance(subscript, tree.Star):
            subscripts.append(slice(None))
        elif isinstance(subscript, tree.Ellipsis):
            subscripts.append(...)
        elif isinstance(subscript, tree.Slice):
            step = None if subscript.step is None else _number(subscript.step, frame, context)
            if step == 0:
                context.error("E0330", subscript.span, "the step of a slice can't be 0")
                raise NoPath
            start, stop = (
                None if bound is None else _number(bound, frame, context, numbers)
                for bound in (subscript.start, subscript.stop)
            )
            subscripts.append(slice(start, stop, step))
        else:
            subscripts.append(_number(subscript, frame, context, numbers))
    at = SelectAt(tuple(subscripts), node.span)
    return at if at.names() else at.at({})


def _number(node: tree.Expression, frame: Frame, context: Context, numbers: Collection[str] = ()) -> int | Dim:
    at = evaluate(node, frame, context)
    if isinstance(at, Dim) and at.names() <= {*numbers}:
        return at if at.constant is None else at.constant
    if isinstance(at, int) and not isinstance(at, bool):
        return at
    if not has_poison(at):
        message = "an index in a path must be an integer, a slice or `*`, known when compiling"
        context.error("E0330", node.span, message)
    raise NoPath
