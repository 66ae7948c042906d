"""A phase of a training step in the making: what the passes of a pipeline hand on to each other."""

from __future__ import annotations

from dataclasses import dataclass, field

from wsdl.ir.graph import Graph, Node, Value
from wsdl.ir.phase import Phase
from wsdl.ir.stages import ResolvedTraining, Storage
from wsdl.ir.step import RANDOM_SEED, STEPS, Merge, Variable
from wsdl.ir.training import Normalized
from wsdl.ir.training_graphs import Pieces, Round


@dataclass(frozen=True)
class Latest:
    """An output on the way: what a running statistic becomes by one of its `uses`, or, without a number, by all."""

    of: Variable
    use: int | None = None

    @property
    def name(self) -> str:
        return f"latest/{self.of.name}" if self.use is None else f"latest/{self.of.name}/{self.use}"


@dataclass(eq=False)
class Draft:
    """A phase with what is known of it so far. `normalized` has its layers that normalize by the batch.

    Where the rows are separated, `merges` has what is merged over all parts of them: before the phase itself in
    `rounds`, and from what it gives for each part in `last`. `rest` computes loss and metrics from that, and `mixed`
    says which of them depend on how the rows are cut, and by which node. Of an update, `in_place` may be written over,
    and `pieces` were taken out.
    """

    training: ResolvedTraining
    phase: Phase
    trained: list[Variable]
    statistics: list[Variable]
    changed: list[Variable] = field(default_factory=list)  # the optimizer's states and averages, in order
    rate: Value | None = None  # the learning rate of the step
    merges: list[Merge] = field(default_factory=list)
    rounds: list[Round] = field(default_factory=list)
    last: list[Merge] = field(default_factory=list)
    rest: Graph | None = None
    mixed: dict[str, Node] = field(default_factory=dict)
    in_place: set[Variable] = field(default_factory=set)
    pieces: list[Pieces] = field(default_factory=list)
    normalized: list[Normalized] = field(default_factory=list)


def changed_by_batches(storage: Storage, training: ResolvedTraining) -> tuple[list[Variable], list[Variable]]:
    """The parameters that a training changes, and the running statistics that its batches do."""
    trained = [Variable.parameter(storage.stored[name]) for name in training.trained]
    homes = {storage.home(path)[0].name: None for path in training.statistics}
    return trained, [Variable.statistic(storage.stored[name]) for name in homes]


def variables_of(update: Draft, gradients: Phase) -> tuple[Variable, ...]:
    """All that a step hands on to the next one."""
    states = sorted(update.changed, key=lambda variable: variable.role == "average")
    seed = [RANDOM_SEED] if RANDOM_SEED in gradients.inputs.values() else []
    return (*update.trained, *update.statistics, *states, *seed, STEPS)
