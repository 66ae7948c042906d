"""A graph of a training step with its contract: the port of each input and output (`wsdl.ir.step`)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TypeVar

from wsdl.ir.graph import Graph, Lowered, Model, Stored, Value
from wsdl.ir.step import Batch, Port, Variable
from wsdl.ir.target import Target
from wsdl.ir.types import TensorType

P = TypeVar("P", bound=Port)


@dataclass(eq=False)
class Phase:
    """A program of one model. Passes add its inputs and outputs here, together with their ports.

    Outputs also carry values for later passes: whatever a pass rewrites, the output of a port stays the same value.
    """

    program: Lowered
    outputs: list[Port] = field(default_factory=list)
    fed: list[str] = field(default_factory=list)  # the stored tensors that come in as inputs
    _inputs: dict[str, Port] = field(default_factory=dict)

    @staticmethod
    def of(model: Model, stored: Mapping[str, Stored], target: Target) -> Phase:
        """A phase with the inputs of the graph of a model, all as `Batch`, and without outputs."""
        phase = Phase(Lowered({model.name: model}, dict(stored), target))
        model.output_names, model.graph.outputs = [], []
        phase._inputs = {v.name: Batch(v.name) for v in model.graph.inputs}
        return phase

    def with_same_inputs(self, program: Lowered, outputs: list[Port], fed: list[str]) -> Phase:
        """Another graph with inputs of the same ports."""
        return Phase(program, outputs, fed, dict(self._inputs))

    @property
    def model(self) -> Model:
        return self.program.only

    @property
    def graph(self) -> Graph:
        return self.model.graph

    @property
    def inputs(self) -> dict[str, Port]:
        """The port of each input, by its name in the file and in its order."""
        return {name: self._inputs[name] for name in [*(v.name for v in self.graph.inputs), *self.fed]}

    # -- inputs --------------------------------------------------------------------------------------------------------

    def read(self, port: Port, type: TensorType) -> Value:
        """The input of a port, created on first use."""
        value = next((v for v in self.graph.inputs if self._inputs[v.name] == port), None)
        if value is None:
            value = Value(type, port.name)
            self.graph.inputs.append(value)
            self._inputs[port.name] = port
        return value

    def feed(self, *variables: Variable) -> None:
        """Turn stored tensors into inputs."""
        self.fed += [variable.of for variable in variables]
        self._inputs |= {variable.of: variable for variable in variables}

    def label(self, *ports: Port) -> None:
        """Set the ports of inputs with these names, which may be added to the graph later."""
        self._inputs |= {port.name: port for port in ports}

    # -- outputs -------------------------------------------------------------------------------------------------------

    def write(self, port: Port, value: Value) -> None:
        """Append an output."""
        self.outputs.append(port)
        self.model.output_names.append(port.name)
        self.graph.outputs.append(value)

    def values(self, kind: type[P]) -> dict[P, Value]:
        """The outputs with ports of this class."""
        return {p: v for p, v in zip(self.outputs, self.graph.outputs, strict=True) if isinstance(p, kind)}

    def take(self, kind: type[P]) -> dict[P, Value]:
        """The outputs with ports of this class, which are removed."""
        values = self.values(kind)
        self.drop(*values)
        return values

    def drop(self, *ports: Port) -> None:
        """Remove outputs."""
        kept = [(p, v) for p, v in zip(self.outputs, self.graph.outputs, strict=True) if p not in ports]
        self.outputs, self.graph.outputs = [p for p, _ in kept], [v for _, v in kept]
        self.model.output_names = [p.name for p in self.outputs]
