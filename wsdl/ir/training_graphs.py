"""The graphs of a training: a step as one phase or as two, and the evaluation.

`wsdl.pipelines.training` builds them, `wsdl.onnx.training` writes them, the trainer and the evaluator run them.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from wsdl.diagnostics import Diagnostic
from wsdl.ir.graph import Graph, Lowered, Model
from wsdl.ir.phase import Phase
from wsdl.ir.step import Forward, Gradient, Merge, Next, Piece, Variable
from wsdl.ir.training import Normalized
from wsdl.ir.types import TensorType


@dataclass(eq=False)
class Step:
    """A training step, and the `variables` that it passes on to the next one."""

    variables: tuple[Variable, ...]

    @property
    def counter(self) -> Variable:
        """The number of steps so far."""
        return next(variable for variable in self.variables if variable.role == "step")

    @property
    def trained(self) -> list[Variable]:
        """The parameters that the optimizer updates."""
        return [variable for variable in self.variables if variable.role == "parameter"]

    @property
    def statistics(self) -> list[Variable]:
        """The running statistics that the batches update."""
        return [variable for variable in self.variables if variable.role == "statistic"]


@dataclass(eq=False)
class TrainStep(Step):
    """A training step as one graph: forward, backward, update.

    It reads the model's inputs, the targets, the number of the step, the trained tensors, running statistics and the
    optimizer's state, and computes the loss, the metrics, the norm of the gradients, and the updated state. It consists
    of operations of the language, so the compiled step is an ordinary ONNX file.

    Steps that have one state together have its name in `state`: `turns` or `mix`.
    """

    phase: Phase
    state: str = ""

    @property
    def initial(self) -> str:
        """The file with the state before the first step."""
        return f"{self.state or self.model.name}.train.safetensors"

    @property
    def read(self) -> list[str]:
        """The names of the variables that are its inputs."""
        return [name for name, port in self.phase.inputs.items() if isinstance(port, Variable)]

    @property
    def program(self) -> Lowered:
        return self.phase.program

    @property
    def model(self) -> Model:
        return self.phase.model

    @property
    def feeds(self) -> dict[str, str]:
        """Which output becomes which input of the next step, by their names in the file."""
        return {port.name: port.of.name for port in self.phase.outputs if isinstance(port, Next)}


# -- a step in two phases ----------------------------------------------------------------------------------------------


@dataclass(eq=False)
class Round:
    """One pass over all parts of a batch: the outputs of `phase` are the parts of `merges`, in order."""

    phase: Phase
    merges: list[Merge]


@dataclass(eq=False)
class Pieces:
    """The update of some tensors, one piece at a time: `phase`, over `[elements]`. `tensors` maps, for each parameter,
    the inputs of the phase to the inputs of the update that the pieces are cut from. Its outputs are the new pieces."""

    phase: Phase
    tensors: list[dict[Piece, Variable | Gradient]] = field(default_factory=list)


Parts: TypeAlias = Literal["none", "one", "several"]
"""Whether a batch is computed in parts, of which this process has one, or several that add up."""


@dataclass(eq=False)
class SplitStep(Step):
    """A training step in two phases with the gradients in between.

    So several parts of a batch can add up to one step, and the update may overwrite every old value in place: nothing
    reads it any more.

    `gradients` computes the loss, the metrics, the gradients with their norm, and the new running statistics. For a
    batch in parts, it computes the contribution of a part, and reads values that were merged over all parts before, in
    one pass for each of `rounds`; instead of loss and metrics it outputs the parts of `last`, and `rest` computes them
    from these and all other `merges`, then the values that updates read, `merged_forward`. `sums` computes the norm of
    what all parts have added up to. `warnings` say which metrics depend on how the batch is cut.

    `update` computes the new parameters and optimizer states, and the learning rate; it may overwrite variables that
    are `in_place`. The updates in `pieces` were split off.

    `normalized` lists the layers that normalize by the batch, and over how many values of each channel.
    """

    gradients: Phase
    sums: Phase | None
    update: Phase
    in_place: set[Variable]
    pieces: list[Pieces]
    normalized: list[Normalized]
    merges: list[Merge]
    rounds: list[Round]
    last: list[Merge]
    rest: Graph | None
    merged_forward: list[Forward]
    warnings: list[Diagnostic]


# -- evaluation --------------------------------------------------------------------------------------------------------


@dataclass(eq=False)
class Evaluation:
    """Loss and metrics of a whole data set: what is computed for each batch, and how batches are combined.

    Each of `rounds` passes over all batches; `rest` then computes the results from the merged values. Reductions over
    rows are merged exactly, and whatever depends on them (a root, a ratio of counts) is computed from the merged
    values, so results don't depend on how the data set is cut; `warnings` name those for which this is impossible.
    """

    name: str  # of the training
    batch: dict[str, TensorType]  # the inputs of the model and the targets
    names: list[str]  # "loss", then the metrics
    rounds: list[Round]
    rest: Graph
    merges: list[Merge]
    rows: str | None
    warnings: list[Diagnostic]

    @property
    def variables(self) -> list[Variable]:
        """The variables that any round reads."""
        ports = (port for r in self.rounds for port in r.phase.inputs.values())
        return list({port: None for port in ports if isinstance(port, Variable)})
