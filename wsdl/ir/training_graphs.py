"""The graphs of a training: a step as one phase or as two, and the evaluation.

`wsdl.pipelines.training` makes them, `wsdl.onnx.training` writes them, the trainer and the evaluator run them.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from wsdl.diagnostics import Diagnostic
from wsdl.ir.graph import Graph, Lowered, Model
from wsdl.ir.phase import Phase
from wsdl.ir.step import Gradient, Merge, Next, Piece, Variable
from wsdl.ir.training import Normalized
from wsdl.ir.types import TensorType


@dataclass(eq=False)
class Step:
    """A training step, and the `variables` that it passes on to the next one."""

    variables: tuple[Variable, ...]

    @property
    def trained(self) -> list[Variable]:
        """The parameters that the optimizer changes."""
        return [variable for variable in self.variables if variable.role == "parameter"]

    @property
    def statistics(self) -> list[Variable]:
        """The running statistics that the batches change."""
        return [variable for variable in self.variables if variable.role == "statistic"]


@dataclass(eq=False)
class TrainStep(Step):
    """A training step as one graph: forward, backward, update.

    It reads the model's inputs, the targets, the number of the step, the trained tensors, running statistics and the
    optimizer's state, and computes the loss, the metrics, the norm of the gradients, and the next value of each of
    these. It has only operations of the language, so the compiled step is an ordinary ONNX file.
    """

    phase: Phase

    @property
    def program(self) -> Lowered:
        return self.phase.program

    @property
    def model(self) -> Model:
        return self.phase.model

    @property
    def feeds(self) -> dict[str, str]:
        """Which output is which input of the next step, by their names in the file."""
        return {port.name: port.of.name for port in self.phase.outputs if isinstance(port, Next)}


# -- a step in two phases ----------------------------------------------------------------------------------------------


@dataclass(eq=False)
class Round:
    """One time through all parts of the rows: the outputs of `phase` are the parts of `merges`, in order."""

    phase: Phase
    merges: list[Merge]


@dataclass(eq=False)
class Pieces:
    """The update of each piece of some tensors: `phase`, over `[elements]`. `tensors` has for each parameter what the
    pieces are of: the inputs of the update, by those of the phase. Its outputs are the next pieces of the same."""

    phase: Phase
    tensors: list[dict[Piece, Variable | Gradient]] = field(default_factory=list)


@dataclass(eq=False)
class SplitStep(Step):
    """A training step in two phases with the gradients in between.

    Several parts of a batch can so add up to one step, and the update may write every new value over the old one: there
    is nothing left that would still read it.

    `gradients` computes the loss, the metrics, the gradients with their norm, and the next running statistics. If it is
    of parts of a batch, it adds to a `Sum` of each, and reads what comes of going through all parts before, once for
    each of `rounds`; in place of loss and metrics it has the parts of `last`, and `rest` computes them from these and
    all other `merges`. `warnings` say which metrics depend on how the batch is cut.

    `update` computes what the optimizer changes, and its learning rate; it may write a variable that is `in_place` over
    itself. What `pieces` do was taken out of it.

    `normalized` says which layers normalize by the batch, and over how many values of each channel.
    """

    gradients: Phase
    update: Phase
    in_place: set[Variable]
    pieces: list[Pieces]
    normalized: list[Normalized]
    merges: list[Merge]
    rounds: list[Round]
    last: list[Merge]
    rest: Graph | None
    warnings: list[Diagnostic]


# -- evaluation --------------------------------------------------------------------------------------------------------


@dataclass(eq=False)
class Evaluation:
    """Loss and metrics of a whole set of data: what is computed of each batch, and what makes one number of all.

    Each of `rounds` goes through all batches; `rest` then computes the results from what came of them. Reductions over
    the rows are merged exactly, and what is computed from them (a root, a ratio of counts) is computed from those of
    the whole set, so no result depends on how it is cut; `warnings` name those for which there is no such way.
    """

    name: str  # of the model
    batch: dict[str, TensorType]  # what a batch consists of: the inputs of the model and the targets
    names: list[str]  # "loss", then the metrics
    rounds: list[Round]
    rest: Graph
    merges: list[Merge]
    rows: str | None
    warnings: list[Diagnostic]

    @property
    def variables(self) -> list[Variable]:
        """Those that any round reads."""
        ports = (port for r in self.rounds for port in r.phase.inputs.values())
        return list({port: None for port in ports if isinstance(port, Variable)})
