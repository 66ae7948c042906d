"""`param PATH = EXPRESSION`: the graph that computes a parameter, evaluated when all layers have their parameters.

A formula can use the names that are bound at its statement. Of tensors these are only parameters, since it is computed
without inputs. A layer that it applies gets its parameters by that, as elsewhere.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

from wsdl.diagnostics import Label
from wsdl.diagnostics.span import Span
from wsdl.elaborate.bound_names import names_of
from wsdl.elaborate.context import Context, PendingFormula
from wsdl.elaborate.control import statement_steps
from wsdl.elaborate.evaluate import evaluate
from wsdl.elaborate.graph_builder import GraphBuilder
from wsdl.elaborate.items import POISON, ArgumentValue, Frame, Item, Layer, describe, has_poison
from wsdl.elaborate.losses import auxiliary_losses
from wsdl.elaborate.path_patterns import path_or_none
from wsdl.elaborate.results import as_tensor
from wsdl.ir.dims import Dim
from wsdl.ir.graph import Graph, Value
from wsdl.ir.requests import FormulaRequest
from wsdl.syntax import tree


def formula(node: tree.Formula, frame: Frame, context: Context) -> None:
    """Record a formula, once for each layer with this body, however often that is applied."""
    if context.mode.again:
        return
    for number in statement_steps(node, frame, context):
        key = node, frame.layer, frame.path, number
        if key in context.formulas:
            continue
        target = path_or_none(node.target, frame, context)
        if target is not None:
            snapshot = replace(frame, names=dict(frame.names), owner=None, results=None)
            uses = tuple(context.where.uses)
            context.formulas[key] = PendingFormula(node, target, snapshot, context.builder, uses)


def elaborate_formulas(models: Mapping[str, Layer], context: Context) -> None:
    """Evaluate the pending formulas, and add them to those of the program, or of the variant whose statements ran.
    `models` are the layers of the models, by name."""
    context.budget.done, context.mode.all_ran = 0, True
    # Layers that formulas apply may have formulas.
    while todo := {key: p for key, p in context.formulas.items() if p is not None}:
        for key, pending in todo.items():
            context.formulas[key] = None
            request = _request(pending, models, context)
            if request is not None:
                (context.mode.variant or context.program).formulas.append(request)


def _request(pending: PendingFormula, models: Mapping[str, Layer], context: Context) -> FormulaRequest | None:
    """A formula with its graph; `None` after reporting an error."""
    node, frame, graph = pending.node, pending.frame, Graph()
    context.builder = GraphBuilder(context.where, context.report, context.budget, context.program.origins, [graph])
    context.where.uses[:] = pending.uses
    context.mode.training, context.mode.depends_on_training = True, False
    if frame.layer is context.root:
        frame.names.update({name: layer for name, layer in models.items() if name not in frame.names})
    _take_over(pending, context)
    item = evaluate(node.value, frame, context)
    value = None if has_poison(item) else as_tensor(ArgumentValue(None, item, node.value.span), frame.dtype, context)
    if value is None and not has_poison(item):
        context.error(
            "E0239",
            node.value.span,
            f"a parameter must be a tensor, not {describe(item)}",
            f"the value of `{node.target.span.text}`",
            applied=False,
        )
    if value is not None and context.mode.depends_on_training:
        _report(
            node.value.span,
            "a formula must compute the same in training and in the compiled model",
            "has dropout or normalizes by the batch",
            context,
            help="compute weights without dropout and without norms with running statistics",
        )
        value = None
    if value is not None and any(n.op == "gradient" for n in graph.walk()):
        _report(
            node.value.span,
            "a formula can't contain a gradient",
            "computes a gradient",
            context,
            help="write the gradient as a formula, or compute it in the body that reads the parameter",
        )
        value = None
    context.mode.training = False
    if value is not None and _reads_a_state(node, context):
        value = None
    context.where.uses.clear()
    if value is None:
        return None
    losses = auxiliary_losses(context)
    graph.outputs = [value, *(loss.value for loss in losses)]
    named = tuple((loss.name, loss.span) for loss in losses)
    return FormulaRequest(pending.target, graph, frame.layer.module.path, node.value.span, named)


def _reads_a_state(node: tree.Formula, context: Context) -> bool:
    """Whether a formula reads a state, which is reported."""
    state = next((slot for slot in context.builder.slots.values() if slot.kind == "state"), None)
    if state is not None:
        _report(
            node.value.span,
            f"`{state.path}` is a state, and a formula can only read parameters",
            "changes with the data",
            context,
            labels=[Label(state.layer_span, f"`{state.path}` belongs to this")],
            help="declare a `param`; `freeze` excludes it from training",
        )
    return state is not None


def _take_over(pending: PendingFormula, context: Context) -> None:
    """Let the names of a formula that stand for parameters of its body stand for them in its own graph; report those
    that stand for what only a run knows."""
    names = pending.frame.names
    for name in names_of(pending.node.value):
        if name.text in names:
            names[name.text] = _taken_over(names[name.text], name, pending, context)


def _taken_over(item: Item, name: tree.Name, pending: PendingFormula, context: Context) -> Item:
    if isinstance(item, list):
        if set(map(type, item)) <= {Layer}:  # an array of layers, of which each may have a formula that names it
            return item
        return [_taken_over(part, name, pending, context) for part in item]
    if isinstance(item, Dim) and item.constant is None:
        what = f"`{name.text}` is a dimension of an input"
        help = f"fix it, `--dim {name.text}=…`, or write a number in the signature"
    elif isinstance(item, Value) and item in pending.builder.slots:
        return context.builder.parameter(pending.builder.slots[item])
    elif isinstance(item, Value) and item not in context.builder.slots:
        what = f"`{name.text}` is a tensor of the body"
        help = "replace it by its definition: parameters, constants, operations, layers applied to these"
    else:
        return item
    origin = context.builder.origins.named.get(item) if isinstance(item, Value) else None
    labels = [Label(origin.span, f"{origin.name} comes from here")] if origin is not None else []
    _report(
        name.span,
        f"{what}, but a formula is computed without inputs",
        "only known at run time",
        context,
        labels=labels,
        help=help,
    )
    return POISON


def _report(span: Span, message: str, label: str, context: Context, *, labels: Iterable[Label] = (), help: str) -> None:
    context.error("E0240", span, message, label, labels=labels, help=help, applied=False)
