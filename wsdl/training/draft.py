"""A phase of a training step under construction, which the passes of a pipeline hand on to each other."""

from __future__ import annotations

from dataclasses import dataclass, field

from wsdl.diagnostics.span import Span
from wsdl.ir.graph import Graph, Node, Value
from wsdl.ir.phase import Phase
from wsdl.ir.stages import ResolvedTraining, Storage
from wsdl.ir.step import Forward, Merge, Variable, seed_variable, step_variable
from wsdl.ir.training import Normalized
from wsdl.ir.training_graphs import Pieces, Round
from wsdl.ir.views import View


@dataclass(frozen=True)
class NewStatistic:
    """An intermediate output: the new value of a running statistic by one of its `uses`, or, without a number, by
    all."""

    of: Variable
    use: int | None = None

    @property
    def name(self) -> str:
        return f"latest/{self.of.name}" if self.use is None else f"latest/{self.of.name}/{self.use}"


@dataclass(frozen=True)
class Changing:
    """The stored tensors that a training changes: those that the optimizer trains, the running statistics that its
    batches move, and those that only its `update` lines write. Those `outside` other trainings change."""

    trained: list[Variable]
    statistics: list[Variable]
    updated: list[Variable]
    outside: list[Variable]

    @staticmethod
    def by(training: ResolvedTraining, storage: Storage) -> Changing:
        trained = [Variable.parameter(storage.stored[name]) for name in training.trained]
        homes = {storage.home(path)[0].name: None for path in training.statistics}
        statistics = [Variable.statistic(storage.stored[name]) for name in homes]
        known = {*training.trained, *homes}
        updated = [Variable.updated(storage.stored[name]) for name in training.updated if name not in known]
        outside = [Variable.outside(storage.stored[name]) for name in training.outside]
        return Changing(trained, statistics, updated, outside)

    @property
    def all(self) -> list[Variable]:
        return [*self.trained, *self.statistics, *self.updated]

    @property
    def inputs(self) -> list[Variable]:
        """What is no constant of a step."""
        return [*self.all, *self.outside]


@dataclass(frozen=True, eq=False)
class Write:
    """What an `update` line makes of a stored tensor, through the `view` of it that one slot is, after each `every`
    steps.

    `graph` computes the slot. Its `parameter` nodes read stored tensors as they are after the step of the optimizer;
    its inputs are `Forward`s, by their names, `step` and `total_steps`.
    """

    of: Variable
    view: View
    graph: Graph
    every: int
    span: Span


@dataclass(eq=False)
class Draft:
    """A phase and what is known about it so far. `normalized` lists its layers that normalize by the batch.

    Where a batch is computed in parts, `merges` lists the values that are merged over all of them: before the phase
    itself in `rounds`, and from its outputs for each part in `last`. `rest` computes loss, metrics and the values of
    `merged_forward` from these, and `mixed` says which of them depend on how the batch is cut, and because of which
    node. In an update, the variables `in_place` may be overwritten, and `pieces` were taken out.
    """

    training: ResolvedTraining
    phase: Phase
    changing: Changing
    writes: list[Write] = field(default_factory=list)
    optimizer_states: list[Variable] = field(default_factory=list)  # and averages, in order
    rate: Value | None = None  # the learning rate of the step
    merges: list[Merge] = field(default_factory=list)
    rounds: list[Round] = field(default_factory=list)
    last: list[Merge] = field(default_factory=list)
    rest: Graph | None = None
    merged_forward: list[Forward] = field(default_factory=list)
    mixed: dict[str, Node] = field(default_factory=dict)
    in_place: set[Variable] = field(default_factory=set)
    pieces: list[Pieces] = field(default_factory=list)
    normalized: list[Normalized] = field(default_factory=list)

    @property
    def steps(self) -> Variable:
        """The number of steps of the training so far."""
        return step_variable(self.training.scope)

    @property
    def seed(self) -> Variable:
        """The seed of what is random in a step."""
        return seed_variable(self.training.scope)


def variables_of(update: Draft, gradients: Phase) -> tuple[Variable, ...]:
    """The complete state that a step passes to the next one."""
    states = sorted(update.optimizer_states, key=lambda variable: variable.role == "average")
    seed = [update.seed] if update.seed in gradients.inputs.values() else []
    return (*update.changing.all, *states, *seed, update.steps)
