"""One training step as two phases with the gradients in between.

Several parts of a batch can so add up to one step, and the update may write every new value over the old one: there is
nothing left that would still read it.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from wsdl.ir.graph import Graph, Node
from wsdl.ir.phase import Phase
from wsdl.ir.step import Merge, Variable
from wsdl.ir.training import Normalized
from wsdl.training.draft import Pieces, Round


@dataclass(eq=False)
class SplitStep:
    """A step in two phases, and the `variables` that it hands on to the next step.

    `gradients` gives the loss, the metrics, the gradients with their norm, and the next running statistics. If it is of
    parts of a batch, it adds to a `Sum` of each, and wants what comes of going through all parts before, once for each
    of `rounds`; in place of loss and metrics it gives the parts of `last`, and `rest` computes them from these and all
    other `merges`. `mixed` has the metrics that depend on the parts, and why.

    `update` gives what the optimizer changes, and its learning rate; it may write a variable that is `in_place` over
    itself. What `pieces` do was taken out of it.

    `normalized` says which layers normalize by the batch, and over how many values of each channel.
    """

    gradients: Phase
    update: Phase
    variables: tuple[Variable, ...]
    in_place: set[Variable] = field(default_factory=set)
    pieces: list[Pieces] = field(default_factory=list)
    normalized: list[Normalized] = field(default_factory=list)
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
