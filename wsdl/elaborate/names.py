"""Resolves names: values of the body, constants and layers of the file, blocks, operations."""

from __future__ import annotations

from wsdl.diagnostics import Edit, Label
from wsdl.elaborate.bound_names import NUMBERS, OF_WAYS, bound_names, unknown_name
from wsdl.elaborate.context import Context
from wsdl.elaborate.evaluate import evaluate
from wsdl.elaborate.items import POISON, Frame, Item, Layer, Partial, Recipe, describe
from wsdl.elaborate.scopes import Definition
from wsdl.ir.graph import Value
from wsdl.ir.types import DTYPES
from wsdl.ops import NAMED
from wsdl.ops._define import Operation
from wsdl.syntax import tree


def name(node: tree.Name, frame: Frame, context: Context) -> Item:
    if node.text in frame.names:
        return frame.names[node.text]
    definition = frame.scope.find(node.text)
    if definition is not None:
        return definition_item(definition, node, context)
    if node.text in NAMED:
        return NAMED[node.text]
    if node.text in DTYPES:
        return node.text
    if node.text in NUMBERS:
        return NUMBERS[node.text]
    reported = (
        context.report.is_reported(node.span)
        or (frame.layer.definition.node.name.span, node.text) in frame.scope.unknown
    )
    if not reported and not frame.scope.may_have(node.text):
        _report_unbound(node, frame, context)
    return POISON


def _report_unbound(node: tree.Name, frame: Frame, context: Context) -> None:
    """Report a name that `check_names` accepted, since some part of the body binds it; or a name in a path."""
    definition = frame.layer.definition.node
    bound = bound_names(definition.body) if isinstance(definition, tree.Block | tree.Model) else {}
    if node.text not in bound and node.text in OF_WAYS and isinstance(definition, tree.Block):
        context.error(
            "E0341",
            node.span,
            f"`{node.text}` belongs to ways of sharing, and `{definition.name.text}` is applied as a layer",
            "only bound in ways of sharing",
            help=f"write `share as {definition.name.text}(…) {{ … }}`",
        )
        frame.layer.module.doubtful = True
        return
    if node.text not in bound:
        unknown_name(node, [*frame.names, *frame.scope.definitions], context.report.problems)
        return
    context.error(
        "E0204",
        node.span,
        f"`{node.text}` is not bound when this runs",
        "not bound here",
        labels=[Label(bound[node.text], "bound here, but this wasn't executed")],
        help="bind it in both branches of the `if`, or before",
    )


def definition_item(definition: Definition, node: tree.Name, context: Context) -> Item:
    """The value of a name of a file: a constant's value, a layer of the file, a block itself."""
    if isinstance(definition.node, tree.Let):
        return _constant(definition, definition.node, context)
    if isinstance(definition.node, tree.Parameter):
        return _file_parameter(definition, node, context)
    if isinstance(definition.node, tree.Layer):
        if not _is_there(definition, node, context):
            return POISON
        if definition.name not in context.root.declared and not context.report.is_reported(node.span):
            context.error(
                "E0205",
                node.span,
                f"`{definition.name}` is used before it is declared",
                "not declared yet",
                labels=[Label(definition.node.name.span, "declared here")],
                help="layers of a file are created from top to bottom",
            )
        return context.root.declared.get(definition.name, POISON)
    return definition


def _is_there(definition: Definition, node: tree.Name, context: Context) -> bool:
    """Whether a layer or parameter of a file can be used; those of imported files are created where they are."""
    if definition.scope is context.root.definition.scope:
        return True
    from wsdl.elaborate.imported_layers import is_there

    return is_there(definition, node, context)


def _file_parameter(definition: Definition, node: tree.Name, context: Context) -> Item:
    """The value of a parameter of the file, in a body."""
    if not context.builder.graphs:
        context.error(
            "E0238",
            node.span,
            f"`{node.text}` is a parameter, and there is no body around it",
            "outside of blocks and models",
            labels=[Label(definition.node.name.span, "declared here")],
            help="a constant is computed from numbers, lists and sizes",
        )
        return POISON
    slot = context.program.parameters.get(node.text) if _is_there(definition, node, context) else None
    return POISON if slot is None else context.builder.parameter(slot)


def _constant(definition: Definition, node: tree.Let, context: Context) -> Item:
    values, being_evaluated = context.constants.values, context.constants.open
    if node in values:
        return values[node]
    if node in being_evaluated:
        _report_circle(node, context)
        return POISON
    being_evaluated.append(node)
    frame = Frame(context.root, definition.scope, {}, context.where.dtype)
    values[node] = constant_of(node, evaluate(node.value, frame, context), context)
    being_evaluated.pop()
    return values[node]


def _report_circle(node: tree.Let, context: Context) -> None:
    """Report constants that depend on each other, beginning with the first one evaluated."""
    lets = context.constants.open
    circle = lets[lets.index(node) :]
    first, *others = sorted(circle, key=lambda let: let.span.start)
    *names, last = [f"`{let.name.text}`" for let in (first, *others)]
    each_other = f"the constants {', '.join(names)} and {last} depend on each other"
    context.error(
        "E0214",
        first.value.span,
        each_other if others else f"the constant {last} depends on itself",
        f"depends on {_needs(first, circle)}",
        labels=[Label(let.value.span, f"depends on {_needs(let, circle)}") for let in others],
        help="define one of them without the others" if others else "define it without itself",
    )
    for let in circle:
        context.constants.values[let] = POISON


def _needs(let: tree.Let, circle: list[tree.Let]) -> str:
    return f"`{circle[(circle.index(let) + 1) % len(circle)].name.text}`"


def constant_of(node: tree.Let, item: Item, context: Context) -> Item:
    """The value of a `let`, which can't be a tensor or a layer."""
    if isinstance(item, Value | Layer | Recipe | Operation | Partial | Definition):
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
