"""Reverse mode on the graph: appends what computes the gradients of one scalar with regard to some values.

    model m(%x: f32[n], %w: f32[]) -> (loss: %0) {
        %y = mul(%x, %w): f32[n]
        %0 = sum(%y) {axis=none, keepdims=false}: f32[]
    }

with regard to `%w` becomes

    model m(%x: f32[n], %w: f32[]) -> (loss: %0, gradient: %4) {
        %y = mul(%x, %w): f32[n]
        %0 = sum(%y) {axis=none, keepdims=false}: f32[]
        %1 = constant() {value=1.0, dtype="f32"}: f32[]
        %2 = expand(%1) {shape=[<n>]}: f32[n]
        %3 = mul(%2, %x): f32[n]
        %4 = sum(%3) {axis=[0], keepdims=false}: f32[]
    }

One rule an operation (`Operation.gradient`); the contributions of all uses of a value are added, so the gradient of a
shared tensor is the sum over its uses. A scan goes backward in a scan of its own, whose size doesn't depend on the number
of steps: it keeps what was carried into each step and computes the rest again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from wsdl.ir.graph import Graph, Node, Operand, Value
from wsdl.ir.types import same_shape
from wsdl.ops import OPERATIONS
from wsdl.ops.arguments import arguments
from wsdl.ops.build import Build


def differentiate(graph: Graph, loss: Value, wanted: Sequence[Value]) -> list[Value | None]:
    """The gradient of a scalar of `graph` for each wanted value, `None` where it doesn't depend on it."""
    build = Build(graph)
    one = build.constant(1.0, loss.type)
    return pull_back(graph, list(graph.nodes[:-1]), {id(loss): one}, wanted)


def pull_back(
    graph: Graph, nodes: Sequence[Node], seeds: Mapping[int, Value], wanted: Sequence[Value]
) -> list[Value | None]:
    """Append to `graph` what carries the gradients of `seeds` (by the id of the value that they are of) backward
    through `nodes`; the gradients of the wanted values."""
    active = {id(v) for v in wanted}
    for node in nodes:  # a value matters if it depends on a wanted one
        if any(id(v) in active for v in _read(node)):
            active |= {id(v) for v in node.results if v.type.is_float}
    work = _Work(graph, active, {key: [value] for key, value in seeds.items()})
    for node in reversed(nodes):
        if any(id(v) in work.parts and id(v) in active for v in node.results):
            work.node(node)
    return [work.gradient(v) for v in wanted]


def _read(node: Node) -> list[Value]:
    return [*node.inputs, *(node.body.captured() if node.body else ())]


@dataclass
class _Work:
    """The contributions to the gradient of each value so far, by its id."""

    graph: Graph
    active: set[int]
    parts: dict[int, list[Value]] = field(default_factory=dict)

    def gradient(self, value: Value) -> Value | None:
        """The sum of all contributions; made once."""
        parts = self.parts.get(id(value))
        if not parts:
            return None
        if len(parts) > 1:
            parts[:] = [Build(self.graph).add(parts)]
        return parts[0]

    def contribute(self, value: Value, gradient: Value | None, build: Build) -> None:
        if gradient is None or id(value) not in self.active:
            return
        gradient = build.sum_to(gradient, value.type)
        assert same_shape(gradient.type.shape, value.type.shape) or gradient.type.rank == value.type.rank
        self.parts.setdefault(id(value), []).append(gradient)

    def node(self, node: Node) -> None:
        build = Build(self.graph, node.path, node.span, node.steps)
        if node.op == "scan":
            from wsdl.passes.differentiate_scan import differentiate_scan

            for value, gradient in differentiate_scan(
                node, [self.gradient(v) for v in node.results], self.active, build
            ):
                self.contribute(value, gradient, build)
            return
        if node.op == "assume":
            self.contribute(node.inputs[0], self.gradient(node.result), build)
            return
        operation = OPERATIONS[node.op]
        dys = [self.gradient(v) for v in node.results]
        given = arguments(operation, node, lambda value: value)
        gradients = operation.differentiate(build, dys, node.results, **given)
        operands = dict(
            zip((p.name for p in operation.parameters if p.kind != "attribute"), node.operands, strict=False)
        )
        for name, gradient in gradients.items():
            self._hand_on(operands[name], gradient, build)

    def _hand_on(self, operand: Operand, gradient: Value | list[Value | None] | None, build: Build) -> None:
        if isinstance(operand, Value):
            assert not isinstance(gradient, list)
            self.contribute(operand, gradient, build)
        elif isinstance(operand, list):
            assert isinstance(gradient, list)
            for value, part in zip(operand, gradient, strict=True):
                self.contribute(value, part, build)
