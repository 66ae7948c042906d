"""`train` declarations: runs the model's body again, then that of the declaration with the names of the model.

This is done twice: as in training for the loss, and as compiled for the evaluation. The layers and slots are those of
the model.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from wsdl.diagnostics import Label
from wsdl.diagnostics.span import Span
from wsdl.diagnostics.suggest import nearest
from wsdl.elaborate.bound_names import bound_names, names_in_indices, names_of, paths_of
from wsdl.elaborate.context import Context, Requests
from wsdl.elaborate.evaluate import run
from wsdl.elaborate.items import POISON, Frame, Layer
from wsdl.elaborate.losses import auxiliary_losses, scalar, total
from wsdl.elaborate.models import ModelRun, read_inputs, run_again
from wsdl.elaborate.scopes import FileScope
from wsdl.elaborate.where import Use
from wsdl.ir.graph import Module
from wsdl.ir.training import SEED, STEP, Objective, Optimizer, RateRequest, Schedule, Training
from wsdl.syntax import tree


def elaborate_trainings(scope: FileScope, models: Mapping[str, Layer], context: Context) -> None:
    """Fill `program.trainings` from the `train` declarations of a file, and `program.turns`."""
    context.models = models
    seen: dict[str, Span] = {}
    for node in scope.file.declarations:
        if not isinstance(node, tree.Train):
            continue
        name, model = node.name.text, node.model.text
        if model not in models:
            report_unknown_model(node.model, scope, models, context)
        elif name in seen:
            context.error(
                "E0802",
                node.name.span,
                f"two trainings have the name `{name}`",
                "again",
                labels=[Label(seen[name], "first")],
                help="several `loss` lines of one `train` add up; two trainings of one model have names, "
                f"`train first of {model}(…)`",
            )
        elif name != model and name in models:
            context.error(
                "E0833",
                node.name.span,
                f"`{name}` is a model, so a training of `{model}` can't have this name",
                "the name of another model",
                labels=[Label(models[name].definition.node.name.span, "the model")],
                help="give the training another name: results and files are named after it",
            )
        else:
            seen[name] = node.name.span
            training = _training(node, models[model], context)
            if training is not None:
                context.program.trainings[name] = training
    if any(isinstance(node, tree.Turns) for node in scope.file.declarations):
        from wsdl.elaborate.turns import elaborate_turns

        elaborate_turns(scope, seen, context)


def report_unknown_model(name: tree.Name, scope: FileScope, models: Mapping[str, Layer], context: Context) -> None:
    """Report a `train` without a model of this name in the file."""
    if scope.is_partial and name.text not in scope.definitions:
        return  # it may be the one with the syntax error
    near = nearest(name.text, models)
    other = scope.definitions.get(name.text)
    context.error(
        "E0801",
        name.span,
        f"there is no model `{name.text}` to train",
        labels=[Label(other.node.name.span, "not a model")] if other is not None and other.scope is scope else (),
        help=f"the models of this file are {', '.join(f'`{m}`' for m in models)}" if models else "declare it first",
        near=near,
    )


def _training(node: tree.Train, layer: Layer, context: Context) -> Training | None:
    context.mode.again, context.mode.training, context.mode.depends_on_training = True, True, False
    context.mode.trained = "" if node.model is node.name else node.name.text
    requests, objective = _objective(node, layer, context)
    evaluation = None
    if objective is not None:
        context.mode.training = False
        if context.mode.depends_on_training:
            _, evaluation = _objective(node, layer, context)
        else:
            evaluation = replace(objective, updates=()).copy()
    context.mode.again, context.mode.training, context.mode.trained = False, False, ""
    optimizer = _the_optimizer(node, requests, context)
    if not requests.losses and not requests.auxiliary:
        context.error(
            "E0804",
            node.name.span,
            f"the training {_called(node)} has no loss",
            "no `loss` was reached",
            help="add a line such as `loss mse(output, target)`",
        )
    if objective is None or evaluation is None or optimizer is None:
        return None
    rates = rates_of(requests, optimizer)
    return Training(
        node.name.text,
        node.model.text,
        objective,
        evaluation,
        optimizer,
        requests.freezes,
        rates,
        [loss.span for loss in requests.losses],
        node.span,
        node.doc,
        requests.weights,
    )


def _called(node: tree.Train) -> str:
    """A training in messages: "of `lm`", or its name."""
    return f"of `{node.name.text}`" if node.model is node.name else f"`{node.name.text}`"


def rates_of(requests: Requests, optimizer: Optimizer) -> list[RateRequest]:
    """The learning rates of parts of the model. A number is the peak of a schedule like the optimizer's."""
    return [
        RateRequest(r.paths, r.base, rate if isinstance(rate, Schedule) else optimizer.lr.with_peak(rate), span)
        for r, rate, span in requests.rates
    ]


def _the_optimizer(node: tree.Train, requests: Requests, context: Context) -> Optimizer | None:
    if not requests.optimizers:
        context.error(
            "E0805",
            node.name.span,
            f"the training {_called(node)} has no optimizer",
            "no `optimizer` was reached",
            help="add a line such as `optimizer AdamW(lr=cosine(1e-3, warmup=100))`",
        )
        return None
    (optimizer, first), *others = requests.optimizers
    for _, span in others:
        context.error(
            "E0808",
            span,
            "a training has one optimizer",
            "one too many",
            labels=[Label(first, "the first one")] if first != span else (),
            help="for other learning rates of parts, write `lr PATH = …`",
        )
    return optimizer


def _objective(node: tree.Train, layer: Layer, context: Context) -> tuple[Requests, Objective | None]:
    """The requests of the declaration, and the graph of its losses and metrics (`None` after errors)."""
    errors = len(context.report.problems.errors)
    model = run_again(layer, context)
    own = Layer(layer.definition, {}, Module(layer.module.path, "training", node.name.span), node.name.span)
    own.taken |= layer.taken | layer.declared.keys()
    layers = {**layer.declared}
    frame = Frame(
        own, layer.definition.scope, {**layers, **model.sizes, **model.inputs, **model.outputs}, context.where.dtype
    )
    context.mode.requests = requests = Requests()
    context.where.uses.append(Use(own, node.name.span))
    before = len(model.graph.inputs)
    _name_parameters(node, layer, frame, context)
    read_inputs(_targets_with_names_of_their_own(node, layer, model, context), frame, model.graph, context)
    frame.names.update({t.name.text: POISON for t in node.targets if t.name.text not in frame.names})
    _name_what_is_hidden(node, layer, frame, context)
    _keep_references(node, layer, context)
    run(node.body, frame, context)
    _report_new_layers(own, context)
    losses = [scalar(argument, "loss", context) for argument in requests.losses]
    named = {a.name.text: loss for a, loss in zip(requests.losses, losses, strict=True) if a.name is not None}
    metrics = named | {name: scalar(argument, "metric", context) for name, argument in requests.metrics.items()}
    requests.auxiliary = auxiliary_losses(context)
    broken = None in losses or None in metrics.values() or not (losses or requests.auxiliary)
    objective = None
    if not broken and len(context.report.problems.errors) == errors:
        values = [value for value in losses if value is not None]
        loss = total(values, requests.losses, context)
        results = {name: value for name, value in metrics.items() if value is not None}
        model.graph.outputs = [loss, *results.values(), *(auxiliary.value for auxiliary in requests.auxiliary)]
        targets = model.graph.inputs[before:]
        random = context.builder.random
        model.graph.inputs += [random[name] for name in (SEED, STEP) if name in random]
        states = dict(context.builder.updated)
        auxiliary, updates = tuple(requests.auxiliary), tuple(context.builder.updates)
        objective = Objective(model.graph, targets, values, loss, results, states, auxiliary, updates)
        if requests.carries:
            from wsdl.elaborate.carries import carried

            objective = carried(objective, requests.carries, frame, context)
    context.where.uses.pop()
    context.mode.requests = None
    return requests, objective


# -- names -------------------------------------------------------------------------------------------------------------


def _targets_with_names_of_their_own(
    node: tree.Train, layer: Layer, model: ModelRun, context: Context
) -> list[tree.Input]:
    definition = layer.definition.node
    assert isinstance(definition, tree.Model)
    output_spans = {o.name.text: o.name.span for o in definition.outputs or () if o.name is not None}
    output_spans.update({i.name.text: i.name.span for i in definition.inputs})
    kinds = {**dict.fromkeys(layer.declared, "a layer"), **dict.fromkeys(model.outputs, "an output")}
    kinds.update(dict.fromkeys(model.inputs, "an input"))
    free: list[tree.Input] = []
    for target in node.targets:
        name = target.name.text
        if name not in kinds:
            free.append(target)
        else:
            theirs = kinds[name] in ("an input", "an output")
            context.error(
                "E0803",
                target.name.span,
                f"the target `{name}` has the name of {kinds[name]} of `{node.model.text}`",
                "named again",
                labels=[Label(output_spans[name], f"{kinds[name]} of the model")] if name in output_spans else (),
                help="inputs and outputs of the model can be used without declaring them"
                if theirs
                else "give it another name",
            )
        kinds[name], output_spans[name] = "another target", target.name.span
    return free


def _name_parameters(node: tree.Train, layer: Layer, frame: Frame, context: Context) -> None:
    """Let the names of parameters and states of the model itself stand for them, where its inputs and outputs don't."""
    for name in names_read(node.body):
        if name.text in layer.module.slots and name.text not in frame.names:
            frame.names[name.text] = context.builder.parameter(layer.module.slots[name.text])


def _name_what_is_hidden(node: tree.Train, layer: Layer, frame: Frame, context: Context) -> None:
    """Report the use of a name inside the model's body, with a better message than "unknown name"."""
    definition = layer.definition.node
    assert isinstance(definition, tree.Model)
    inside = bound_names(definition.body).keys() - frame.names.keys() - bound_names(node.body).keys()
    for name in names_read(node.body):
        if name.text in inside and name.text not in frame.names:
            context.error(
                "E0814",
                name.span,
                f"`{name.text}` is bound inside of `{node.model.text}`",
                "not visible outside of its body",
                labels=[Label(bound_names(definition.body)[name.text], "bound here")],
                help=f"return it too: `-> (…, {name.text}: …)`",
            )
            frame.names[name.text] = POISON


def _keep_references(node: tree.Train, layer: Layer, context: Context) -> None:
    """Record the definitions of the names in the body of a `train`: in it, its targets, the model, the file."""
    definition = layer.definition.node
    assert isinstance(definition, tree.Model)
    outputs = [output.name for output in definition.outputs or () if output.name is not None]
    outputs = outputs or [name for s in definition.body if isinstance(s, tree.Return) for name in s.names]
    owned = layer.declared.keys() | layer.module.slots.keys()
    spans = {name: span for name, span in bound_names(definition.body).items() if name in owned}
    for item in (*definition.inputs, *node.targets):
        for size in (name for dim in item.type.dims for name in names_of(dim)):
            context.references.add(size.span, spans.get(size.text) or layer.definition.scope.place(size.text))
            spans.setdefault(size.text, size.span)
    spans |= {name.text: name.span for name in (*outputs, *(i.name for i in (*definition.inputs, *node.targets)))}
    spans |= bound_names(node.body)
    context.references.add(node.model.span, definition.name.span)
    for name in names_read(node.body):
        context.references.add(name.span, spans.get(name.text) or layer.definition.scope.place(name.text))


# Fields of nodes that contain bound names, and paths.
_NO_EXPRESSIONS = ("name", "targets", "paths", "mode")


def names_read(part: object) -> list[tree.Name]:
    """The names that the expressions of a body read, also the indices in the paths of `freeze` and `lr`."""
    if isinstance(part, tree.Name):
        return [part]
    if isinstance(part, tuple):
        return [name for item in part for name in names_read(item)]
    if isinstance(part, tree.Node):
        indices = [name for path in paths_of(part) for name in names_in_indices(path)]
        parts = [value for key, value in vars(part).items() if key not in _NO_EXPRESSIONS]
        return indices + [name for value in parts for name in names_read(value)]
    return []


def _report_new_layers(own: Layer, context: Context) -> None:
    """Report new layers with weights; a block without weights may be applied like an operation."""
    for layer in own.inline.values():
        if not layer.module.doubtful and not any(layer.module.all_slots()):
            continue
        context.error(
            "E0815",
            layer.module.span,
            f"a training can't add weights, but `{layer.name}` has some",
            "a new layer",
            help="declare it as a layer of the model, and apply that",
        )
