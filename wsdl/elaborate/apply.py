"""Applies a layer: matches its inputs with the block's signature, runs its body, checks its results."""

from __future__ import annotations

import re

from wsdl.diagnostics import Label, limits
from wsdl.diagnostics.span import Span
from wsdl.elaborate.arguments import Callee, Wording, collected, match
from wsdl.elaborate.arrays import count_matches, is_array
from wsdl.elaborate.context import Context
from wsdl.elaborate.evaluate import evaluate, run
from wsdl.elaborate.items import (
    POISON,
    ArgumentValue,
    Frame,
    Item,
    Layer,
    any_poison,
    describe,
    has_poison,
    one_of_results,
)
from wsdl.elaborate.journal import Named, Used
from wsdl.elaborate.layers import signature as configured
from wsdl.elaborate.records import Outcome
from wsdl.elaborate.replay import repeat_or_run
from wsdl.elaborate.report import TooMuch
from wsdl.elaborate.results import applied, as_tensor, assumed, finish
from wsdl.elaborate.signatures import Signature
from wsdl.elaborate.where import Use
from wsdl.ir.dims import Dim
from wsdl.ir.graph import Application, Value
from wsdl.ir.origins import Origin
from wsdl.ir.types import FLOATS, DType
from wsdl.syntax import tree


def apply(layer: Layer, arguments: list[ArgumentValue], span: Span, context: Context) -> Item:
    """The results of a layer on inputs: a tensor, or a tuple of several."""
    layer.module.doubtful |= any_poison(arguments)
    if not context.builder.graphs:
        context.error(
            "E0238",
            span,
            f"`{layer.name}` computes a tensor, and there is no body around it",
            "outside of blocks and models",
            help="apply layers inside a block or model; a constant is computed from numbers, lists and sizes",
        )
        layer.module.doubtful = True
        return POISON
    block = layer.block
    use = context.where.matching = Use(layer, span)
    inputs = _matched(layer, arguments, span, context)
    if inputs is None or any_poison(inputs.values()):
        layer.module.doubtful, context.where.matching = True, None
        return POISON
    if len(context.where.uses) >= limits.NESTING:
        context.refuse_nesting()
        raise TooMuch
    dtype = _float_dtype(block, inputs) or "f32"
    outcome = repeat_or_run(lambda: _run(layer, inputs, dtype, use, context), layer, inputs, dtype, use, context)
    if outcome is None:
        return POISON
    context.where.matching = None
    for result in outcome.values:
        if not span.source.is_standard:
            context.note(Named(result, Origin(_called(layer), span)))
        elif not layer.call_span.source.is_standard:
            context.note(Named(result, layer.call_span))
    return outcome.item


def _run(layer: Layer, inputs: dict[str, ArgumentValue], dtype: DType, use: Use, context: Context) -> Outcome | None:
    """Run the body of a layer; `None` after reporting an error."""
    block = layer.block
    frame = Frame(layer, layer.definition.scope, {**layer.configuration}, dtype, checks=[])
    signature = Signature(frame, context)
    fits = bind(block, inputs, signature)
    context.where.matching = None
    if not fits:
        layer.module.doubtful = True
        return None
    use.application = Application(layer.module.path, context.where.application, block.span.source.is_standard)
    use.dtype, use.inputs = dtype, {name: argument.span for name, argument in inputs.items()}
    context.where.enter(use)
    context.note(Used(layer.module, use.span, context.where.way()))
    run(block.body, frame, context)
    results = finish(frame, signature, block.outputs, f"`{block.name.text}`", context)
    context.where.uses.pop()
    return None if results is None else Outcome(applied(block.outputs, frame, results), results)


def bind(node: tree.Block | tree.Model, inputs: dict[str, ArgumentValue], signature: Signature) -> bool:
    """Match the inputs of one application, tensors or `none`, with their declared types, and name them in its frame,
    after run-time checks of the relations that the signature could not decide. `False` after reporting an error."""
    frame, context = signature.frame, signature.context
    for declared in node.inputs:
        name, argument = declared.name.text, inputs[declared.name.text]
        frame.names[name] = argument.item
        if isinstance(argument.item, list) and not count_matches(declared, argument, signature):
            return False
        for i, value in enumerate(_tensors(argument.item)):
            known = set(signature.places)
            what = f"`{name}{f'[{i}]' if isinstance(argument.item, list) else ''}` of `{node.name.text}`"
            if not signature.match(declared.type, value.type, argument.span, what):
                return False
            frame.sources.update(dict.fromkeys(signature.places.keys() - known, value))
    for declared in node.inputs:
        name, argument = declared.name.text, inputs[declared.name.text]
        if isinstance(argument.item, Value):
            value = assumed(argument.item, signature, argument.span, context)
            frame.names[name] = value
            frame.declared[name] = value, declared.type
        elif isinstance(argument.item, list):
            frame.names[name] = [assumed(v, signature, argument.span, context) for v in _tensors(argument.item)]
    return True


def _tensors(item: Item) -> list[Value]:
    """The tensors of an input: of an array all of them."""
    return [value for value in (item if isinstance(item, list) else [item]) if isinstance(value, Value)]


def _called(layer: Layer) -> str:
    """A layer in messages: by its name or, if it is written inline, by its source text."""
    name = layer.module.path.rpartition(".")[2] if layer.module.span != layer.call_span else layer.call_span.text
    return f"`{name}`" if len(name) <= 30 and "\n" not in name else f"`{layer.name}`"


def _callee(layer: Layer, arguments: list[ArgumentValue]) -> Callee:
    """A layer as a callee."""
    block = layer.block

    def wording() -> Wording:
        applied = f"it is applied to `({_inputs(block)})`"
        surplus = [argument for argument in arguments if argument.name is None][len(block.inputs) :]
        no_tensor = surplus and not isinstance(surplus[0].item, Value)
        hint = f"{applied}, and created as `{configured(block)}`" if no_tensor else None
        return Wording(f"`{block.name.text}`", applied, noun="input", takes="is applied to", surplus=hint)

    required = [i.name.text for i in block.inputs if i.default is None]
    return Callee([i.name.text for i in block.inputs], required, wording)


def _matched(
    layer: Layer, arguments: list[ArgumentValue], span: Span, context: Context
) -> dict[str, ArgumentValue] | None:
    """The value of each input, a tensor or `none`; `None` after reporting an error."""
    block = layer.block
    configuration = {c.name.text for c in block.configuration}
    for argument in arguments:
        if argument.name is not None and argument.name.text in configuration:
            _report_configuration(argument, layer, context)
            return None
    array = bool(block.inputs) and block.inputs[-1].count is not None
    arguments = collected(arguments, len(block.inputs), into_list=array, single=True)
    bound, complete = match(_callee(layer, arguments), arguments, span, context)
    if not complete:
        return None
    for declared in block.inputs:
        name = declared.name.text
        if name in bound and (written := bound[name].name) is not None:
            context.references.add(written.span, declared.name.span)
        if name not in bound:
            bound[name] = _default(declared, layer, context)
        if has_poison(bound[name].item):
            continue
        item, optional = bound[name].item, declared.default is not None
        if declared.count is not None and item is not None:
            if not is_array(declared, bound[name], block, context):
                return None
            continue
        if (item is None and not optional) or not _is_input(item, declared, optional):
            context.error(
                "E0225",
                bound[name].span,
                f"`{name}` of `{block.name.text}` must be a tensor, not {describe(item)}",
                help=one_of_results(item, bound[name].span.text) or _to_be_made_with(item, layer),
            )
            return None
        if bound[name].item is not None:
            bound[name].item = as_tensor(bound[name], context.where.dtype, context)
    return bound


def _default(declared: tree.Input, layer: Layer, context: Context) -> ArgumentValue:
    """The default of an input: `none`, or a number of the configuration."""
    assert declared.default is not None
    frame = Frame(layer, layer.definition.scope, {**layer.configuration}, context.where.dtype)
    return ArgumentValue(None, evaluate(declared.default, frame, context), declared.default.span)


def _is_input(item: Item, declared: tree.Input, optional: bool) -> bool:
    """Whether an item is a tensor, or a number for a scalar input or one with a number as default."""
    number = isinstance(item, int | float | Dim) and (optional or not declared.type.dims)
    return item is None or isinstance(item, Value) or number


def _to_be_made_with(item: Item, layer: Layer) -> str | None:
    if isinstance(item, Layer):
        return "apply the layer to a tensor first"
    return f"create it as `{configured(layer.block)}`, then apply it to `({_inputs(layer.block)})`"


def _report_configuration(given: ArgumentValue, layer: Layer, context: Context) -> None:
    """Report a configuration argument where a layer is applied, instead of where it is created."""
    assert given.name is not None
    call, argument = layer.call_span.text, f"{given.name.text}={given.span.text}"
    where = f"`{layer.name}({argument})`"
    if re.fullmatch(r"\w+\(.*\)", call) and "\n" not in call and given.name.text not in layer.argument_spans:
        where = f"`{call[:-1]}{'' if call.endswith('()') else ', '}{argument})`"
    own = not layer.call_span.source.is_standard and layer.call_span != given.span
    context.error(
        "E0221",
        given.name.span,
        f"`{given.name.text}` of `{layer.name}` is set where the layer is created, not where it is applied",
        "no input",
        labels=[Label(layer.call_span, "made here")] if own else (),
        help=f"write {where} where it is created; it is applied to `({_inputs(layer.block)})`",
        applied=False,
    )


def _inputs(block: tree.Block) -> str:
    return ", ".join(i.span.text for i in block.inputs)


def _float_dtype(block: tree.Block, inputs: dict[str, ArgumentValue]) -> DType | None:
    """The default dtype in a block's body: that of its first input declared without a dtype."""
    for declared in block.inputs:
        for value in _tensors(inputs[declared.name.text].item)[:1]:
            if declared.type.dtype is None and value.type.dtype in FLOATS:
                return value.type.dtype
    return None
