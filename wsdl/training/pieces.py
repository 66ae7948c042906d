"""Splits the update of large tensors off, so that it can run on one piece after the other.

An optimizer passes a dozen times over each tensor, and a large one is read from main memory each time; a piece that
fits into the cache is read once. Where the update of a large tensor is elementwise, its nodes become a phase over
`[elements]`; tensors with the same update share one phase. The scalars of a step (learning rate, bias corrections) stay
in the update, which outputs them as `Shared`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

from wsdl.ir.dims import Dim
from wsdl.ir.graph import Graph, Model, Node, Value
from wsdl.ir.phase import Phase
from wsdl.ir.step import Gradient, Next, NextPiece, Shared, Variable, piece_of
from wsdl.ir.training_graphs import Pieces
from wsdl.ir.types import same_shape
from wsdl.ops import OPERATIONS
from wsdl.rewrite.dedupe import frozen_attributes
from wsdl.rewrite.prune import prune_graph
from wsdl.training.draft import Draft

LARGE = 1 << 14  # elements; below, a call for each tensor costs more than it saves


def take_pieces(draft: Draft) -> None:
    """Take the update of large tensors out of an update."""
    split = _Split(draft.phase)
    for variable in draft.changing.trained:
        elements = variable.type.elements.constant
        if elements is not None and elements >= LARGE:
            split.take(variable)
    draft.pieces = list(split.pieces.values())
    _drop_unread(draft)


def _drop_unread(draft: Draft) -> None:
    """Remove outputs and nodes that only the pieces need."""
    phase, graph = draft.phase, draft.phase.graph
    prune_graph(graph)
    read = {*graph.outputs, *(v for node in graph.nodes for v in node.reads())}
    piece_inputs = {port.name for pieces in draft.pieces for tensor in pieces.tensors for port in tensor.values()}
    graph.inputs = [v for v in graph.inputs if v in read or v.name not in piece_inputs]
    stored = {str(n.attributes["stored"]) for n in graph.nodes if n.op == "parameter"}
    phase.fed = [name for name in phase.fed if name in stored]


Tensor: TypeAlias = "Variable | Gradient"


@dataclass(frozen=True)
class _OneUpdate:
    """The update of one parameter and its optimizer states: nodes, the ports of the values that they read, outputs."""

    nodes: list[Node]
    inputs: dict[Value, Tensor]
    outputs: dict[Variable, Value]


class _Split:
    """The update being split, and the phases split off so far, by their computation."""

    def __init__(self, phase: Phase) -> None:
        self.phase, self.graph, self.inputs = phase, phase.graph, phase.inputs
        self.producers = self.graph.producers()
        self.readers: dict[Value, set[Node]] = {}
        for node in self.graph.nodes:
            for value in node.reads():
                self.readers.setdefault(value, set()).add(node)
        self.pieces: dict[object, Pieces] = {}
        self.shared: dict[Value, Shared] = {}

    def take(self, parameter: Variable) -> None:
        """Split off the update of one parameter, if it is elementwise."""
        update = self._update_of(parameter)
        if update is None:
            return
        key = self._key(update)
        if key not in self.pieces:
            self.pieces[key] = Pieces(self._phase(update, parameter))
        read = {update.inputs[v] for node in update.nodes for v in node.inputs if v in update.inputs}
        tensors = {piece_of(port): port for port in sorted(read, key=lambda port: port.name)}
        self.pieces[key].tensors.append(tensors)
        self.phase.drop(*(Next(variable) for variable in update.outputs))
        for value in (v for node in update.nodes for v in node.inputs if self._is_shared(v)):
            port = self._shared(value)
            if port not in self.phase.outputs:
                self.phase.write(port, value)

    def _update_of(self, parameter: Variable) -> _OneUpdate | None:
        """The nodes that compute the outputs of a parameter, in order; `None` if one isn't elementwise, or if anything
        else reads what they compute."""
        outputs = {port.of: v for port, v in self.phase.values(Next).items() if port.of.of == parameter.of}
        own: dict[Value, Tensor] = {}
        needed, nodes = set(outputs.values()), list[Node]()
        for node in reversed(self.graph.nodes):
            if needed.isdisjoint(node.results):
                continue
            if node.op == "parameter" and node.attributes["stored"] == parameter.of:
                own[node.result] = parameter
                continue
            operation = OPERATIONS.get(node.op)
            is_elementwise = operation is not None and operation.elementwise
            if not is_elementwise or not same_shape(node.result.type.shape, parameter.type.shape):
                return None
            nodes.append(node)
            needed.update(v for v in node.inputs if v.type.rank)
        for value in self.graph.inputs:
            if value in needed:
                port = self.inputs[value.name]
                if not isinstance(port, Variable | Gradient) or port.of != parameter.of:
                    return None
                own[value] = port
        own_nodes = set(nodes)
        if any(self.readers.get(node.result, set()) - own_nodes for node in nodes):
            return None
        return _OneUpdate(nodes[::-1], own, outputs)

    def _is_constant(self, value: Value) -> bool:
        node = self.producers.get(value)
        return node is not None and node.op == "constant"

    def _is_shared(self, value: Value) -> bool:
        return value.type.rank == 0 and not self._is_constant(value)

    def _shared(self, value: Value) -> Shared:
        return self.shared.setdefault(value, Shared(len(self.shared)))

    def _key(self, update: _OneUpdate) -> object:
        """Equal for tensors that are updated by the same computation with the same scalars."""
        known: dict[Value, object] = {}
        for node in update.nodes:
            for value in node.inputs:
                if self._is_constant(value):
                    known[value] = frozen_attributes(self.producers[value])
                elif value.type.rank == 0:
                    known[value] = self._shared(value)
                elif value in update.inputs:
                    known[value] = piece_of(update.inputs[value])
            known[node.result] = len(known)
        steps = tuple((n.op, tuple(known[v] for v in n.inputs), frozen_attributes(n)) for n in update.nodes)
        outputs = tuple((piece_of(variable), known[value]) for variable, value in update.outputs.items())
        return steps, outputs, update.nodes[0].result.type.dtype

    def _phase(self, update: _OneUpdate, parameter: Variable) -> Phase:
        """The nodes over a piece of any size."""
        piece = parameter.type.with_shape([Dim.symbol("elements")])
        phase = Phase.of(Model("piece", Graph(), self.phase.model.module), {}, self.phase.program.target)
        copies: dict[Value, Value] = {}

        def copy(value: Value) -> Value:
            if value not in copies:
                if self._is_constant(value):
                    copies[value] = Value(value.type)
                    constant = Node("constant", [], dict(self.producers[value].attributes), [copies[value]])
                    phase.graph.nodes.append(constant)
                elif value.type.rank == 0:
                    copies[value] = phase.read(self._shared(value), value.type)
                else:
                    copies[value] = phase.read(piece_of(update.inputs[value]), piece)
            return copies[value]

        for node in update.nodes:
            operands = [copy(v) for v in node.inputs]
            copies[node.result] = Value(piece.with_dtype(node.result.type.dtype))
            phase.graph.nodes.append(Node(node.op, [*operands], dict(node.attributes), [copies[node.result]]))
        for variable, value in update.outputs.items():
            phase.write(NextPiece(piece_of(variable)), copies[value])
        return phase
