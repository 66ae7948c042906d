"""From graphs over slots to graphs over stored tensors: each `parameter` node reads what is stored for its slot.

These are copies, for passes to rewrite; `Checked` and `Storage` stay as they are.
"""

from __future__ import annotations

from dataclasses import replace

from wsdl.ir.graph import Graph, Lowered, Value
from wsdl.ir.stages import ResolvedTraining, Storage
from wsdl.ir.target import DEFAULT, Target
from wsdl.ir.training import Objective
from wsdl.sharing.frozen import run_frozen


def read_stored(storage: Storage, target: Target = DEFAULT) -> Lowered:
    """The models of a program over what is stored for them, to be lowered for a target."""
    models = {}
    for name, model in storage.models.items():
        graph = over_stored(model.graph, storage, {})
        models[name] = replace(model, graph=graph, output_names=list(model.output_names))
    return Lowered(models, dict(storage.stored), target)


def objective_over_stored(storage: Storage, training: ResolvedTraining) -> Objective:
    """What a training minimizes, with frozen layers as it says how they run; the states are those that it changes."""
    written = training.written.objective
    copies: dict[Value, Value] = {}
    objective = written.substituted(over_stored(written.graph, storage, copies), copies)
    values = run_frozen(objective.graph, training.as_at_inference)
    changed = {path: objective.states[path] for path in training.statistics}
    return replace(objective, states=changed).substituted(objective.graph, values)


def evaluation_over_stored(storage: Storage, training: ResolvedTraining) -> Objective:
    """What a training is evaluated by."""
    written = training.written.evaluation
    copies: dict[Value, Value] = {}
    return written.substituted(over_stored(written.graph, storage, copies), copies)


def over_stored(graph: Graph, storage: Storage, copies: dict[Value, Value]) -> Graph:
    """A copy of a graph in which each slot is read as `storage` says; `copies` has the new values by the old ones."""
    result = graph.copy(copies)
    for node in result.walk():
        if node.op == "parameter":
            reading = storage.readings[str(node.attributes["slot"])]
            node.attributes, node.view = {"stored": reading.stored}, reading.view
    return result
