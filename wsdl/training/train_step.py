"""One training step as one graph: forward, backward, update.

What it reads are the model's inputs, the targets, the number of the step, the trained tensors, running statistics and
the optimizer's state; what it gives are the loss, the metrics, the norm of the gradients, and all of that anew. There
is nothing in it but operations of the language, so the compiled step is an ordinary ONNX file.
"""

from __future__ import annotations

from dataclasses import dataclass

from wsdl.ir.graph import Lowered, Model
from wsdl.ir.phase import Phase
from wsdl.ir.step import Next, Variable


@dataclass(eq=False)
class TrainStep:
    """A training step: its one phase, and the `variables` that it passes on to the next step."""

    phase: Phase
    variables: tuple[Variable, ...]

    @property
    def trained(self) -> list[Variable]:
        """The parameters that the optimizer changes."""
        return [variable for variable in self.variables if variable.role == "parameter"]

    @property
    def statistics(self) -> list[Variable]:
        """The running statistics that the batches change."""
        return [variable for variable in self.variables if variable.role == "statistic"]

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
