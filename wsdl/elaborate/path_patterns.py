"""The paths in `share`, `freeze` and `load` as patterns: with evaluated indices, but not yet looked up."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress

from wsdl.diagnostics.suggest import nearest
from wsdl.elaborate.arguments import collected, match
from wsdl.elaborate.bound_names import VIEWS, names_of
from wsdl.elaborate.context import Context
from wsdl.elaborate.evaluate import evaluate
from wsdl.elaborate.items import ArgumentValue, Frame, has_poison
from wsdl.elaborate.kinds import INTS, LIMIT, SHARE, Misfit
from wsdl.elaborate.operations import callee
from wsdl.ir.requests import (
    PLACEHOLDER,
    At,
    Fit,
    FreezeRequest,
    GroupRequest,
    LimitRequest,
    LoadMapping,
    LoadRequest,
    Mode,
    Part,
    PathPattern,
    Select,
    ViewCall,
)
from wsdl.ops import OPERATIONS
from wsdl.syntax import tree

LIMITS = ("params", "bytes", "macs")


class _NoPath(Exception):
    """An expression that isn't a path, which has been reported."""


def path_pattern(node: tree.Expression, frame: Frame, context: Context) -> PathPattern:
    """A path such as `blocks[*].ffn.up.weight.T`."""
    steps: list[Part | Select | ViewCall] = []
    _walk(node, steps, frame, context)
    return PathPattern(tuple(steps), node.span)


def path_or_none(node: tree.Expression, frame: Frame, context: Context) -> PathPattern | None:
    """The same; `None` after reporting that an expression isn't a path."""
    try:
        return path_pattern(node, frame, context)
    except _NoPath:
        return None


def group_request(node: tree.Share, frame: Frame, context: Context) -> GroupRequest | None:
    """One `share` group; `None` if a member isn't a path."""
    try:
        members = tuple(path_pattern(m, frame, context) for m in node.members)
        exceptions = tuple(path_pattern(e, frame, context) for e in node.exceptions)
    except _NoPath:
        return None
    name = frame.layer.below(node.name.text) if node.name else ""
    name_span = node.name.span if node.name else None
    return GroupRequest(name, members, exceptions, frame.layer.module.path, node.span, name_span)


def freeze_request(node: tree.Freeze, frame: Frame, context: Context) -> FreezeRequest | None:
    """`freeze encoder, head.bias eval`."""
    try:
        paths = tuple(path_pattern(p, frame, context) for p in node.paths)
    except _NoPath:
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


def load_request(node: tree.Load, frame: Frame, context: Context) -> LoadRequest | None:
    """`load "x.safetensors" into encoder { … }`. The target is looked up later; the mappings stay templates."""
    try:
        target = path_pattern(node.target, frame, context)
    except _NoPath:
        return None
    mappings = []
    for mapping in node.mappings:
        with suppress(_NoPath):
            mappings.append(_mapping(mapping, frame, context))
    base, fit = frame.layer.module.path, None if node.fit is None else _fit(node.fit, frame, context)
    files, span = tuple(file.value for file in node.files), node.files[0].span.to(node.files[-1].span)
    at = None if node.at is None else At(node.at.value, node.at.span)
    return LoadRequest(files, span, target, base, tuple(mappings), node.span, fit, at)


def _fit(node: tree.Expression, frame: Frame, context: Context) -> Fit | None:
    """The number behind `fit`."""
    value = evaluate(node, frame, context)
    if not has_poison(value):
        try:
            return Fit(SHARE.fit(value), node.span)
        except Misfit as misfit:
            help = "0.2 lets each parameter lose a fifth of its norm; without `fit` values must be met exactly"
            context.error("E0225", node.span, f"`fit` {misfit}", help=help)
    return None


def _mapping(node: tree.Mapping, frame: Frame, context: Context) -> LoadMapping:
    """A line of a table: the path of its target, and the views behind it, which are equal for all tensors."""
    path, views = node.target, list[Select | ViewCall]()
    while _is_view(path):
        if isinstance(path, tree.Call) and isinstance(path.function, tree.Field):
            views.insert(0, _view_call(path, path.function.name, frame, context))
            path = path.function.object
        elif isinstance(path, tree.Field):
            views.insert(0, ViewCall("T", (), path.name.span))
            path = path.object
        elif isinstance(path, tree.Index):
            views.insert(0, _select(path, frame, context))
            path = path.object
    placeholders = set(PLACEHOLDER.findall(node.pattern.value))

    def number_of(name: tree.Name) -> int | None:
        """A constant of the program in an index."""
        if name.text in placeholders or not (name.text in frame.names or frame.scope.find(name.text)):
            return None
        item = evaluate(name, frame, context)
        return item if isinstance(item, int) else None

    template = _template(path, number_of, context)
    return LoadMapping(node.pattern.value, template, tuple(views), node.span, path.span)


def _is_view(node: tree.Expression) -> bool:
    """Whether a node is a view; an index in brackets is one only behind another view, otherwise it may select a
    layer."""
    if isinstance(node, tree.Index):
        return not _is_number(node.subscripts) or _is_view(node.object)
    if isinstance(node, tree.Call):
        return isinstance(node.function, tree.Field) and node.function.name.text in VIEWS[1:]
    return isinstance(node, tree.Field) and node.name.text == "T"


def _template(node: tree.Expression, number_of: Callable[[tree.Name], int | None], context: Context) -> str:
    """The path of a target as text, with constants in indices replaced by numbers."""
    if isinstance(node, tree.Field):
        return f"{_template(node.object, number_of, context)}.{node.name.text}"
    if not isinstance(node, tree.Index):
        return node.span.text
    if not _is_number(node.subscripts):
        context.error(
            "E0505",
            node.span,
            "a tensor of the file fills one parameter, but this selects several",
            "several layers",
            help="write `[i]`, and `{i}` in place of the number in the names of the file",
        )
        raise _NoPath
    [subscript] = node.subscripts
    text, start = subscript.span.text, subscript.span.start
    for name in reversed(names_of(subscript)):
        if (number := number_of(name)) is not None:
            text = text[: name.span.start - start] + str(number) + text[name.span.end - start :]
    return f"{_template(node.object, number_of, context)}[{text}]"


def _is_number(subscripts: tuple[tree.Subscript, ...]) -> bool:
    return len(subscripts) == 1 and not isinstance(subscripts[0], tree.Slice | tree.Star | tree.Ellipsis)


def _walk(node: tree.Expression, steps: list[Part | Select | ViewCall], frame: Frame, context: Context) -> None:
    if isinstance(node, tree.Name):
        steps.append(Part(node.text, node.span))
        return
    if isinstance(node, tree.Call) and isinstance(node.function, tree.Field) and node.function.name.text in VIEWS[1:]:
        _walk(node.function.object, steps, frame, context)
        steps.append(_view_call(node, node.function.name, frame, context))
        return
    if isinstance(node, tree.Field):
        _walk(node.object, steps, frame, context)
        name = node.name
        steps.append(ViewCall("T", (), name.span) if name.text == "T" else Part(name.text, name.span))
        return
    if isinstance(node, tree.Index):
        _walk(node.object, steps, frame, context)
        steps.append(_select(node, frame, context))
        return
    context.error(
        "E0318",
        node.span,
        "this isn't a path of a layer or parameter",
        "not a path",
        help="write, for example, `blocks[*].ffn.up.weight` or `decode.weight.T`",
    )
    raise _NoPath


def _view_call(node: tree.Call, name: tree.Name, frame: Frame, context: Context) -> ViewCall:
    operation = OPERATIONS[name.text]
    given = [ArgumentValue(a.name, evaluate(a.value, frame, context), a.value.span) for a in node.arguments]
    given = collected([ArgumentValue(None, None, node.function.span), *given], 2, into_list=True, single=False)
    bound, complete = match(callee(operation, given), given, node.span, context)
    if not complete:
        raise _NoPath
    parameter = operation.parameters[1].name
    arguments = bound[parameter]
    if has_poison(arguments.item):
        raise _NoPath
    try:
        return ViewCall(name.text, tuple(INTS.fit(arguments.item)), name.span.to(node.span))
    except Misfit as misfit:
        context.error("E0330", arguments.span, f"`{parameter}` of `{name.text}` {misfit}")
        raise _NoPath from None


def _select(node: tree.Index, frame: Frame, context: Context) -> Select:
    subscripts: list[int | slice] = []
    for subscript in node.subscripts:
        if isinstance(subscript, tree.Star):
            subscripts.append(slice(None))
            continue
        if isinstance(subscript, tree.Slice):
            bounds = [
                None if b is None else evaluate(b, frame, context)
                for b in (subscript.start, subscript.stop, subscript.step)
            ]
            if has_poison(bounds):
                raise _NoPath
            if all(b is None or isinstance(b, int) for b in bounds):
                if bounds[2] == 0:
                    context.error("E0330", subscript.span, "the step of a slice can't be 0")
                    raise _NoPath
                subscripts.append(slice(*bounds))
                continue
        elif not isinstance(subscript, tree.Ellipsis):
            at = evaluate(subscript, frame, context)
            if isinstance(at, int) and not isinstance(at, bool):
                subscripts.append(at)
                continue
            if has_poison(at):
                raise _NoPath
        message = "an index in a path must be an integer, a slice or `*`, known when compiling"
        context.error("E0330", subscript.span, message)
        raise _NoPath
    return Select(tuple(subscripts), node.span)
