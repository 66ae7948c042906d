"""Takes out of an update what it does to large tensors, so that it can be done to one piece after the other.

An optimizer passes a dozen times over each tensor, and a large one has to come from the main memory each time. A piece
that fits into the cache comes once. What all pieces are given besides, the numbers of a step (learning rate, bias
corrections), stays in the update, which gives it as outputs `scalar/…`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from wsdl.ir.dims import Dim
from wsdl.ir.graph import Graph, Model, Node, Program, Stored, Value
from wsdl.ir.types import same_shape
from wsdl.ops import OPERATIONS
from wsdl.passes.dedupe import frozen_attributes
from wsdl.passes.prune import prune_graph
from wsdl.passes.update import NEXT, state_of

LARGE = 1 << 14  # elements; below, a call for each tensor costs more than it saves
SCALAR_OUTPUT = "scalar/"


@dataclass(eq=False)
class Pieces:
    """What is done to each piece of some tensors: a program of one model over `[elements]`.

    `tensors` has for each tensor the name of the update's input for every input of the model that is no scalar; those
    of the inputs `scalar/…` are outputs of the update. An output `next/INPUT` is the new value of an input.
    """

    program: Program
    tensors: list[dict[str, str]] = field(default_factory=list)


def take_pieces(model: Model, trained: Sequence[Stored]) -> list[Pieces]:
    """Take the update of large tensors out of an update; one result for all that are treated alike."""
    work = _Work(model)
    for stored in trained:
        if stored.elements >= LARGE:
            work.take(stored)
    prune_graph(model.graph)
    read = {id(v) for node in model.graph.nodes for v in node.reads()} | {id(v) for v in model.graph.outputs}
    taken = {name for pieces in work.found.values() for names in pieces.tensors for name in names.values()}
    model.graph.inputs = [v for v in model.graph.inputs if id(v) in read or v.name not in taken]
    stored_reads = {str(n.attributes["stored"]) for n in model.graph.nodes if n.op == "parameter"}
    model.fed = [name for name in model.fed if name in stored_reads]
    return list(work.found.values())


class _Work:
    def __init__(self, model: Model) -> None:
        self.model, self.graph = model, model.graph
        self.made_by = {id(v): node for node in self.graph.nodes for v in node.results}
        self.found: dict[object, Pieces] = {}
        self.scalars: dict[int, str] = {}

    def take(self, stored: Stored) -> None:
        """Take the update of one tensor, if it is element by element."""
        outputs = {
            name.removeprefix(NEXT): value
            for name, value in zip(self.model.output_names, self.graph.outputs, strict=True)
            if name.startswith(NEXT) and state_of(name.removeprefix(NEXT))[1] == stored.name
        }
        nodes = self._nodes(stored, list(outputs.values()))
        if nodes is None:
            return
        own = {id(v): v.name for v in self.graph.inputs}
        own |= {id(n.result): stored.name for n in nodes if n.op == "parameter"}
        nodes = [n for n in nodes if n.op != "parameter"]
        key = self._key(nodes, own, outputs)
        if key not in self.found:
            self.found[key] = self._program(nodes, own, outputs, stored)
        used = {own[id(v)] for node in nodes for v in node.inputs if id(v) in own and v.type.rank}
        self.found[key].tensors.append({state_of(name)[0]: name for name in sorted(used)})
        kept = [
            (name, value)
            for name, value in zip(self.model.output_names, self.graph.outputs, strict=True)
            if name.removeprefix(NEXT) not in outputs
        ]
        self.model.output_names, self.graph.outputs = [name for name, _ in kept], [value for _, value in kept]
        for value in (v for node in nodes for v in node.inputs if self._is_scalar(v)):
            name = self._scalar(value)
            if name not in self.model.output_names:
                self.model.output_names.append(name)
                self.graph.outputs.append(value)

    def _nodes(self, stored: Stored, outputs: Sequence[Value]) -> list[Node] | None:
        """Those that compute outputs from the tensor, in order; `None` if one isn't element by element."""
        wanted, found = {id(v) for v in outputs}, list[Node]()
        for node in reversed(self.graph.nodes):
            if not any(id(v) in wanted for v in node.results):
                continue
            found.append(node)
            if node.op == "parameter" and node.attributes["stored"] == stored.name:
                continue
            operation = OPERATIONS.get(node.op)
            if (
                operation is None
                or not operation.elementwise
                or not same_shape(node.result.type.shape, stored.type.shape)
            ):
                return None
            wanted |= {id(v) for v in node.inputs if v.type.rank}
        given = [v for v in self.graph.inputs if id(v) in wanted]
        return found[::-1] if all(state_of(v.name)[1] == stored.name for v in given) else None

    def _is_constant(self, value: Value) -> bool:
        made = self.made_by.get(id(value))
        return made is not None and made.op == "constant"

    def _is_scalar(self, value: Value) -> bool:
        return value.type.rank == 0 and not self._is_constant(value)

    def _scalar(self, value: Value) -> str:
        return self.scalars.setdefault(id(value), f"{SCALAR_OUTPUT}{len(self.scalars)}")

    def _key(self, nodes: Sequence[Node], own: dict[int, str], outputs: dict[str, Value]) -> object:
        """Equal where the same is done to two tensors with the same scalars."""
        numbers: dict[int, object] = {}
        for node in nodes:
            for value in node.inputs:
                if self._is_constant(value):
                    numbers[id(value)] = frozen_attributes(self.made_by[id(value)])
                elif value.type.rank == 0:
                    numbers[id(value)] = self._scalar(value)
                else:
                    numbers.setdefault(id(value), state_of(own.get(id(value), ""))[0])
            numbers[id(node.result)] = len(numbers)
        steps = tuple((n.op, tuple(numbers[id(v)] for v in n.inputs), frozen_attributes(n)) for n in nodes)
        given = tuple((state_of(name)[0], numbers[id(value)]) for name, value in outputs.items())
        return steps, given, nodes[0].result.type.dtype

    def _program(self, nodes: Sequence[Node], own: dict[int, str], outputs: dict[str, Value], stored: Stored) -> Pieces:
        """The nodes over a piece of any size."""
        graph, copies = Graph(), dict[int, Value]()
        piece = stored.type.with_shape([Dim.symbol("elements")])

        def copy(value: Value) -> Value:
            if id(value) in copies:
                return copies[id(value)]
            if self._is_constant(value):
                made = self.made_by[id(value)]
                copies[id(value)] = Value(value.type)
                graph.nodes.append(Node("constant", [], dict(made.attributes), [copies[id(value)]]))
            elif value.type.rank == 0:
                copies[id(value)] = Value(value.type, self._scalar(value))
                graph.inputs.append(copies[id(value)])
            else:
                copies[id(value)] = Value(piece, state_of(own[id(value)])[0])
                graph.inputs.append(copies[id(value)])
            return copies[id(value)]

        for node in nodes:
            operands = [copy(v) for v in node.inputs]
            copies[id(node.result)] = Value(piece.with_dtype(node.result.type.dtype))
            graph.nodes.append(Node(node.op, [*operands], dict(node.attributes), [copies[id(node.result)]]))
        graph.outputs = [copies[id(value)] for value in outputs.values()]
        model = Model("piece", graph, self.model.module)
        model.output_names = [NEXT + state_of(name)[0] for name in outputs]
        return Pieces(Program(models={model.name: model}))
