"""Calls and pipelines: of operations, of layers, and of blocks, which create layers."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

from wsdl.diagnostics import Edit
from wsdl.diagnostics.span import Span
from wsdl.elaborate.apply import apply
from wsdl.elaborate.arguments import Callee, Wording, match
from wsdl.elaborate.bound_names import VIEWS, unknown_conversion
from wsdl.elaborate.constants import constant, is_constant
from wsdl.elaborate.context import Context
from wsdl.elaborate.elsewhere import ELSEWHERE
from wsdl.elaborate.evaluate import evaluate
from wsdl.elaborate.items import (
    POISON,
    ArgumentValue,
    Frame,
    Frozen,
    Item,
    Layer,
    Partial,
    Recipe,
    any_poison,
    describe,
    has_poison,
)
from wsdl.elaborate.kinds import AXES, CONFIGURATION, LIST, Kind, Misfit, either
from wsdl.elaborate.layers import call_with_needed, created_as, inline_layer
from wsdl.elaborate.operations import call_operation
from wsdl.elaborate.parts import part, report_no_part
from wsdl.elaborate.scopes import Definition
from wsdl.ir.graph import Value
from wsdl.ir.types import DTYPES
from wsdl.ops import NAMED
from wsdl.ops._define import Operation
from wsdl.syntax import tree


def call(node: tree.Call, frame: Frame, context: Context) -> Item:
    if isinstance(node.function, tree.Field):
        return _method(node, node.function, frame, context)
    if isinstance(node.function, tree.Name) and _is_built_in(node.function, frame):
        return _built_in(node.function.text, _arguments(node, frame, context), node.span, context)
    if _is_conversion(node, frame):
        if not context.report.is_reported(node.function.span):
            unknown_conversion(node, context.report.problems, in_body=bool(context.builder.graphs))
        return POISON
    function = evaluate(node.function, frame, context)
    if isinstance(function, Definition) and isinstance(function.node, tree.Block):
        return inline_layer(function, node, frame, context)
    return _applied(function, _arguments(node, frame, context), node, node.function, context)


def _method(node: tree.Call, field: tree.Field, frame: Frame, context: Context) -> Item:
    """`x.reshape(2, 3)`, or the application of a layer inside another one."""
    item, name = evaluate(field.object, frame, context), field.name.text
    if not isinstance(item, Value) or name in ("T", "dtype", "rank"):
        return _applied(part(item, field, context), _arguments(node, frame, context), node, field, context)
    if name not in VIEWS:
        report_no_part(field, item, context, node)
        return POISON
    arguments = [ArgumentValue(None, item, field.object.span), *_arguments(node, frame, context)]
    return call_operation(name, arguments, node.span, context)


def _is_conversion(node: tree.Call, frame: Frame) -> bool:
    """Whether a dtype is called, as in `float(x)`."""
    if not isinstance(node.function, tree.Name):
        return False
    name = node.function.text
    bound = name in frame.names or frame.scope.find(name) is not None or frame.scope.may_have(name)
    return not bound and ELSEWHERE.get(name, name) in DTYPES


def _arguments(node: tree.Call, frame: Frame, context: Context) -> list[ArgumentValue]:
    return [ArgumentValue(a.name, evaluate(a.value, frame, context), a.value.span) for a in node.arguments]


def _applied(
    function: Item, arguments: list[ArgumentValue], node: tree.Expression, written: tree.Expression, context: Context
) -> Item:
    if has_poison(function):
        return POISON
    if isinstance(function, Operation):
        if is_constant(function.name, arguments):
            return constant(function.name, arguments, node.span, context)
        return call_operation(function.name, arguments, node.span, context)
    if isinstance(function, Partial):
        return call_operation(function.name, [*arguments, *function.arguments], node.span, context)
    if isinstance(function, Layer):
        return apply(function, arguments, node.span, context)
    if isinstance(function, Frozen):
        with _constant_weights(context):
            return _applied(function.of, arguments, node, written, context)
    if isinstance(function, Definition):
        if isinstance(function.node, tree.Model) and context.mode.requests is not None:
            from wsdl.elaborate.applied_models import apply_model

            return apply_model(function, arguments, node.span, context)
        _report_not_made(function, written, context)
        return POISON
    if isinstance(function, Recipe):
        context.error(
            "E0226",
            written.span,
            f"`{written.span.text}` is a block, not a layer",
            "has no weights yet",
            help=f"create a layer first: `layer f = {written.span.text}`",
            applied=False,
        )
        return POISON
    if isinstance(function, str) and function in DTYPES:
        help = f"a dtype isn't a function: write `|> cast({function})`"
        fix = [Edit(written.span, f"cast({function})")] if written is node else []
        context.error("E0226", written.span, f"the dtype `{function}` can't be applied", help=help, fix=fix)
        return POISON
    element = context.where.element(function) if written.span.source.is_standard else None
    if element is not None:
        place, of = element
        help = "write layers and operations, such as `relu` or `leaky_relu(0.1)`"
        context.error("E0226", place, f"{describe(function)} can't be applied", f"an element of {of}", help=help)
        return POISON
    hidden = isinstance(written, tree.Name) and written.text in NAMED
    array = isinstance(function, list) and bool(function) and isinstance(function[0], Layer)
    context.error(
        "E0226",
        written.span,
        f"{describe(function)} can't be applied",
        f"not the operation `{written.span.text}`: the name is bound to something else" if hidden else "",
        help="give the tensor another name than the operation"
        if hidden
        else f"apply one of them, `{written.span.text}[0]`, or all of them by a `for`"
        if array
        else "only layers and operations can be applied"
        + ("; to multiply, write `*`" if isinstance(function, int | float) else ""),
        applied=False,
    )
    return POISON


def _report_not_made(function: Definition, written: tree.Expression, context: Context) -> None:
    """Report a block or model that is applied like a layer."""
    if isinstance(function.node, tree.Block):
        needed = call_with_needed(function.node)
        context.error(
            "E0226",
            written.span,
            f"`{function.name}` is a block, not a layer",
            "has no weights yet",
            help=f"create a layer first: `{needed}`",
            fix=[Edit(written.span.after(), "()")] if needed.endswith("()") else (),
            applied=False,
        )
        return
    context.error(
        "E0226",
        written.span,
        f"`{function.name}` is a model, and a model can't be applied",
        "compiles to a separate file",
        help="put what both models need into a block, or into a layer at file level; a `train` can apply models",
        applied=False,
    )


def pipe(node: tree.Pipe, frame: Frame, context: Context) -> Item:
    first = ArgumentValue(None, evaluate(node.value, frame, context), node.value.span)
    stage = node.stage
    if isinstance(stage, tree.Call) and not _is_built_in(stage.function, frame):
        function = evaluate(stage.function, frame, context)
        if isinstance(function, Operation | Partial | Layer | Frozen) or _is_model(function):
            return _applied(function, [first, *_arguments(stage, frame, context)], stage, stage.function, context)
    return _applied(evaluate(stage, frame, context), [first], stage, stage, context)


def _is_model(item: Item) -> bool:
    return isinstance(item, Definition) and isinstance(item.node, tree.Model)


@contextmanager
def _constant_weights(context: Context) -> Iterator[None]:
    """While this runs, layers take their weights as constants; in a compiled model they all are."""
    builder, before = context.builder, context.builder.weights_are_constants
    builder.weights_are_constants = before or context.mode.training
    context.mode.depends_on_training = True
    yield
    builder.weights_are_constants = before


# -- built-in functions ------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _BuiltIn:
    """A function that is computed when compiling; `kinds` are those of its parameters by name. `compute` raises
    `Misfit` for an invalid first argument."""

    compute: Callable[..., Item]
    kinds: Mapping[str, Kind]


def _is_built_in(function: tree.Expression, frame: Frame) -> bool:
    return isinstance(function, tree.Name) and function.text in _BUILT_IN and function.text not in frame.names


def _layer_or_model(item: Item) -> Layer | Definition:
    if isinstance(item, Layer):
        return item
    if isinstance(item, Definition) and isinstance(item.node, tree.Model):
        return item
    raise Misfit


def _per_axis(numbers: Item, axes: int) -> Item:
    """`per_axis(3, 2)` is `[3, 3]`, and a list of two stays as it is."""
    if not isinstance(numbers, list):
        return [numbers] * axes
    if len(numbers) == axes:
        return numbers
    raise Misfit(f"must be one number, or one for each of {axes} axes, not {len(numbers)} numbers")


_BUILT_IN = {
    "len": _BuiltIn(len, {"list": LIST}),
    "frozen": _BuiltIn(Frozen, {"layer": Kind("a layer or a model", _layer_or_model)}),
    "per_axis": _BuiltIn(_per_axis, {"numbers": either(CONFIGURATION["int"], LIST), "axes": AXES}),
}


def _built_in(name: str, arguments: list[ArgumentValue], span: Span, context: Context) -> Item:
    function = _BUILT_IN[name]
    parameters = list(function.kinds)
    wording = Wording(f"`{name}`", f"its signature is `{name}({', '.join(parameters)})`")
    bound, complete = match(Callee(parameters, parameters, lambda: wording), arguments, span, context)
    if not complete or any_poison(arguments):
        return POISON
    values: list[Item] = []
    for parameter, kind in function.kinds.items():
        given = bound[parameter]
        try:
            values.append(kind.fit(given.item))
        except Misfit as misfit:
            sizes = f"the sizes of a tensor are `{given.span.text}.shape`, its rank `{given.span.text}.rank`"
            if function.compute is Frozen:
                sizes = f"`stop_gradient({given.span.text})` makes a tensor a constant"
            help = sizes if isinstance(given.item, Value) else wording.signature
            what = f"`{parameter}` of `{name}`"
            if (layer := context.where.configured(given.span)) is not None:
                what, help = f"`{given.span.text}` of `{layer.name}`", created_as(layer.block)
            context.error("E0225", given.span, f"{what} {misfit}", help=help)
            return POISON
    try:
        return function.compute(*values)
    except Misfit as misfit:
        at = arguments[0].span
        context.error("E0225", at, f"`{at.text}` {misfit}")
        return POISON
