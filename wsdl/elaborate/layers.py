"""Creates layers: instances of blocks, with checked configurations, in the tree of layers."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import replace

from wsdl.diagnostics import Label, limits
from wsdl.diagnostics.span import Span
from wsdl.elaborate.arguments import Callee, Wording, match
from wsdl.elaborate.context import Context
from wsdl.elaborate.elsewhere import ARGUMENTS_ELSEWHERE, NO_ARGUMENTS
from wsdl.elaborate.evaluate import evaluate
from wsdl.elaborate.items import POISON, Frame, Item, Layer, Partial, Recipe, describe, has_poison, whole
from wsdl.elaborate.kinds import CONFIGURATION, Kind, Misfit, either
from wsdl.elaborate.partial import partial_or_item
from wsdl.elaborate.report import TooMuch
from wsdl.elaborate.scopes import Definition
from wsdl.ir.graph import Alias, Module, Value
from wsdl.ops import NAMED
from wsdl.ops._define import Operation
from wsdl.syntax import tree


def inline_layer(definition: Definition, call: tree.Call, frame: Frame, context: Context) -> Item:
    """The layer of a block written inline: created in the first run, looked up in later ones."""
    owner, base_name = frame.owner or (frame.layer, _snake(definition.name))
    key = (call, frame.path)
    if key in owner.inline:
        return owner.inline[key]
    name = _free_name(owner, base_name)
    layer = make_layer(definition, call, owner.below(name), call.span, frame, context)
    if isinstance(layer, Layer):
        owner.inline[key] = layer
        _keep(owner, name, layer.module, layer)
    else:
        _keep(owner, name, Module(owner.below(name), "", call.span, doubtful=True))
    return layer


def layers_in_list(elements: Iterable[tree.Expression], frame: Frame, context: Context) -> list[Item]:
    """The elements of a list that configures a layer. Layers written in it form an array of that layer; the positions
    of operations, and of layers created elsewhere, stay empty in it."""
    assert frame.owner is not None
    outer = owner, name = frame.owner
    frame.owner = (owner, name if name.endswith("[]") else f"{name}[]")  # nested lists continue the numbering
    items: list[Item] = []
    for part in elements:
        item = partial_or_item(part, frame, context)
        items.append(item)
        is_made_here = isinstance(item, Layer) and item.call_span is part.span
        if isinstance(item, Layer | Operation | Partial) and not is_made_here:
            _keep_elsewhere(item, owner, frame.owner[1], part.span)
    frame.owner = outer
    return items


def keep_repeated(items: Iterable[Item], frame: Frame, span: Span) -> None:
    """The repetitions of the elements of a list that configures a layer: their positions in its array stay empty."""
    assert frame.owner is not None
    owner, name = frame.owner
    for item in items:
        if isinstance(item, Layer | Operation | Partial):
            _keep_elsewhere(item, owner, name if name.endswith("[]") else f"{name}[]", span)


def _keep_elsewhere(item: Layer | Operation | Partial, owner: Layer, name: str, span: Span) -> None:
    array_name = _free_name(owner, name)
    _keep(owner, array_name, Module(owner.below(array_name), item.name, span, uses=[span]), item)


def keep_alias(owner: Module, name: str, span: Span, item: Item) -> None:
    """Let paths lead from a name below a layer to the layers that it stands for, where some are declared elsewhere."""
    if isinstance(item, Layer):
        if owner.children.get(name) is not item.module:
            owner.aliases[name] = Alias(span, item.module)
        return
    items, own = [*_flat(item)], owner.children.get(name)
    if not any(isinstance(part, Layer) for part in items):
        return
    if not isinstance(own, list) or len(own) != len(items):
        own = [Module(f"{name}[{i}]", "", span, uses=[span], doubtful=part is POISON) for i, part in enumerate(items)]
    layers = [part.module if isinstance(part, Layer) else module for part, module in zip(items, own, strict=True)]
    if any(layer is not module for layer, module in zip(layers, own, strict=True)):
        owner.aliases[name] = Alias(span, layers)


def _flat(item: Item) -> Iterator[Item]:
    """The elements of a list and of lists in it; of anything else nothing."""
    for part in item if isinstance(item, list) else ():
        yield from _flat(part) if isinstance(part, list) else [part]


def _free_name(owner: Layer, base_name: str) -> str:
    """The name of a layer written inline: with a suffix if it is taken, with an index in an array (`layers[]`)."""
    array, bracket, _ = base_name.partition("[")
    if bracket:
        siblings = owner.module.children.get(array)
        return f"{array}[{len(siblings) if isinstance(siblings, list) else 0}]"
    name, count = base_name, owner.counted.get(base_name, 1)
    while name in owner.taken:
        count += 1
        name = f"{base_name}_{count}"
    owner.taken.add(name)
    owner.counted[base_name] = count
    return name


def _keep(owner: Layer, name: str, module: Module, item: Item = None) -> None:
    """Add a layer to its owner's children, and `item` to the names that are looked up in the owner."""
    array, bracket, _ = name.partition("[")
    if not bracket:
        owner.module.children[name] = module
        if item is not None:
            owner.declared.setdefault(name, item)
        return
    siblings, declared = owner.module.children.setdefault(array, []), owner.declared.setdefault(array, [])
    assert isinstance(siblings, list)
    assert isinstance(declared, list)
    siblings.append(module)
    declared.append(item if item is not None else POISON)


def recipe_or_item(node: tree.Expression, frame: Frame, context: Context) -> Item:
    """The value of an argument of kind `block`: the call of a block isn't evaluated, but a recipe of layers."""
    function = evaluate(node.function, frame, context) if isinstance(node, tree.Call) else None
    if isinstance(node, tree.Call) and isinstance(function, Definition) and isinstance(function.node, tree.Block):
        return Recipe(function, node, replace(frame, names=dict(frame.names), owner=None, results=None))
    return partial_or_item(node, frame, context)


def make_layer(
    definition: Definition,
    call: tree.Call,
    path: str,
    span: Span,
    frame: Frame,
    context: Context,
) -> Item:
    """An instance of a block, configured by the arguments of `call`."""
    block = definition.node
    assert isinstance(block, tree.Block)
    context.budget.create(call.span)
    context.budget.depth += 1
    if context.budget.depth > limits.NESTING:
        context.error(
            "E0218",
            call.span,
            f"`{block.name.text}` contains itself endlessly",
            "creates another one",
            help="a default of the configuration can't be a layer of the same block",
        )
        raise TooMuch
    layer = _create(definition, block, call, Module(path, block.name.text, span), frame, context)
    context.budget.depth -= 1
    return layer


def _create(
    definition: Definition,
    block: tree.Block,
    call: tree.Call,
    module: Module,
    frame: Frame,
    context: Context,
) -> Item:
    layer = Layer(definition, {}, module, call.span, taken=set(declared_names(block.body)))
    bound, complete = match(_callee(block, call), call.arguments, call.span, context)
    broken = not complete
    given: dict[str, Item] = {}
    parameters = {parameter.name.text: parameter for parameter in block.configuration}
    for name, argument in bound.items():
        parameter = parameters[name]
        if argument.name is not None:
            context.references.add(argument.name.span, parameter.name.span)
        outer, frame.owner = frame.owner, (layer, name)
        item = _configured(parameter, argument.value, frame, context)
        frame.owner = outer
        layer.argument_spans[name] = argument.span
        if isinstance(argument.value, tree.List):
            layer.element_spans[name] = [element.span for element in argument.value.items]
        if isinstance(item, Value):
            rest = [a for a in call.arguments if a is not argument]
            tensors = [argument, *(a for a in rest if isinstance(evaluate(a.value, frame, context), Value))]
            _report_tensor(parameter, tensors, item, block, call, context)
            return POISON
        item = given[name] = _fitted(parameter, item, argument, block, context)
        broken |= has_poison(item)
    inner = Frame(layer, definition.scope, layer.configuration, context.where.dtype)
    for name, parameter in parameters.items():
        if name in given:
            layer.configuration[name] = given[name]
        elif parameter.default is not None:
            inner.owner = (layer, name)
            default = _configured(parameter, parameter.default, inner, context)
            layer.configuration[name] = whole(default) if _takes_integers(parameter) else default
        keep_alias(module, name, parameter.name.span, layer.configuration.get(name))
    return POISON if broken else layer


def _takes_integers(parameter: tree.Configuration) -> bool:
    kinds = {kind.text for kind in parameter.types}
    return "int" in kinds and "float" not in kinds


def _configured(parameter: tree.Configuration, value: tree.Expression, frame: Frame, context: Context) -> Item:
    """The value of one configuration."""
    kinds = {kind.text for kind in parameter.types}
    item_of = recipe_or_item if "block" in kinds else partial_or_item if "layer" in kinds else evaluate
    return item_of(value, frame, context)


def _callee(block: tree.Block, call: tree.Call) -> Callee:
    """A block as a callee."""

    def wording() -> Wording:
        needed = call_with_needed(block)
        written = {a.name.text: a.span.text for a in call.arguments if a.name is not None}
        inputs = {i.name.text for i in block.inputs} & written.keys()
        return Wording(
            f"`{block.name.text}`",
            created_as(block),
            takes="is made with",
            labels=_declaration(block.name.span),
            others=ARGUMENTS_ELSEWHERE,
            surplus=_in_a_list(block, call)
            or f"{created_as(block)}; tensors go before `|>` or into parentheses of their own",
            unknown={
                **NO_ARGUMENTS,
                **{name: f"`{name}` is an input: `{needed}(…, {written[name]})`" for name in inputs},
            },
        )

    required = [c.name.text for c in block.configuration if c.default is None]
    return Callee([c.name.text for c in block.configuration], required, wording)


def signature(block: tree.Block) -> str:
    """A signature in messages: `Dense(units: int, bias: bool = true)`; without types if it is long."""
    whole = f"{block.name.text}({', '.join(c.span.text for c in block.configuration)})"
    short = f"{block.name.text}({', '.join(c.name.text for c in block.configuration)})"
    return whole if len(whole) <= 70 and "\n" not in whole else short


def call_with_needed(block: tree.Block) -> str:
    """The shortest call in messages: `Dense(units)`."""
    return f"{block.name.text}({', '.join(c.name.text for c in block.configuration if c.default is None)})"


def created_as(block: tree.Block) -> str:
    return f"it is created as `{signature(block)}`"


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


def _in_a_list(block: tree.Block, call: tree.Call) -> str | None:
    """The help for several arguments of a block that takes one list."""
    [only] = block.configuration if len(block.configuration) == 1 else [None]
    takes_list = only is not None and [kind.text for kind in only.types] == ["list"]
    written = ", ".join(argument.span.text for argument in call.arguments)
    if not takes_list or "\n" in written or any(argument.name for argument in call.arguments):
        return None
    return f"write them as one list: `{block.name.text}([{written}])`"


def _report_tensor(
    parameter: tree.Configuration,
    tensors: list[tree.Argument],
    item: Value,
    block: tree.Block,
    call: tree.Call,
    context: Context,
) -> None:
    """Report a tensor where a layer is created: it is an input of the layer, or an argument that should be passed
    without applying it."""
    first = tensors[0].value
    others = ", ".join(a.span.text for a in call.arguments if a not in tensors)
    call_text = f"{block.name.text}({others})" if others else call_with_needed(block)
    help = f"a block is configured first, then applied: `{first.span.text} |> {call_text}`"
    if len(tensors) > 1:
        inputs = sorted((t.span for t in tensors), key=lambda span: span.start)
        help = f"a block is configured first, then applied: `{call_text}({', '.join(span.text for span in inputs)})`"
    if {"layer", "block"} & {kind.text for kind in parameter.types} and isinstance(first, tree.Call | tree.Pipe):
        layer = first.stage if isinstance(first, tree.Pipe) else first.function
        help = f"pass it without applying it: `{layer.span.text}`"
        if isinstance(first, tree.Call) and layer.span.text in NAMED and len(first.arguments) > 1:
            rest = ", ".join(a.span.text for a in first.arguments[1:])
            help = f"pass it without its input: `{layer.span.text}({rest})`"
    context.error(
        "E0225",
        first.span,
        f"`{parameter.name.text}` of `{block.name.text}` must be {_kind(parameter).words}, not {describe(item)}",
        "a tensor",
        help=help,
        applied=False,
    )


def _kind(parameter: tree.Configuration) -> Kind:
    return either(*(CONFIGURATION[t.text] for t in parameter.types))


def _fitted(
    parameter: tree.Configuration, item: Item, argument: tree.Argument, block: tree.Block, context: Context
) -> Item:
    """The value of a configuration as its kind; poison after reporting an error."""
    kinds = [t.text for t in parameter.types]
    if any(kind not in CONFIGURATION for kind in kinds):
        return POISON  # reported by `check_names`
    if isinstance(item, list) and block.span.source.is_standard:
        written = argument.value.items if isinstance(argument.value, tree.List) else [argument.value] * len(item)
        for part, element in zip(written, item, strict=False):
            if isinstance(element, Definition) and isinstance(element.node, tree.Block):
                context.error(
                    "E0225",
                    part.span,
                    f"`{parameter.name.text}` of `{block.name.text}` must contain layers, not {describe(element)}",
                    help=f"create a layer: `{call_with_needed(element.node)}`",
                    applied=False,
                )
                return POISON
    if has_poison(item):
        return item
    try:
        fitted: Item = _kind(parameter).fit(item)
        return fitted
    except Misfit as error:
        misfit = error
    help = misfit.help or _instead(kinds, item, argument, block)
    if argument.name is None and block.span.source.is_standard and kinds == ["bool"] and isinstance(item, int):
        help = f"{created_as(block)}: the size of its input is inferred"
    context.error(
        "E0225",
        argument.value.span,
        f"`{parameter.name.text}` of `{block.name.text}` {misfit}",
        labels=_declaration(parameter.span),
        help=help,
        applied=False,
    )
    return POISON


def _instead(kinds: list[str], item: Item, argument: tree.Argument, block: tree.Block) -> str | None:
    """The help about a layer where a block is expected, and the reverse."""
    if isinstance(item, Definition) and isinstance(item.node, tree.Block):
        call = call_with_needed(item.node)
        return (
            f"configure it: `{call}`" if "block" in kinds else f"create a layer: `{call}`" if "layer" in kinds else None
        )
    if isinstance(item, Recipe) and "layer" in kinds:
        return f"create a layer first, `layer f = {argument.value.span.text}`, and pass `f`"
    if isinstance(item, list) and "block" in kinds:
        lists = [c.name.text for c in block.configuration if any(kind.text == "list" for kind in c.types)]
        return f"layers that exist are given as `{lists[0]}={argument.value.span.text}`" if lists else None
    if isinstance(item, Layer) and "block" in kinds:
        own = not item.call_span.source.is_standard and "\n" not in item.call_span.text
        call = f"`{item.call_span.text}`" if own else f"`{call_with_needed(item.block)}`"
        return f"pass the call of the block, {call}: `{block.name.text}` creates its own layers by it"
    return None


def _declaration(span: Span) -> list[Label]:
    return [] if span.source.is_standard else [Label(span, "declared here")]
