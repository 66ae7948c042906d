"""One step of training as two phases with the gradients in between.

Several parts of a batch can so add up to one step, and the update may write every new value over the old one: there is
nothing left that would still read it.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from wsdl.ir.graph import Graph, Node
from wsdl.ir.phase import Phase
from wsdl.ir.stages import ResolvedTraining, Storage
from wsdl.ir.step import Merge, Variable
from wsdl.passes.draft import Pieces, Round, variables_of
from wsdl.passes.frozen import Normalised
from wsdl.passes.gradients import objective_of
from wsdl.passes.pipelines import BATCH, PART, PIECEWISE_UPDATE, UPDATE, run
from wsdl.passes.roll_loops import Loops
from wsdl.passes.update import update_of


@dataclass(eq=False)
class SplitStep:
    """A step in two phases, and the `variables` that it hands on to the next step.

    `gradients` gives the loss, the metrics, the gradients with their norm, and the next running statistics. If it is of
    parts of a batch, it adds to a `Sum` of each, and wants what comes of going through all parts before, once for each
    of `rounds`; in place of loss and metrics it gives the parts of `last`, and `rest` computes them from these and all
    other `merges`. `mixed` has the metrics that depend on the parts, and why.

    `update` gives what the optimizer changes, and its learning rate; it may write a variable that is `in_place` over
    itself. What `pieces` do was taken out of it.

    `normalised` says which layers normalise by the batch, and over how many values of each channel.
    """

    gradients: Phase
    update: Phase
    variables: tuple[Variable, ...]
    in_place: set[Variable] = field(default_factory=set)
    pieces: list[Pieces] = field(default_factory=list)
    normalised: list[Normalised] = field(default_factory=list)
    merges: list[Merge] = field(default_factory=list)
    rounds: list[Round] = field(default_factory=list)
    last: list[Merge] = field(default_factory=list)
    rest: Graph | None = None
    mixed: dict[str, Node] = field(default_factory=dict)

    @property
    def trained(self) -> list[Variable]:
        """The parameters that the optimizer changes."""
        return [variable for variable in self.variables if variable.role == "parameter"]

    @property
    def statistics(self) -> list[Variable]:
        """The running statistics that the batches change."""
        return [variable for variable in self.variables if variable.role == "statistic"]


def split_step(
    storage: Storage,
    training: ResolvedTraining,
    loops: Loops = "auto",
    *,
    of_parts: bool = False,
    piecewise: bool = False,
) -> SplitStep:
    """The step of a training, in graphs of its own; `piecewise` takes large tensors out of the update.
    `CompileError` where the loss can't be computed of parts."""
    gradients = run(PART if of_parts else BATCH, objective_of(storage, training, loops))
    update = run(PIECEWISE_UPDATE if piecewise else UPDATE, update_of(storage, training, loops))
    return SplitStep(
        gradients.phase,
        update.phase,
        variables_of(update, gradients.phase),
        update.in_place,
        update.pieces,
        gradients.normalised,
        gradients.merges,
        gradients.rounds,
        gradients.last,
        gradients.rest,
        gradients.mixed,
    )
