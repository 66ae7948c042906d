"""Making layers: an instance of a block, its configuration checked, at its place in the tree of layers."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import TypeAlias

from wsdl.diagnostics import Label
from wsdl.diagnostics.suggest import nearest
from wsdl.ir.dims import Dim
from wsdl.ir.graph import Module
from wsdl.ops._define import Operation
from wsdl.passes.elaborate.context import Context
from wsdl.passes.elaborate.items import POISON, Frame, Given, Item, Layer, describe, has_poison
from wsdl.passes.resolve import Definition
from wsdl.span import Span
from wsdl.syntax import tree

Evaluate: TypeAlias = "Callable[[tree.Expression, Frame, Context], Item]"


def inline_layer(definition: Definition, call: tree.Call, frame: Frame, context: Context, evaluate: Evaluate) -> Item:
    """The layer of a block written inline: made when its place is first run, found again when it is run anew."""
    owner, wanted = frame.owner or (frame.layer, _snake(definition.name))
    key = (id(call), *frame.path)
    if key in owner.inline:
        return owner.inline[key]
    name, count = wanted, 1
    while name in owner.taken:
        count += 1
        name = f"{wanted}_{count}"
    owner.taken.add(name)
    layer = make_layer(definition, call, owner.below(name), call.span, frame, context, evaluate)
    if isinstance(layer, Layer):
        owner.inline[key] = layer
        owner.module.children[name] = layer.module
        owner.declared.setdefault(name, layer)
    return layer


def make_layer(
    definition: Definition,
    call: tree.Call,
    path: str,
    span: Span,
    frame: Frame,
    context: Context,
    evaluate: Evaluate,
) -> Item:
    """An instance of a block, configured by the arguments of `call`."""
    block = definition.node
    assert isinstance(block, tree.Block)
    module = Module(path, block.name.text, span)
    layer = Layer(definition, {}, module, taken=set(declared_names(block.body)))
    given: dict[str, Given] = {}
    broken = False
    for position, argument in enumerate(call.arguments):
        parameter = _parameter(block, argument, position, given, call, context)
        if parameter is None:
            broken = True
            continue
        outer, frame.owner = frame.owner, (layer, parameter.name.text)
        item = evaluate(argument.value, frame, context)
        frame.owner = outer
        given[parameter.name.text] = Given(argument.name, item, argument.value.span)
        broken |= has_poison(item) or not _fits(parameter, item, argument.value.span, block, context)
    inner = Frame(layer, definition.scope, layer.configuration, context.dtype, owner=None)
    for parameter in block.configuration:
        name = parameter.name.text
        if name in given:
            layer.configuration[name] = given[name].item
        elif parameter.default is not None:
            inner.owner = (layer, name)
            layer.configuration[name] = evaluate(parameter.default, inner, context)
        elif not broken:
            broken = True
            context.error(
                "E0224",
                call.span,
                f"`{block.name.text}` needs `{name}`",
                labels=_declaration(parameter.name.span),
                help=f"its configuration is `{signature(block)}`",
            )
    return POISON if broken else layer


def signature(block: tree.Block) -> str:
    """For messages: `Dense(units: int, bias: bool = true)`."""
    return f"{block.name.text}({', '.join(c.span.text for c in block.configuration)})"


def declared_names(body: Iterable[tree.Statement]) -> Iterable[str]:
    """The names of all layers and parameters that a body declares."""
    for statement in body:
        if isinstance(statement, tree.Layer | tree.Parameter):
            yield statement.name.text
        elif isinstance(statement, tree.For | tree.Scan):
            yield from declared_names(statement.body)
        elif isinstance(statement, tree.If):
            yield from declared_names((*statement.then, *statement.otherwise))


def _snake(name: str) -> str:
    """`LayerNorm` is `layer_norm`, `Conv2d` is `conv2d`, `GRUCell` is `gru_cell`."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", name).lower()


def _parameter(
    block: tree.Block, argument: tree.Argument, position: int, given: dict[str, Given], call: tree.Call, context: Context
) -> tree.Configuration | None:
    if argument.name is None:
        if position < len(block.configuration):
            return block.configuration[position]
        count = len(block.configuration)
        context.error(
            "E0222",
            argument.span,
            f"`{block.name.text}` is made with {count} argument{'s' if count != 1 else ''}, not {len(call.arguments)}",
            "one too many",
            labels=_declaration(block.name.span),
            help=f"its configuration is `{signature(block)}`; what it is applied to goes into a second pair of parentheses"
            f" or before `|>`",
        )
        return None
    name = argument.name.text
    found = next((c for c in block.configuration if c.name.text == name), None)
    if found is None:
        near = nearest(name, [c.name.text for c in block.configuration])
        context.error(
            "E0221",
            argument.name.span,
            f"`{block.name.text}` has no argument `{name}`",
            f"did you mean `{near}`?" if near else "",
            labels=_declaration(block.name.span),
            help=f"its configuration is `{signature(block)}`",
        )
    elif name in given:
        context.error("E0223", argument.name.span, f"`{name}` is given twice", labels=[Label(given[name].span, "given first")])
        return None
    return found


_CHECKS: dict[str, Callable[[Item], bool]] = {
    "int": lambda i: isinstance(i, int | Dim) and not isinstance(i, bool),
    "float": lambda i: isinstance(i, int | float) and not isinstance(i, bool),
    "bool": lambda i: isinstance(i, bool),
    "string": lambda i: isinstance(i, str),
    "list": lambda i: isinstance(i, list),
    "layer": lambda i: isinstance(i, Layer | Operation),
    "none": lambda i: i is None,
}


def _fits(parameter: tree.Configuration, item: Item, span: Span, block: tree.Block, context: Context) -> bool:
    kinds = [t.text for t in parameter.types]
    for kind in parameter.types:
        if kind.text not in _CHECKS:
            near = nearest(kind.text, _CHECKS)
            context.error(
                "E0229",
                kind.span,
                f"there is no type `{kind.text}` for a configuration",
                f"did you mean `{near}`?" if near else "",
                help=f"the types are {', '.join(_CHECKS)}",
            )
            return False
    if has_poison(item) or any(_CHECKS[k](item) for k in kinds):
        return True
    name = parameter.name.text
    hint = f"write `{item.name}(…)`" if isinstance(item, Definition) and "layer" in kinds else None
    context.error(
        "E0225",
        span,
        f"`{name}` of `{block.name.text}` must be {' or '.join(kinds)}, not {describe(item)}",
        labels=_declaration(parameter.span),
        help=hint,
    )
    return False


def _declaration(span: Span) -> list[Label]:
    return [] if span.source.is_standard else [Label(span, "declared here")]
