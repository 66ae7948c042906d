"""The value of an expression."""

from __future__ import annotations

from collections.abc import Callable

from wsdl.diagnostics import Edit, Label
from wsdl.diagnostics.suggest import nearest
from wsdl.ir.dims import Dim
from wsdl.ir.graph import Value
from wsdl.ir.types import DTYPES
from wsdl.ops import NAMED
from wsdl.ops._define import Operation
from wsdl.passes.elaborate import operators
from wsdl.passes.elaborate.calls import call_operation
from wsdl.passes.elaborate.context import Context
from wsdl.passes.elaborate.indexing import index
from wsdl.passes.elaborate.items import POISON, Frame, Given, Item, Layer, describe, has_poison
from wsdl.passes.elaborate.layers import call_with_needed, inline_layer, layers_in_list
from wsdl.passes.elaborate.methods import report_no_part
from wsdl.passes.elsewhere import ELSEWHERE
from wsdl.passes.names import VIEWS, bound_names, unknown_conversion, unknown_name
from wsdl.passes.scopes import Definition
from wsdl.syntax import tree

MOST_AXES = 16


def evaluate(node: tree.Expression, frame: Frame, context: Context) -> Item:
    """What an expression stands for in a frame; poison where that was reported as an error."""
    return _CASES[type(node)](node, frame, context)


def evaluate_all(nodes: tuple[tree.Expression, ...], frame: Frame, context: Context) -> list[Given]:
    return [Given(None, evaluate(n, frame, context), n.span) for n in nodes]


# -- names and constants -----------------------------------------------------------------------------------------------


def _name(node: tree.Name, frame: Frame, context: Context) -> Item:
    if node.text in frame.names:
        return frame.names[node.text]
    definition = frame.scope.find(node.text)
    if definition is not None:
        return definition_item(definition, node, context)
    if node.text in NAMED:
        return NAMED[node.text]
    if node.text in DTYPES:
        return node.text
    said = context.is_reported(node.span) or (frame.layer.definition.node.name.span, node.text) in frame.scope.unknown
    if not said and not frame.scope.may_have(node.text):
        _report_unbound(node, frame, context)
    return POISON


def _report_unbound(node: tree.Name, frame: Frame, context: Context) -> None:
    """A name that `resolve` has let pass, since some part of the body binds it; or one in a path."""
    definition = frame.layer.definition.node
    bound = bound_names(definition.body) if isinstance(definition, tree.Block | tree.Model) else {}
    if node.text not in bound:
        unknown_name(node, [*frame.names, *frame.scope.definitions], context.problems)
        return
    context.error(
        "E0204",
        node.span,
        f"`{node.text}` is not bound when this runs",
        "nothing has bound it here",
        labels=[Label(bound[node.text], "bound here, where this run didn't come by")],
        help="bind it in both branches of the `if`, or before",
    )


def definition_item(definition: Definition, node: tree.Name, context: Context) -> Item:
    """What a name of a file stands for in its bodies: a constant's value, a layer of the file, a block itself."""
    if isinstance(definition.node, tree.Let):
        return _constant(definition, definition.node, context)
    if isinstance(definition.node, tree.Layer):
        if definition.name not in context.root.declared and not context.is_reported(node.span):
            context.error(
                "E0205",
                node.span,
                f"`{definition.name}` is used before it is declared",
                "not declared yet",
                labels=[Label(definition.node.name.span, "declared here")],
                help="layers of a file are made from top to bottom",
            )
        return context.root.declared.get(definition.name, POISON)
    return definition


def _constant(definition: Definition, node: tree.Let, context: Context) -> Item:
    key = id(node)
    if key in context.constants:
        return context.constants[key]
    if key in context.open_constants:
        _report_circle(node, context)
        return POISON
    context.open_constants[key] = node
    value = constant_of(
        node, evaluate(node.value, Frame(context.root, definition.scope, {}, context.dtype), context), context
    )
    del context.open_constants[key]
    context.constants[key] = value
    return value


def _report_circle(node: tree.Let, context: Context) -> None:
    """Constants that need each other, from the one where the circle was entered."""
    lets = list(context.open_constants.values())
    circle = lets[lets.index(node) :]
    first, *others = sorted(circle, key=lambda let: let.span.start)
    *names, last = [f"`{let.name.text}`" for let in (first, *others)]
    each_other = f"the constants {', '.join(names)} and {last} need each other"
    context.error(
        "E0214",
        first.value.span,
        each_other if others else f"the constant {last} needs itself",
        f"needs {_needs(first, circle)}",
        labels=[Label(let.value.span, f"needs {_needs(let, circle)}") for let in others],
        help="give one of them a value of its own" if others else "give it a value of its own",
    )
    for let in circle:
        context.constants[id(let)] = POISON


def _needs(let: tree.Let, circle: list[tree.Let]) -> str:
    return f"`{circle[(circle.index(let) + 1) % len(circle)].name.text}`"


def constant_of(node: tree.Let, item: Item, context: Context) -> Item:
    """What a `let` names, which is no tensor and no layer."""
    if isinstance(item, Value | Layer | Operation | Definition):
        name = node.name.text
        keyword = node.span.source.span(node.span.start, node.span.start + len("let"))
        layer = isinstance(item, Layer)
        context.error(
            "E0215",
            node.value.span,
            f"`let` names a constant, but this is {describe(item)}",
            help=f"write `layer {name} = {node.value.span.text}`" if layer else "a tensor is bound without `let`",
            fix=[Edit(keyword, "layer")] if layer and keyword.text == "let" else (),
            applied=False,
        )
        return POISON
    return item


def _list(node: tree.List, frame: Frame, context: Context) -> Item:
    if frame.owner is not None:
        return layers_in_list(node, frame, context, evaluate)
    return operators.list_of([evaluate(i, frame, context) for i in node.items], node.span, context)


# -- operators ---------------------------------------------------------------------------------------------------------


def _binary(node: tree.Binary, frame: Frame, context: Context) -> Item:
    left = evaluate(node.left, frame, context)
    if (node.operator == "and" and left is False) or (node.operator == "or" and left is True):
        return left  # `mask != none and …`: the right side may make no sense then
    return operators.binary(node, left, evaluate(node.right, frame, context), context)


def _unary(node: tree.Unary, frame: Frame, context: Context) -> Item:
    return operators.unary(node, evaluate(node.operand, frame, context), context)


# -- calls and pipelines -----------------------------------------------------------------------------------------------


def _call(node: tree.Call, frame: Frame, context: Context) -> Item:
    if isinstance(node.function, tree.Field):
        return _method(node, node.function, frame, context)
    if (
        isinstance(node.function, tree.Name)
        and node.function.text in _BUILTINS
        and node.function.text not in frame.names
    ):
        return _BUILTINS[node.function.text](node, _arguments(node, frame, context), context)
    if _is_conversion(node, frame):
        if not context.is_reported(node.function.span):
            unknown_conversion(node, context.problems, in_body=bool(context.graphs))
        return POISON
    function = evaluate(node.function, frame, context)
    if isinstance(function, Definition) and isinstance(function.node, tree.Block):
        return inline_layer(function, node, frame, context, evaluate)
    return _applied(function, _arguments(node, frame, context), node, node.function, context)


def _method(node: tree.Call, field: tree.Field, frame: Frame, context: Context) -> Item:
    """`x.reshape(2, 3)`, or a layer inside another one that is applied."""
    item, name = evaluate(field.object, frame, context), field.name.text
    if not isinstance(item, Value) or name in ("T", "dtype"):
        return _applied(_part(item, field, context), _arguments(node, frame, context), node, field, context)
    if name not in VIEWS:
        report_no_part(field, item, context, node)
        return POISON
    given = [Given(None, item, field.object.span), *_arguments(node, frame, context)]
    return call_operation(name, given, node.span, context)


def _is_conversion(node: tree.Call, frame: Frame) -> bool:
    """Is a dtype called, as in `float(x)`?"""
    if not isinstance(node.function, tree.Name):
        return False
    name = node.function.text
    bound = name in frame.names or frame.scope.find(name) is not None or frame.scope.may_have(name)
    return not bound and ELSEWHERE.get(name, name) in DTYPES


def _arguments(node: tree.Call, frame: Frame, context: Context) -> list[Given]:
    return [Given(a.name, evaluate(a.value, frame, context), a.value.span) for a in node.arguments]


def _applied(
    function: Item, arguments: list[Given], node: tree.Expression, written: tree.Expression, context: Context
) -> Item:
    if has_poison(function):
        return POISON
    if isinstance(function, Operation):
        return call_operation(function.name, arguments, node.span, context)
    if isinstance(function, Layer):
        return context.apply(function, arguments, node.span, context)
    if isinstance(function, Definition):
        _report_not_made(function, written, context)
        return POISON
    if isinstance(function, str) and function in DTYPES:
        help = f"a dtype converts nothing by itself: write `|> cast({function})`"
        fix = [Edit(written.span, f"cast({function})")] if written is node else []
        context.error("E0226", written.span, f"the dtype `{function}` can't be applied", help=help, fix=fix)
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
        else "a layer or an operation stands here"
        + ("; to multiply, write `*`" if isinstance(function, int | float) else ""),
        applied=False,
    )
    return POISON


def _report_not_made(function: Definition, written: tree.Expression, context: Context) -> None:
    """A block or model is applied as if it were a layer."""
    if isinstance(function.node, tree.Block):
        needed = call_with_needed(function.node)
        context.error(
            "E0226",
            written.span,
            f"`{function.name}` is a block, not a layer",
            "has no weights yet",
            help=f"make a layer of it first: `{needed}`",
            fix=[Edit(written.span.after(), "()")] if needed.endswith("()") else (),
            applied=False,
        )
        return
    context.error(
        "E0226",
        written.span,
        f"`{function.name}` is a model, and a model can't be applied",
        "a file of its own when compiled",
        help="put what both models need into a block, or into a layer at file level",
        applied=False,
    )


def _pipe(node: tree.Pipe, frame: Frame, context: Context) -> Item:
    first = Given(None, evaluate(node.value, frame, context), node.value.span)
    stage = node.stage
    if isinstance(stage, tree.Call):
        function = evaluate(stage.function, frame, context)
        if isinstance(function, Operation | Layer):
            return _applied(function, [first, *_arguments(stage, frame, context)], stage, stage.function, context)
    return _applied(evaluate(stage, frame, context), [first], stage, stage, context)


def _length(node: tree.Call, arguments: list[Given], context: Context) -> Item:
    item = arguments[0].item if len(arguments) == 1 else None
    if has_poison(item):
        return POISON
    if isinstance(item, list):
        return len(item)
    message = f"`len` counts the elements of a list, not of {describe(item)}"
    help = "the sizes of a tensor have the names that the signature gives them" if isinstance(item, Value) else None
    context.error("E0225", node.span, message if len(arguments) == 1 else "`len` takes one list", help=help)
    return POISON


def _per_axis(node: tree.Call, arguments: list[Given], context: Context) -> Item:
    """`per_axis(3, 2)` is `[3, 3]`, and a list of two stays as it is."""
    if has_poison([given.item for given in arguments]):
        return POISON
    if len(arguments) != 2:
        context.error("E0224", node.span, "`per_axis` needs a number or a list, and the number of axes")
        return POISON
    item, count = [given.item for given in arguments]
    if not isinstance(count, int) or isinstance(count, bool) or not 1 <= count <= MOST_AXES:
        context.error("E0225", arguments[1].span, f"the number of axes is from 1 to {MOST_AXES}, not {describe(count)}")
        return POISON
    if isinstance(item, int | Dim) and not isinstance(item, bool):
        return [item] * count
    if isinstance(item, list) and len(item) == count:
        return item
    got = f"{len(item)} numbers" if isinstance(item, list) else describe(item)
    at = arguments[0].span
    message = f"`{at.text}` is one number, or one for each of {count} axes, not {got}"
    context.error("E0225", at, message)
    return POISON


_BUILTINS: dict[str, Callable[[tree.Call, list[Given], Context], Item]] = {"len": _length, "per_axis": _per_axis}


# -- parts -------------------------------------------------------------------------------------------------------------


def _field(node: tree.Field, frame: Frame, context: Context) -> Item:
    return _part(evaluate(node.object, frame, context), node, context)


def _part(item: Item, node: tree.Field, context: Context) -> Item:
    name = node.name.text
    if has_poison(item):
        return POISON
    if isinstance(item, Value):
        if name == "T":
            return call_operation("transpose", [Given(None, item, node.object.span)], node.span, context)
        if name == "dtype":
            return item.type.dtype
        report_no_part(node, item, context)
        return POISON
    if isinstance(item, Layer):
        return _part_of(item, node, context)
    context.error("E0227", node.name.span, f"{describe(item)} has no part `{name}`", applied=False)
    return POISON


def _part_of(layer: Layer, node: tree.Field, context: Context) -> Item:
    name = node.name.text
    if name in layer.module.slots:
        return context.parameter(layer.module.slots[name])
    if name in layer.declared:
        return layer.declared[name]
    if not layer.module.uses:
        if not layer.module.doubtful:
            context.error(
                "E0236",
                node.name.span,
                f"`{layer.module.path}` has no parts before it is applied",
                "its shapes are not known yet",
                labels=[Label(layer.module.span, "declared here")],
                help="read its parameters after the first place that applies it",
                applied=False,
            )
        return POISON
    if layer.module.doubtful:
        return POISON
    offered = [*layer.module.slots, *layer.declared]
    near = nearest(name, offered)
    context.error(
        "E0227",
        node.name.span,
        f"`{layer.name}` has no part `{name}`",
        f"did you mean `{near}`?" if near else f"it has {', '.join(f'`{o}`' for o in offered)}" if offered else "",
        fix=[Edit(node.name.span, near)] if near else (),
        applied=False,
    )
    return POISON


def _index(node: tree.Index, frame: Frame, context: Context) -> Item:
    return index(node, evaluate(node.object, frame, context), lambda e: evaluate(e, frame, context), context)


_CASES: dict[type, Callable[..., Item]] = {
    tree.Name: _name,
    tree.Number: lambda node, frame, context: node.value,
    tree.String: lambda node, frame, context: node.value,
    tree.Constant: lambda node, frame, context: node.value,
    tree.List: _list,
    tree.Binary: _binary,
    tree.Unary: _unary,
    tree.Call: _call,
    tree.Pipe: _pipe,
    tree.Field: _field,
    tree.Index: _index,
}


def as_int(item: Item) -> int | None:
    """A whole number known when compiling, or `None`."""
    if isinstance(item, Dim):
        return item.constant
    return item if isinstance(item, int) and not isinstance(item, bool) else None
