"""From graphs over slots to graphs over stored tensors: each `parameter` node reads what is stored for its slot.

What a formula computes takes the place of the nodes that read it, and is computed from stored tensors in front of them,
once. These are copies, for passes to rewrite; `Checked` and `Storage` stay as they are.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, field, replace

from wsdl.ir.graph import Graph, Lowered, Node, Slot, Value
from wsdl.ir.rewriter import Rewriter
from wsdl.ir.stages import Formula, FormulaReading, Reading, ResolvedTraining, Storage, ViewReading
from wsdl.ir.target import DEFAULT, Target
from wsdl.ir.training import AuxiliaryLoss, Objective
from wsdl.ir.views import Step, View, ViewError
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
    written = replace(training.written.objective, updates=tuple(training.updates))
    objective = _over_stored(written, training, storage)
    values = run_frozen(objective.graph, training.as_at_inference)
    changed = {path: objective.states[path] for path in training.statistics}
    objective = replace(objective, states=changed).substituted(objective.graph, values)
    updates = tuple(replace(u, graph=over_stored(u.graph, storage, {})) for u in objective.updates)
    return replace(objective, updates=updates)


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
    return replace(storage, stored={**storage.stored, **computed})


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
    computed = _Formulas(storage, losses).read(result)
    for old, new in copies.items() if computed else ():
        copies[old] = computed.get(new, new)
    return result


@dataclass
class _Formulas:
    """The formulas of one graph: `placed` has the values of those that are there, as they are and through views, and
    `losses` gets theirs."""

    storage: Storage
    losses: list[AuxiliaryLoss] | None
    placed: dict[tuple[Formula, tuple[Step, ...]], Value] = field(default_factory=dict)

    def read(self, graph: Graph) -> dict[Value, Value]:
        """Let `parameter` nodes read what is stored, and put formulas, each once, in front of the first that reads it
        and of the `for` around that. What stands for which value."""
        computed: list[tuple[Node, FormulaReading]] = []
        for node in graph.walk():
            if node.op == "parameter":
                reading = self._reading(node)
                if isinstance(reading, FormulaReading):
                    computed.append((node, reading))
                else:
                    node.attributes, node.view = {"stored": reading.stored}, reading.view
        if not computed:
            return {}
        values: dict[Value, Value] = {}
        places = _outside_loops(graph)
        of_slots = {node.result: reading for node, reading in computed}
        # With respect to what a formula computes, as all slots that are views of it read that.
        gradients = [(n, of_slots[n.inputs[1]]) for n in graph.walk() if n.op == "gradient" and n.inputs[1] in of_slots]
        with Rewriter(graph) as rewriter:
            for node, reading in computed:
                key = reading.formula, reading.view.steps
                if key not in self.placed:
                    build = Build.at(node)
                    self.placed[key] = through(build, self._value(reading.formula, build), reading.view)
                    rewriter.insert(build.nodes, places.get(node, node))
                values[node.result] = self.placed[key]
                rewriter.replace_node(node, [], [values[node.result]])
            for node, reading in gradients:
                rewriter.set_inputs(node, [node.inputs[0], self.placed[reading.formula, ()]])
                node.view = reading.view
        return values

    def _reading(self, node: Node) -> Reading:
        reading = self.storage.readings[str(node.attributes["slot"])]
        return without_losses(reading, self.storage) if self.losses is None else reading

    def _value(self, formula: Formula, build: Build) -> Value:
        """What a formula computes; its nodes, and those of formulas that it needs, are appended where they aren't there
        yet."""
        rest = [formula]
        while rest:
            first = rest[-1]
            reads = (self._reading(node) for node in first.graph.walk() if node.op == "parameter")
            needed = [r.formula for r in reads if isinstance(r, FormulaReading) and (r.formula, ()) not in self.placed]
            if (first, ()) not in self.placed and not needed:
                self._place(first, build)
            if (first, ()) in self.placed:
                rest.pop()
            rest += needed
        return self.placed[formula, ()]

    def _place(self, formula: Formula, build: Build) -> None:
        graph = formula.graph.copy({})
        self.read(graph)
        for node in graph.walk():
            node.in_f32 = True
        build.nodes.extend(graph.nodes)
        self.placed[formula, ()], *auxiliary = graph.outputs
        named = zip(formula.losses, auxiliary, strict=True)
        if self.losses is not None:
            self.losses += [AuxiliaryLoss(name, value, span) for (name, span), value in named]


def _outside_loops(graph: Graph) -> dict[Node, Node]:
    """For the nodes between the first and the last step of a `for`, its first node: what is put in front of that is in
    none of the steps."""
    last = {node.steps[0].loop: node for node in graph.nodes if node.steps}
    places: dict[Node, Node] = {}
    first: Node | None = None
    for node in graph.nodes:
        if first is None and node.steps:
            first = node
        if first is not None:
            places[node] = first
            if node is last[first.steps[0].loop]:
                first = None
    return places


def without_losses(reading: Reading, storage: Storage) -> Reading:
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
