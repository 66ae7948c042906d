"""Checks `gradient(y, x)` by expanding it in copies of the graphs, over stored tensors, as the passes do."""

from __future__ import annotations

from dataclasses import replace

from wsdl.diagnostics import Label, Problems
from wsdl.differentiation.expand_gradients import has_gradients
from wsdl.differentiation.expansion import expand
from wsdl.ir.graph import Graph, Model, Node, Value
from wsdl.ir.stages import ResolvedTraining, Storage
from wsdl.ir.training import AuxiliaryLoss, Objective
from wsdl.ops import OPERATIONS
from wsdl.rewrite.prune import prune_graph
from wsdl.sharing.frozen import run_frozen
from wsdl.sharing.read_stored import over_stored


def expanded_models(storage: Storage, problems: Problems) -> dict[str, Model]:
    """The models of a program over stored tensors, with gradients expanded; reports gradients that don't exist."""
    return {name: _expanded_model(model, storage, problems) for name, model in storage.models.items()}


def _expanded_model(model: Model, storage: Storage, problems: Problems) -> Model:
    graph = over_stored(model.graph, storage, {})
    _expand(graph, problems)
    prune_graph(graph)
    return replace(model, graph=graph)


def expanded_objective(training: ResolvedTraining, storage: Storage, problems: Problems) -> Objective:
    """The objective of a training over stored tensors, with the losses of formulas among its auxiliary ones."""
    written = training.written
    for update in written.objective.updates:
        for node in (node for node in update.graph.walk() if node.op == "gradient"):
            _report_outside(
                node, "an `update` is computed after the step", "bind it to a name in front of it", problems
            )
    copies: dict[Value, Value] = {}
    losses: list[AuxiliaryLoss] = []
    graph = over_stored(written.objective.graph, storage, copies, losses)
    objective = written.objective.substituted(graph, copies)
    objective = replace(objective, auxiliary=(*objective.auxiliary, *losses))
    objective = objective.substituted(graph, run_frozen(graph, training.as_at_inference))
    return objective.substituted(graph, _expand(graph, problems))


def check_evaluation(training: ResolvedTraining, storage: Storage, problems: Problems) -> None:
    """Report gradients that don't exist in the evaluation of a training."""
    _expand(over_stored(training.written.evaluation.graph, storage, {}), problems)


def _expand(graph: Graph, problems: Problems) -> dict[Value, Value]:
    if not has_gradients(graph):
        return {}
    copies: dict[Value, Value] = {}
    before = graph.copy(copies)
    expansion = expand(graph)
    for node in expansion.outside:
        help = "carry it from step to step, `with w = …`, or compute the gradient of what the `scan` returns"
        _report_outside(node, "the steps of a `scan` are one body, which doesn't compute it", help, problems)
    for node in expansion.independent:
        if node not in expansion.outside:
            _report_independent(node, before, copies, problems)
    return expansion.values


def _report_outside(node: Node, label: str, help: str, problems: Problems) -> None:
    if node.span is not None and not problems.has("E0429", node.span):
        message = "this gradient is with respect to a tensor from outside"
        problems.error("E0429", node.span, message, label, help=help)


def _report_independent(node: Node, before: Graph, copies: dict[Value, Value], problems: Problems) -> None:
    if node.span is None or problems.has("E0428", node.span):
        return
    y, x = (copies.get(value, value) for value in node.inputs)
    flat = _flat_between(x, y, before)
    if flat is None:
        problems.error(
            "E0428",
            node.span,
            "this gradient is always 0: the first argument is not computed from the second",
            "always 0",
            help="bind the second argument to a name, and compute the first one from that name; a name that is bound "
            "again is another tensor",
        )
        return
    labels = [Label(flat.span, f"`{flat.op}`")] if flat.span is not None and flat.span != node.span else []
    problems.error(
        "E0428",
        node.span,
        f"this gradient is always 0: `{flat.op}` has no gradient",
        "always 0",
        labels=labels,
        help=OPERATIONS[flat.op].flat or "integers have no gradients",
    )


def _flat_between(x: Value, y: Value, graph: Graph) -> Node | None:
    """The first operation between `x` and `y` that has no gradient."""
    reached, behind = {x}, {y}
    nodes = list(graph.walk())
    for node in nodes:
        if not reached.isdisjoint(node.reads()):
            reached.update(node.results)
    for node in reversed(nodes):
        if not behind.isdisjoint(node.results):
            behind.update(node.reads())
    on_the_way = [n for n in nodes if not reached.isdisjoint(n.reads()) and not behind.isdisjoint(n.results)]
    jumps = (n for n in on_the_way if n.op in OPERATIONS and (OPERATIONS[n.op].flat or not n.result.type.is_float))
    return next(jumps, None)
