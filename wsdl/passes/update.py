"""The second half of a step of training: gradients in, new values and a new state of the optimizer out.

All of it is element by element, but for the common length of the gradients where they are clipped by it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from wsdl.ir.graph import Graph, Model, Node, Stored, Value
from wsdl.ir.stages import ResolvedTraining
from wsdl.ir.training import SEED, STEP, TOTAL, Schedule
from wsdl.ir.types import TensorType
from wsdl.ir.views import View
from wsdl.ops.build import Build
from wsdl.passes.gradient_norm import as_dtype, gradient_norm
from wsdl.passes.optimizers import OPTIMIZERS, Scalars, learning_rate

COUNT = TensorType.of("i64")
GRADIENT = "gradient/"  # before the name of a stored tensor
NEXT = "next/"  # before the name of an input: the output that feeds it in the next step


@dataclass(eq=False)
class Update:
    """What is carried from step to step besides the tensors themselves.

    `states` are the optimizer's own inputs, all 0 at first, and `averages` those that follow a trained tensor and start
    as it does. `rate` is the learning rate of the step, f32[].
    """

    rate: Value
    states: dict[str, TensorType] = field(default_factory=dict)
    averages: dict[str, Stored] = field(default_factory=dict)


def update(
    model: Model, training: ResolvedTraining, trained: Sequence[Stored], gradients: Mapping[str, Value], norm: Value
) -> Update:
    """Append the update of the trained tensors to the graph of a model, and its outputs `next/…` to the model's.
    `norm` is that of the gradients (`gradient_norm`)."""
    graph, optimizer = model.graph, training.written.optimizer
    build = Build(graph)
    clocks = {dtype: _Clock(build, dtype, optimizer.options) for dtype in sorted({"f32", *_dtypes(trained)})}
    gradients = _clipped(build, gradients, norm, optimizer.options)
    result = Update(clocks["f32"].rate(optimizer.lr))
    for stored in trained:
        clock = clocks[stored.type.dtype]
        rate, scalars = clock.rate(training.schedule_of(stored.name)), clock.scalars
        options = _options_for(stored, optimizer.options)
        states = {name: _state(graph, result, name, stored) for name in OPTIMIZERS[optimizer.name].states(options)}
        old = _read(graph, stored)
        scalars.options = options
        new, kept = OPTIMIZERS[optimizer.name].step(build, old, gradients[stored.name], states, rate, scalars)
        give(model, new, stored.name)
        for name, value in kept.items():
            give(model, value, _state_name(name, stored))
        if (decay := optimizer.options.get("ema")) is not None:
            name = _state_name("average", stored)
            result.averages[name] = stored
            average = build("mul", input_of(graph, name, stored.type), decay)
            give(model, build("add", average, build("mul", new, 1 - decay)), name)
    give(model, build("add", input_of(graph, STEP), build("constant", value=1, dtype="i64")), STEP)
    return result


def _options_for(stored: Stored, options: Mapping[str, object]) -> Mapping[str, object]:
    """Where biases and the scales of norms are left out of the decay, vectors have none."""
    if options.get("decay_norms_and_biases", True) or stored.type.rank > 1:
        return options
    return {**options, "weight_decay": 0.0}


def _clipped(
    build: Build, gradients: Mapping[str, Value], norm: Value, options: Mapping[str, Any]
) -> Mapping[str, Value]:
    """Clipped one by one, then by their common length (Pascanu et al. 2013)."""
    value, longest = options.get("clip_value"), options.get("clip_norm")
    if value is not None:
        gradients = {name: build("clip", g, min=-value, max=value) for name, g in gradients.items()}
        norm = gradient_norm(build, gradients.values()) if longest is not None else norm
    if longest is not None:
        factor = build("minimum", build("div", build.constant(longest, norm.type), build("add", norm, 1e-6)), 1.0)
        gradients = {name: build("mul", g, as_dtype(build, factor, g.type)) for name, g in gradients.items()}
    return gradients


def _dtypes(trained: Sequence[Stored]) -> set[str]:
    return {stored.type.dtype for stored in trained}


class _Clock:
    """What follows from the number of the step, in the dtype of the tensors that it is for; each made once."""

    def __init__(self, build: Build, dtype: str, options: Mapping[str, Any]) -> None:
        self._build, self._made = build, dict[str, Value]()
        self._done, self._total = _number(build, STEP, dtype), _number(build, TOTAL, dtype)
        self.scalars = Scalars(build, build("add", self._done, 1.0), options)

    def rate(self, schedule: Schedule) -> Value:
        """The learning rate of this step."""
        key = str(schedule)
        if key not in self._made:
            kind, options = schedule.kind, schedule.options
            self._made[key] = learning_rate(self._build, kind, options, self._done, self._total)
        return self._made[key]


# -- inputs and outputs ------------------------------------------------------------------------------------------------


def input_of(graph: Graph, name: str, type: TensorType = COUNT) -> Value:
    """An input of the step; made when it is first asked for."""
    found = next((v for v in graph.inputs if v.name == name), None)
    if found is None:
        found = Value(type, name)
        graph.inputs.append(found)
    return found


def is_random(model: Model) -> bool:
    """Is something in it random, so that it reads a seed?"""
    return any(v.name == SEED for v in model.graph.inputs)


def give(model: Model, value: Value, name: str) -> None:
    """Make a value the output `next/name`, which feeds the input `name`."""
    model.graph.outputs.append(value)
    model.output_names.append(NEXT + name)


def _number(build: Build, name: str, dtype: str) -> Value:
    return build("cast", input_of(build.graph, name), dtype=dtype)


def _state_name(state: str, stored: Stored) -> str:
    return f"optimizer/{state}/{stored.name}"


def state_of(name: str) -> tuple[str, str]:
    """What an input of the update is, and of which stored tensor: `value`, `gradient`, or a state of the optimizer."""
    if name.startswith(GRADIENT):
        return "gradient", name.removeprefix(GRADIENT)
    if name.startswith("optimizer/"):
        _, state, stored = name.split("/", 2)
        return state, stored
    return "value", name


def _state(graph: Graph, update: Update, state: str, stored: Stored) -> Value:
    name = _state_name(state, stored)
    update.states[name] = stored.type
    return input_of(graph, name, stored.type)


def _read(graph: Graph, stored: Stored) -> Value:
    node = Node("parameter", [], {"stored": stored.name}, [Value(stored.type)], view=View.identity(stored.sizes))
    graph.nodes.append(node)
    return node.result
