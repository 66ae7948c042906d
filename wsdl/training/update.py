"""From gradients to new values of the trained tensors, and a new state of the optimizer.

All of it is elementwise, except for the global norm of the gradients with `clip_norm`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from wsdl.ir.graph import Graph, Model, Node, Value
from wsdl.ir.phase import Phase
from wsdl.ir.stages import ResolvedTraining, Storage
from wsdl.ir.step import COUNT, NORM, RATE, TOTAL_STEPS, Gradient, Next, Number, Port, Variable, norm_type
from wsdl.ir.target import Target
from wsdl.ir.training import Schedule
from wsdl.ir.views import View
from wsdl.ops.build import Build
from wsdl.sharing.read_stored import objective_over_stored
from wsdl.training.draft import Changing, Draft
from wsdl.training.gradient_norm import as_dtype, gradient_norm
from wsdl.training.optimizers import OPTIMIZERS, Scalars, learning_rate
from wsdl.training.updates import plan_updates


def update_of(storage: Storage, training: ResolvedTraining, target: Target) -> Draft:
    """The update of a training, as a phase that so far has only the gradients as inputs."""
    changing = Changing.by(training, storage)
    writes = plan_updates(objective_over_stored(storage, training), storage, changing)[0] if training.updated else []
    model = Model(training.name, Graph(), storage.models[training.model].module)
    phase = Phase.of(model, storage.stored, target)
    for variable in changing.trained:
        phase.read(Gradient(variable.of), variable.type)
    phase.read(NORM, norm_type(v.type for v in changing.trained))
    phase.feed(*changing.trained, *changing.updated, *changing.outside)
    return Draft(training, phase, changing, writes)


def sums_of(storage: Storage, training: ResolvedTraining, target: Target) -> Draft:
    """A phase between the gradients of all parts of a batch and the update, empty so far."""
    model = Model(training.name, Graph(), storage.models[training.model].module)
    return Draft(training, Phase.of(model, storage.stored, target), Changing.by(training, storage))


def update_parameters(draft: Draft) -> None:
    """Output the new value of each parameter, optimizer state and average, from gradients that the phase computes or
    that are its inputs."""
    phase, training, optimizer = draft.phase, draft.training, draft.training.written.optimizer
    build = Build(phase.graph)
    dtypes = sorted({"f32", *_dtypes(draft.changing.trained)})
    of_step = {dtype: _StepScalars(draft, dtype) for dtype in dtypes}
    gradients = _clipped(build, _gradients(draft), _norm(draft), optimizer.options)
    draft.rate = of_step["f32"].rate(optimizer.lr)
    for parameter in draft.changing.trained:
        step_scalars = of_step[parameter.type.dtype]
        rate, scalars = step_scalars.rate(training.schedule_of(parameter.of)), step_scalars.scalars
        options = scalars.options = _options_for(parameter, optimizer.options)
        names = OPTIMIZERS[optimizer.name].states(options)
        variables = {name: parameter.optimizer(name, training.scope) for name in names}
        states = {name: phase.read(variable, variable.type) for name, variable in variables.items()}
        old = _read(phase.graph, parameter)
        new, kept = OPTIMIZERS[optimizer.name].step(build, old, gradients[parameter.of], states, rate, scalars)
        phase.write(Next(parameter), new)
        for name, value in kept.items():
            phase.write(Next(variables[name]), value)
        draft.optimizer_states += variables.values()
    steps = phase.read(draft.steps, COUNT)
    phase.write(Next(draft.steps), build("add", steps, build("constant", value=1, dtype="i64")))


def average_parameters(draft: Draft) -> None:
    """With `ema`, output the moving average of each trained parameter, as it is by then."""
    phase, decay = draft.phase, draft.training.written.optimizer.options.get("ema")
    if decay is None:
        return
    build, new = Build(phase.graph), {port.of: value for port, value in phase.values(Next).items()}
    for parameter in draft.changing.trained:
        variable = parameter.average(draft.training.scope)
        average = build("mul", phase.read(variable, variable.type), decay)
        phase.write(Next(variable), build("add", average, build("mul", new[parameter], 1 - decay)))
        draft.optimizer_states.append(variable)


def write_rate(draft: Draft) -> None:
    """Output the learning rate of the step."""
    assert draft.rate is not None
    draft.phase.write(RATE, draft.rate)


def _gradients(draft: Draft) -> dict[str, Value]:
    """The gradients by parameter: outputs of the phase, which are then removed, or its inputs."""
    own = draft.phase.take(Gradient)
    if own:
        return {gradient.of: value for gradient, value in own.items()}
    return {v.of: draft.phase.read(Gradient(v.of), v.type) for v in draft.changing.trained}


def _norm(draft: Draft) -> Value:
    own = draft.phase.values(Number).get(NORM)
    return own if own is not None else draft.phase.read(NORM, norm_type(v.type for v in draft.changing.trained))


def _options_for(parameter: Variable, options: Mapping[str, object]) -> Mapping[str, object]:
    """Where biases and scales of norms are exempt from weight decay, vectors are."""
    is_vector = parameter.decay == "vector" or parameter.type.rank <= 1
    if parameter.decay != "never" and (options.get("decay_norms_and_biases", True) or not is_vector):
        return options
    return {**options, "weight_decay": 0.0}


def _clipped(
    build: Build, gradients: Mapping[str, Value], norm: Value, options: Mapping[str, Any]
) -> Mapping[str, Value]:
    """Clipped element by element, then by their global norm (Pascanu et al. 2013)."""
    value, longest = options.get("clip_value"), options.get("clip_norm")
    if value is not None:
        gradients = {name: build("clip", g, min=-value, max=value) for name, g in gradients.items()}
        norm = gradient_norm(build, gradients.values()) if longest is not None else norm
    if longest is not None:
        factor = build("minimum", build("div", build.constant(longest, norm.type), build("add", norm, 1e-6)), 1.0)
        gradients = {name: build("mul", g, as_dtype(build, factor, g.type)) for name, g in gradients.items()}
    return gradients


def _dtypes(trained: Sequence[Variable]) -> set[str]:
    return {parameter.type.dtype for parameter in trained}


class _StepScalars:
    """Scalars that depend on the number of the step, in one dtype; each learning rate is computed once."""

    def __init__(self, draft: Draft, dtype: str) -> None:
        phase = draft.phase
        self._build, self._rates = Build(phase.graph), dict[str, Value]()

        def number(port: Port) -> Value:
            return self._build("cast", phase.read(port, COUNT), dtype=dtype)

        self._done, self._total = number(draft.steps), number(TOTAL_STEPS)
        options = draft.training.written.optimizer.options
        self.scalars = Scalars(self._build, self._build("add", self._done, 1.0), options)

    def rate(self, schedule: Schedule) -> Value:
        """The learning rate of this step."""
        key = str(schedule)
        if key not in self._rates:
            kind, options = schedule.kind, schedule.options
            self._rates[key] = learning_rate(self._build, kind, options, self._done, self._total)
        return self._rates[key]


def _read(graph: Graph, parameter: Variable) -> Value:
    assert parameter.type.sizes is not None
    view = View.identity(parameter.type.sizes)
    node = Node("parameter", [], {"stored": parameter.of}, [Value(parameter.type)], view=view)
    graph.nodes.append(node)
    return node.result
