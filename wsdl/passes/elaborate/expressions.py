"""The value of an expression."""

from __future__ import annotations

from collections.abc import Callable

from wsdl.diagnostics import Edit, Label
from wsdl.diagnostics.suggest import nearest
from wsdl.ir.dims import Dim
from wsdl.ir.graph import Value
from wsdl.ir.types import DTYPES
from wsdl.ops import OPERATIONS
from wsdl.ops._define import Operation
from wsdl.passes.elaborate import operators
from wsdl.passes.elaborate.calls import call_operation
from wsdl.passes.elaborate.context import Context
from wsdl.passes.elaborate.indexing import index
from wsdl.passes.elaborate.items import POISON, Frame, Given, Item, Layer, describe, has_poison
from wsdl.passes.elaborate.layers import inline_layer
from wsdl.passes.resolve import VIEWS, Definition, unknown_name
from wsdl.syntax import tree


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
        return definition_item(definition, context)
    if node.text in OPERATIONS:
        return OPERATIONS[node.text]
    if node.text in DTYPES:
        return node.text
    unknown_name(node, [*frame.names, *frame.scope.definitions], context.problems)
    return POISON


def definition_item(definition: Definition, context: Context) -> Item:
    """What a name of a file stands for in its bodies: a constant's value, a layer of the file, a block itself."""
    if isinstance(definition.node, tree.Let):
        return _constant(definition, definition.node, context)
    if isinstance(definition.node, tree.Layer):
        return context.root.declared.get(definition.name, POISON)
    return definition


def _constant(definition: Definition, node: tree.Let, context: Context) -> Item:
    key = id(node)
    if key in context.constants:
        return context.constants[key]
    if key in context.open_constants:
        context.error(
            "E0214", node.name.span, f"`{definition.name}` is defined by itself", help="a constant needs a value of its own"
        )
        return POISON
    context.open_constants.add(key)
    value = evaluate(node.value, Frame(context.root, definition.scope, {}, context.dtype), context)
    if isinstance(value, Value | Layer):
        context.error(
            "E0215",
            node.value.span,
            f"`let` names a constant, but this is {describe(value)}",
            help="layers are declared with `layer`, tensors inside a block or model",
        )
        value = POISON
    context.constants[key] = value
    return value


def _list(node: tree.List, frame: Frame, context: Context) -> Item:
    return [evaluate(i, frame, context) for i in node.items]


# -- operators ---------------------------------------------------------------------------------------------------------


def _binary(node: tree.Binary, frame: Frame, context: Context) -> Item:
    left = evaluate(node.left, frame, context)
    if node.operator == "and" and left is False or node.operator == "or" and left is True:
        return left  # `mask != none and …`: the right side may make no sense then
    return operators.binary(node, left, evaluate(node.right, frame, context), context)


def _unary(node: tree.Unary, frame: Frame, context: Context) -> Item:
    return operators.unary(node, evaluate(node.operand, frame, context), context)


# -- calls and pipelines -----------------------------------------------------------------------------------------------


def _call(node: tree.Call, frame: Frame, context: Context) -> Item:
    if isinstance(node.function, tree.Field) and node.function.name.text in VIEWS:
        value = evaluate(node.function.object, frame, context)
        if isinstance(value, Value) and node.function.name.text != "T":
            given = [Given(None, value, node.function.object.span), *_arguments(node, frame, context)]
            return call_operation(node.function.name.text, given, node.span, context)
    if isinstance(node.function, tree.Name) and node.function.text in _BUILTINS and node.function.text not in frame.names:
        return _BUILTINS[node.function.text](node, _arguments(node, frame, context), context)
    function = evaluate(node.function, frame, context)
    if isinstance(function, Definition) and isinstance(function.node, tree.Block):
        return inline_layer(function, node, frame, context, evaluate)
    return _applied(function, _arguments(node, frame, context), node, node.function, context)


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
        context.error(
            "E0226",
            written.span,
            f"`{function.name}` is a {'block' if isinstance(function.node, tree.Block) else 'model'}, not a layer",
            "has no weights yet",
            help=f"make a layer of it first: `{function.name}()`",
            fix=[Edit(written.span.after(), "()")] if isinstance(function.node, tree.Block) else (),
        )
        return POISON
    context.error(
        "E0226",
        written.span,
        f"{describe(function)} can't be applied",
        help="a layer or an operation stands here" + ("; to multiply, write `*`" if isinstance(function, int) else ""),
    )
    return POISON


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
    context.error("E0225", node.span, f"`len` counts the elements of a list, not of {describe(item)}")
    return POISON


def _per_axis(node: tree.Call, arguments: list[Given], context: Context) -> Item:
    """`per_axis(3, 2)` is `[3, 3]`, and a list of two stays as it is."""
    if has_poison([given.item for given in arguments]):
        return POISON
    item, count = [given.item for given in arguments] if len(arguments) == 2 else (None, None)
    if isinstance(count, int) and isinstance(item, int | Dim) and not isinstance(item, bool):
        return [item] * count
    if isinstance(count, int) and isinstance(item, list) and len(item) == count:
        return item
    got = f"{len(item)} numbers" if isinstance(item, list) else describe(item)
    context.error("E0225", node.span, f"one number is needed, or one for each of {count} axes, not {got}")
    return POISON


_BUILTINS: dict[str, Callable[[tree.Call, list[Given], Context], Item]] = {"len": _length, "per_axis": _per_axis}


# -- parts -------------------------------------------------------------------------------------------------------------


def _field(node: tree.Field, frame: Frame, context: Context) -> Item:
    item, name = evaluate(node.object, frame, context), node.name.text
    if has_poison(item):
        return POISON
    if isinstance(item, Value):
        if name == "T":
            return call_operation("transpose", [Given(None, item, node.object.span)], node.span, context)
        near = nearest(name, VIEWS)
        context.error(
            "E0227",
            node.name.span,
            f"a tensor has no part `{name}`",
            f"did you mean `{near}`?" if near else "",
            help=f"what follows a dot on a tensor is one of {', '.join(VIEWS)}; operations are called as `{name}(x)`",
        )
        return POISON
    if isinstance(item, Layer):
        return _part_of(item, node, context)
    context.error("E0227", node.name.span, f"{describe(item)} has no part `{name}`")
    return POISON


def _part_of(layer: Layer, node: tree.Field, context: Context) -> Item:
    name = node.name.text
    if name in layer.module.slots:
        return context.parameter(layer.module.slots[name])
    if name in layer.declared:
        return layer.declared[name]
    if not layer.module.uses:
        context.error(
            "E0227",
            node.name.span,
            f"`{layer.module.path}` has no parts before it is applied",
            "its shapes are not known yet",
            labels=[Label(layer.module.span, "declared here")],
            help="read its parameters after the first place that applies it",
        )
        return POISON
    near = nearest(name, [*layer.module.slots, *layer.declared])
    context.error(
        "E0227",
        node.name.span,
        f"`{layer.name}` has no part `{name}`",
        f"did you mean `{near}`?" if near else "",
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
