"""One step of training as one graph: forward, backward, update.

What it reads are the model's inputs, the targets, the number of the step, the trained tensors, running statistics and
the optimizer's state; what it gives are the loss, the metrics, and all of that anew. There is nothing in it but
operations of the language, so the compiled step is an ordinary ONNX file.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from wsdl.ir.graph import Graph, Model, Node, Program, Stored, Value
from wsdl.ir.training import Schedule, Training
from wsdl.ir.types import TensorType
from wsdl.ir.views import View
from wsdl.ops.build import Build
from wsdl.passes.dedupe import dedupe
from wsdl.passes.differentiate import differentiate
from wsdl.passes.fold_views import fold_views
from wsdl.passes.hoist_invariants import hoist_graph
from wsdl.passes.optimizers import OPTIMIZERS, Scalars, learning_rate
from wsdl.passes.prune import prune
from wsdl.passes.roll_loops import Loops, roll_loops
from wsdl.passes.through_view import through_view

SCALAR, COUNT = TensorType.of("f32"), TensorType.of("i64")
STEP, TOTAL = "step", "total_steps"  # inputs, i64: the number of steps done, and that of the whole run


@dataclass(eq=False)
class TrainStep:
    """A step of training as a program of one model, and what connects one step with the next.

    `trained` are the stored tensors that the optimizer changes, `statistics` those that the batches do; `states` are
    the optimizer's own inputs, all 0 at first, and `averages` those that follow a trained tensor and start as it does.
    `feeds` says which output is which input of the next step.
    """

    program: Program
    trained: list[Stored]
    statistics: list[Stored] = field(default_factory=list)
    states: dict[str, TensorType] = field(default_factory=dict)
    averages: dict[str, Stored] = field(default_factory=dict)
    feeds: dict[str, str] = field(default_factory=dict)

    @property
    def model(self) -> Model:
        return next(iter(self.program.models.values()))


def train_step(program: Program, training: Training, loops: Loops = "auto") -> TrainStep:
    """The step of a training that was checked. Its graph becomes the step's own."""
    model = Model(training.model, training.graph, program.models[training.model].module, training.doc, training.span)
    step = Program(models={model.name: model}, stored=dict(program.stored))
    updates = _updates(program, training)
    model.graph.outputs = [
        training.loss,
        *training.metrics.values(),
        *(v for values in updates.values() for v in values),
    ]
    roll_loops(fold_views(step), loops)
    dedupe(step)
    model.output_names = ["loss", *training.metrics]
    latest = model.graph.outputs[len(model.output_names) :]
    del model.graph.outputs[len(model.output_names) :]
    model.fed = [*training.trained, *updates]
    result = TrainStep(
        step, [program.stored[name] for name in training.trained], [program.stored[name] for name in updates]
    )
    gradients = _gradients(model.graph, result.trained)
    _update(model, result, gradients, training)
    for name, values in updates.items():
        _give(model, result, _mean(Build(model.graph), latest[: len(values)]), name)
        del latest[: len(values)]
    dedupe(step)
    prune(step)
    read = {id(v) for node in model.graph.nodes for v in node.reads()}
    model.graph.inputs = [v for v in model.graph.inputs if v.name != TOTAL or id(v) in read]
    return result


def _updates(program: Program, training: Training) -> dict[str, list[Value]]:
    """The new running statistics by the name of the stored tensor; where layers share one, each has its say."""
    updates: dict[str, list[Value]] = {}
    for path, value in training.objective.states.items():
        stored, _ = program.stored_of(path)
        updates.setdefault(stored.name, []).append(value)
    return updates


def _mean(build: Build, values: list[Value]) -> Value:
    return values[0] if len(values) == 1 else build("div", build.add(values), float(len(values)))


def _gradients(graph: Graph, trained: list[Stored]) -> dict[str, Value]:
    """The gradient of each trained tensor: the sum over its uses, each through its view."""
    hoist_graph(graph)  # what the steps of a scan read stands in front of it
    names = {s.name for s in trained}
    reads = [n for n in graph.nodes if n.op == "parameter" and n.attributes["stored"] in names]
    found = differentiate(graph, graph.outputs[0], [node.result for node in reads])
    build = Build(graph)
    parts: dict[str, list[Value]] = {}
    for node, gradient in zip(reads, found, strict=True):
        if gradient is not None:
            assert node.view is not None
            parts.setdefault(str(node.attributes["stored"]), []).append(through_view(build, gradient, node.view))
    return {name: build.add(values) for name, values in parts.items()}


def _update(model: Model, step: TrainStep, gradients: Mapping[str, Value], training: Training) -> None:
    graph, optimizer = model.graph, training.optimizer
    build = Build(graph)
    done, total = _number(build, STEP), _number(build, TOTAL)
    scalars = Scalars(build, build("add", done, 1.0), optimizer.options)
    gradients = _clipped(build, gradients, optimizer.options.get("clip_norm"), optimizer.options.get("clip_value"))
    rates: dict[str, Value] = {}
    for stored in step.trained:
        rate = _rate(build, training.schedule_of(stored.name), done, total, rates)
        options = _options_for(stored, optimizer.options)
        states = {name: _state(graph, step, name, stored) for name in OPTIMIZERS[optimizer.name].states(options)}
        old = _read(graph, stored)
        scalars.options = options
        new, kept = OPTIMIZERS[optimizer.name].step(build, old, gradients[stored.name], states, rate, scalars)
        _give(model, step, new, stored.name)
        for name, value in kept.items():
            _give(model, step, value, _state_name(name, stored))
        if (decay := optimizer.options.get("ema")) is not None:
            name = _state_name("average", stored)
            step.averages[name] = stored
            average = build("mul", _input(graph, name, stored.type), decay)
            _give(model, step, build("add", average, build("mul", new, 1 - decay)), name)
    _give(model, step, build("add", _input(graph, STEP), build("constant", value=1, dtype="i64")), STEP)


def _options_for(stored: Stored, options: Mapping[str, object]) -> Mapping[str, object]:
    """Where biases and the scales of norms are left out of the decay, vectors have none."""
    if options.get("decay_norms_and_biases", True) or stored.type.rank > 1:
        return options
    return {**options, "weight_decay": 0.0}


def _clipped(
    build: Build, gradients: Mapping[str, Value], norm: float | None, value: float | None
) -> Mapping[str, Value]:
    """Clipped by their common length (Pascanu et al. 2013), or one by one."""
    if value is not None:
        gradients = {name: build("clip", g, min=-value, max=value) for name, g in gradients.items()}
    if norm is not None:
        squares = [build("sum", build("mul", g, g)) for g in gradients.values()]
        length = build("sqrt", build.add(squares))
        factor = build("minimum", build("div", build.constant(norm, SCALAR), build("add", length, 1e-6)), 1.0)
        gradients = {name: build("mul", g, factor) for name, g in gradients.items()}
    return gradients


def _rate(build: Build, schedule: Schedule, done: Value, total: Value, made: dict[str, Value]) -> Value:
    if str(schedule) not in made:
        made[str(schedule)] = learning_rate(build, schedule.kind, schedule.options, done, total)
    return made[str(schedule)]


# -- inputs and outputs ------------------------------------------------------------------------------------------------


def _input(graph: Graph, name: str, type: TensorType = COUNT) -> Value:
    """An input of the step; made when it is first asked for."""
    found = next((v for v in graph.inputs if v.name == name), None)
    if found is None:
        found = Value(type, name)
        graph.inputs.append(found)
    return found


def _number(build: Build, name: str) -> Value:
    return build("cast", _input(build.graph, name), dtype="f32")


def _state_name(state: str, stored: Stored) -> str:
    return f"optimizer/{state}/{stored.name}"


def _state(graph: Graph, step: TrainStep, state: str, stored: Stored) -> Value:
    name = _state_name(state, stored)
    step.states[name] = stored.type
    return _input(graph, name, stored.type)


def _read(graph: Graph, stored: Stored) -> Value:
    node = Node("parameter", [], {"stored": stored.name}, [Value(stored.type)], view=View.identity(stored.sizes))
    graph.nodes.append(node)
    return node.result


def _give(model: Model, step: TrainStep, value: Value, name: str) -> None:
    """Make a value the output `next/name`, which feeds the input `name`."""
    model.graph.outputs.append(value)
    model.output_names.append(f"next/{name}")
    step.feeds[f"next/{name}"] = name
