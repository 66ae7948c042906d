"""`load` statements as requests: the paths with evaluated indices, the names in the file as patterns."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace

from wsdl.elaborate.bound_names import names_in_indices
from wsdl.elaborate.context import Context
from wsdl.elaborate.evaluate import evaluate
from wsdl.elaborate.items import Frame, has_poison
from wsdl.elaborate.kinds import SHARE, Misfit
from wsdl.elaborate.path_patterns import NoPath, path_pattern, path_steps
from wsdl.ir.dims import Dim
from wsdl.ir.requests import PLACEHOLDER, At, Fit, IgnoredNames, LoadMapping, LoadRequest, Part
from wsdl.syntax import tree


def load_request(node: tree.Load, frame: Frame, context: Context) -> LoadRequest | None:
    """A `load`; `None` after reporting that its target or an exception isn't a path. They are looked up later."""
    try:
        target = path_pattern(node.target, frame, context)
        exceptions = tuple(path_pattern(path, frame, context) for path in node.exceptions)
    except NoPath:
        return None
    mappings: list[LoadMapping] = []
    for line in node.mappings:
        with suppress(NoPath):
            mappings.append(_mapping(line, frame, context))
    patterns = [pattern for line in node.table if isinstance(line, tree.Ignore) for pattern in line.patterns]
    return LoadRequest(
        tuple(file.value for file in node.files),
        node.files[0].span.to(node.files[-1].span),
        target,
        frame.layer.module.path,
        tuple(mappings),
        node.span,
        exceptions,
        tuple(IgnoredNames(pattern.value, pattern.span) for pattern in patterns),
        None if node.fit is None else _fit(node.fit, frame, context),
        None if node.at is None else At(node.at.value, node.at.span),
    )


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
    """A line of a table. Names in its indices that aren't constants of the program are placeholders."""
    pattern = _pattern(node.source)
    placeholders = {name for name, _ in PLACEHOLDER.findall(pattern.value)}
    for name in (*names_in_indices(node.source), *names_in_indices(node.target)):
        if name.text not in frame.names and not frame.scope.find(name.text):
            placeholders.add(name.text)
    frame = replace(frame, names={**frame.names, **{name: Dim.symbol(name) for name in placeholders}})
    views = path_steps(node.source, frame, context, pattern, placeholders)
    for view in views:
        if isinstance(view, Part):
            help = "it can be followed by views: `.T`, `.permute(…)`, `.reshape(…)`, `.flip(…)`, `[a:b, c:d]`"
            context.error("E0317", view.span, "a tensor of a file has no parts", "not there", help=help)
            raise NoPath
    path = path_steps(node.target, frame, context, None, placeholders)
    return LoadMapping(
        pattern.value,
        tuple(view for view in views if not isinstance(view, Part)),
        tuple(path),
        node.span,
        pattern.span,
        node.target.span,
    )


def _pattern(source: tree.Expression) -> tree.String:
    """The name that the views of a line follow."""
    while isinstance(source, tree.Call | tree.Field | tree.Index):
        source = source.function if isinstance(source, tree.Call) else source.object
    assert isinstance(source, tree.String)
    return source
