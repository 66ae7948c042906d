"""`variant` declarations: runs their statements like those of the file, and records their requests separately.

All bodies have run before, so that a variant can't change the computation.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from wsdl.diagnostics import Label
from wsdl.elaborate.context import Context, Requests
from wsdl.elaborate.evaluate import run
from wsdl.elaborate.formulas import elaborate_formulas
from wsdl.elaborate.items import Frame, Layer
from wsdl.elaborate.program_builder import FileRequests
from wsdl.elaborate.scopes import FileScope
from wsdl.elaborate.training import names_read, rates_of, report_unknown_model
from wsdl.elaborate.where import Use
from wsdl.ir.graph import Module
from wsdl.ir.variants import TrainingChanges, Variant
from wsdl.syntax import tree


def elaborate_variants(scope: FileScope, models: Mapping[str, Layer], context: Context) -> None:
    """Fill `program.variants` from the `variant` declarations of a file."""
    for node in scope.variants.values():
        context.program.variants[node.name.text] = _variant(node, scope, models, context)


def _variant(node: tree.Variant, scope: FileScope, models: Mapping[str, Layer], context: Context) -> Variant:
    requests = context.mode.variant = FileRequests()
    run(
        [s for s in node.body if not isinstance(s, tree.Changes)],
        Frame(context.root, scope, {}, context.where.dtype),
        context,
    )
    elaborate_formulas(models, context)
    context.mode.variant = None
    return Variant(
        node.name.text,
        node.name.span,
        tuple(requests.groups),
        tuple(requests.formulas),
        tuple(requests.ways),
        tuple(requests.freezes),
        tuple(replace(limit, model=model) for limit in requests.limits for model in context.program.models),
        tuple(requests.loads),
        tuple(requests.copies),
        _trainings(node, scope, models, context),
        node.doc,
    )


def _trainings(
    variant: tree.Variant, scope: FileScope, models: Mapping[str, Layer], context: Context
) -> dict[str, TrainingChanges]:
    trained = {node.name.text: node for node in scope.file.declarations if isinstance(node, tree.Train)}
    changes: dict[str, TrainingChanges] = {}
    seen: dict[str, tree.Name] = {}
    for node in variant.body:
        if not isinstance(node, tree.Changes):
            continue
        name = node.name.text
        if name not in trained and name not in models:
            report_unknown_model(node.name, scope, models, context)
        elif name not in trained:
            _report_untrained(node, scope, context)
        elif name in seen:
            context.error(
                "E0802",
                node.name.span,
                f"the variant `{variant.name.text}` changes how `{name}` is trained twice",
                "changed again",
                labels=[Label(seen[name].span, "changed first")],
                help="write all lines into one `train`",
            )
        elif trained[name].model.text in models:
            changes[name] = _changes(node, models[trained[name].model.text], context)
        seen.setdefault(name, node.name)
    return changes


def _changes(node: tree.Changes, layer: Layer, context: Context) -> TrainingChanges:
    """The changes to the training of a model; paths begin below the model, as in its `train`."""
    own = Layer(layer.definition, {}, Module(layer.module.path, "training", node.name.span), node.name.span)
    requests = context.mode.requests = Requests()
    context.mode.again = True
    context.references.add(node.name.span, layer.definition.node.name.span)
    for name in names_read(node.body):
        context.references.add(name.span, layer.definition.scope.place(name.text))
    context.where.uses.append(Use(own, node.name.span))
    run(node.body, Frame(own, layer.definition.scope, {**layer.declared}, context.where.dtype), context)
    context.where.uses.pop()
    context.mode.again, context.mode.requests = False, None
    training = context.program.trainings.get(node.name.text)  # `None` after errors
    rates = rates_of(requests, training.optimizer) if training is not None else []
    return TrainingChanges(tuple(requests.freezes), tuple(rates))


def _report_untrained(node: tree.Changes, scope: FileScope, context: Context) -> None:
    name = node.name
    if not scope.is_partial:  # its training may have a syntax error
        context.error(
            "E0824",
            name.span,
            f"`{name.text}` has no `train`, so a variant can't change it",
            "has no training",
            labels=[Label(scope.definitions[name.text].node.name.span, "the model")],
            help=f"declare its training at file level: `train {name.text}(targets) {{ loss … optimizer … }}`",
        )
