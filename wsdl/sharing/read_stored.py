"""From graphs over slots to graphs over stored tensors: each `parameter` node reads what is stored for its slot.

What a formula computes takes the place of the nodes that read it, and is computed from stored tensors in front of them,
once. These are copies, for passes to rewrite; `Checked` and `Storage` stay as they are.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace

from wsdl.ir.graph import Graph, Lowered, Node, Slot, Value
from wsdl.ir.rewriter import Rewriter
from wsdl.ir.stages import Formula, FormulaReading, Reading, ResolvedTraining, Storage, ViewReading
from wsdl.ir.target import DEFAULT, Target
from wsdl.ir.training import AuxiliaryLoss, Objective
from wsdl.ir.views import View, ViewError
from wsdl.ops.build import Build
from wsdl.sharing.auxiliary_losses import with_auxiliary
from wsdl.sharing.fold_views import view_of
from wsdl.sharing.frozen import run_frozen
from wsdl.sharing.through_view import through


def read_stored(storage: Storage, target: Target = DEFAULT) -> Lowered:
    """The models of a program over what is stored for them, to be lowered for a target."""
    models = {}
    for name, model in storage.models.items():
        graph = over_stored(model.graph, storage, {})
        models[name] = replace(model, graph=graph, output_names=list(model.output_names))
    return Lowered(models, dict(storage.stored), target)


def objective_over_stored(storage: Storage, training: ResolvedTraining) -> Objective:
    """What a training minimizes, with frozen layers as it says how they run; the states are those that it changes."""
    objective = _over_stored(training.written.objective, training, storage)
    values = run_frozen(objective.graph, training.as_at_inference)
    changed = {path: objective.states[path] for path in training.statistics}
    return replace(objective, states=changed).substituted(objective.graph, values)


def evaluation_over_stored(storage: Storage, training: ResolvedTraining) -> Objective:
    """What a training is evaluated by."""
    return _over_stored(training.written.evaluation, training, storage)


def _over_stored(written: Objective, training: ResolvedTraining, storage: Storage) -> Objective:
    """The same over what is stored, its loss with those of blocks that it runs, and of formulas that it reads."""
    copies: dict[Value, Value] = {}
    losses: list[AuxiliaryLoss] = []
    objective = written.substituted(over_stored(written.graph, storage, copies, losses), copies)
    return with_auxiliary(objective, [*objective.auxiliary, *losses], training.written)


def initializers_over_stored(storage: Storage) -> Storage:
    """The same, with the initial values that are computed from other tensors over what is stored for these."""
    computed = {
        name: replace(stored, initializer=replace(stored.initializer, graph=over_stored(graph, storage, {})))
        for name, stored in storage.stored.items()
        if (graph := stored.initializer.graph) is not None
    }
    return replace(storage, stored={**storage.stored, **computed}) if computed else storage


def slot_over_stored(slot: Slot, view: View, storage: Storage) -> Graph:
    """What computes a view of a slot from what is stored: a graph without inputs, with this one output."""
    read = Value(slot.type)
    graph = Graph([], [Node("parameter", [], {"slot": slot.path}, [read])])
    graph.outputs = [through(Build(graph), read, view)]
    return over_stored(graph, storage, {})


def over_stored(
    graph: Graph, storage: Storage, copies: dict[Value, Value], losses: list[AuxiliaryLoss] | None = None
) -> Graph:
    """A copy of a graph in which each slot is read as `storage` says. `copies` gets the new values by the old ones,
    `losses` those of the formulas in it; without it they are left out."""
    result = graph.copy(copies)
    computed = _read(result, storage, {}, losses)
    for old, new in copies.items() if computed else ():
        copies[old] = computed.get(new, new)
    return result


def _read(
    graph: Graph, storage: Storage, placed: dict[Formula, Value], losses: list[AuxiliaryLoss] | None
) -> dict[Value, Value]:
    """Let `parameter` nodes read what is stored, and put formulas, each once, in front of the first that reads it;
    `placed` are those that are there, `losses` theirs. What stands for which value."""
    computed: list[tuple[Node, FormulaReading]] = []
    for node in graph.walk():
        if node.op == "parameter":
            reading = storage.readings[str(node.attributes["slot"])]
            if losses is None:
                reading = _without_losses(reading, storage)
            if isinstance(reading, FormulaReading):
                computed.append((node, reading))
            else:
                node.attributes, node.view = {"stored": reading.stored}, reading.view
    if not computed:
        return {}
    values: dict[Value, Value] = {}
    with Rewriter(graph) as rewriter:
        for node, reading in computed:
            if reading.formula not in placed:
                formula = reading.formula.graph.copy({})
                _read(formula, storage, placed, losses)
                for inner in formula.walk():
                    inner.in_f32 = True
                rewriter.insert(formula.nodes, node)
                placed[reading.formula], *auxiliary = formula.outputs
                named = zip(reading.formula.losses, auxiliary, strict=True)
                if losses is not None:
                    losses += [AuxiliaryLoss(name, value, span) for (name, span), value in named]
            build = Build.at(node)
            values[node.result] = through(build, placed[reading.formula], reading.view)
            rewriter.replace_node(node, build.nodes, [values[node.result]])
    return values


def _without_losses(reading: Reading, storage: Storage) -> Reading:
    """A formula that is a view of a stored tensor but for its losses is that view in a compiled model."""
    if isinstance(reading, FormulaReading) and reading.formula.losses:
        found = view_of(reading.formula.graph)
        source = storage.readings[found[0]] if found is not None else None
        if found is not None and isinstance(source, ViewReading):
            with suppress(ViewError):
                view = source.view.then(found[1]).then(reading.view)
                if view.layout:
                    return ViewReading(source.stored, view)
    return reading
