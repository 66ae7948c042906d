"""Applies a model to values, in a `train`: its body runs again on them, over the same layers."""

from __future__ import annotations

from wsdl.diagnostics.span import Span
from wsdl.elaborate.apply import bind
from wsdl.elaborate.arguments import Callee, Wording, collected, match
from wsdl.elaborate.arrays import is_array
from wsdl.elaborate.context import Context
from wsdl.elaborate.evaluate import run
from wsdl.elaborate.items import POISON, ArgumentValue, Frame, Item, Layer, any_poison, describe
from wsdl.elaborate.results import applied, as_tensor, finish
from wsdl.elaborate.scopes import Definition
from wsdl.elaborate.signatures import Signature, names_in
from wsdl.elaborate.where import Use
from wsdl.ir.graph import Application
from wsdl.syntax import tree


def apply_model(definition: Definition, arguments: list[ArgumentValue], span: Span, context: Context) -> Item:
    """The outputs of a model on inputs: a tensor, or a tuple of several."""
    node, layer = definition.node, context.models.get(definition.name)
    assert isinstance(node, tree.Model)
    if layer is None:  # it has an error
        return POISON
    inputs = _inputs(node, arguments, span, context)
    if inputs is None:
        return POISON
    frame = Frame(layer, definition.scope, _fixed_sizes(node, context), "f32", checks=[])
    signature = Signature(frame, context)
    if not bind(node, inputs, signature):
        return POISON
    return _outputs(layer, node, frame, signature, span, context)


def _outputs(layer: Layer, node: tree.Model, frame: Frame, signature: Signature, span: Span, context: Context) -> Item:
    application = Application(layer.module.path, context.where.application, is_standard=False)
    context.where.uses.append(Use(layer, span, application))
    run(node.body, frame, context)
    results = finish(frame, signature, node.outputs, f"`{node.name.text}`", context)
    context.where.uses.pop()
    if results is None:
        return POISON
    return applied(node.outputs, frame, results)


def _fixed_sizes(node: tree.Model, context: Context) -> dict[str, Item]:
    """The dynamic dimensions of a model that options fix."""
    names = (name.text for i in node.inputs for dim in i.type.dims for name in names_in(dim))
    return {name: context.dims[name] for name in names if name in context.dims}


def _inputs(
    node: tree.Model, arguments: list[ArgumentValue], span: Span, context: Context
) -> dict[str, ArgumentValue] | None:
    """The tensor for each input; `None` after reporting an error."""
    names = [declared.name.text for declared in node.inputs]
    usage = f"it is applied to `({', '.join(i.span.text for i in node.inputs)})`"
    wording = Wording(f"`{node.name.text}`", usage, noun="input", takes="is applied to")
    array = bool(node.inputs) and node.inputs[-1].count is not None
    arguments = collected(arguments, len(names), into_list=array, single=True)
    bound, complete = match(Callee(names, names, lambda: wording), arguments, span, context)
    if not complete or any_poison(bound.values()):
        return None
    for declared in node.inputs:
        argument = bound[declared.name.text]
        if argument.name is not None:
            context.references.add(argument.name.span, declared.name.span)
        if declared.count is not None:
            if not is_array(declared, argument, node, context):
                return None
            continue
        item = as_tensor(argument, context.where.dtype, context)
        if item is None:
            message = f"`{declared.name.text}` of `{node.name.text}` must be a tensor, not {describe(argument.item)}"
            context.error("E0225", argument.span, message, help=usage)
            return None
        argument.item = item
    return bound
