"""Propagates gradients backward through the nodes of a graph, by the rule of each operation.

The rule for nodes with a body is passed in, since it calls back into this module for the body.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TypeAlias

from wsdl.ir.graph import Graph, Node, Operand, Value
from wsdl.ops import OPERATIONS
from wsdl.ops.build import Build
from wsdl.ops.node_arguments import arguments

Gradients: TypeAlias = "list[tuple[Value, Value | None]]"
ScanRule: TypeAlias = "Callable[[Node, Sequence[Value | None], set[Value], Build], Gradients]"
"""Returns the gradients of the values that a node with a body reads. Arguments: the node, the gradients of its results,
the values that need gradients, and where to append."""


def pull_back(
    graph: Graph,
    nodes: Sequence[Node],
    seeds: Mapping[Value, Value],
    wanted: Iterable[Value],
    scan_rule: ScanRule,
    around: Build | None = None,
) -> Cotangents:
    """Append to `graph` the propagation of the gradients `seeds` (by value) backward through `nodes`, as far as the
    wanted values depend on them."""
    active = dependents(nodes, set(wanted))
    cotangents = Cotangents(Build(graph), active, scan_rule, around, {key: [value] for key, value in seeds.items()})
    for node in reversed(nodes):
        reached = any(v in cotangents.parts and v in active for v in node.results)
        if reached and node.op != "parameter":  # gradients end at stored tensors
            cotangents.node(node)
    return cotangents


def dependents(nodes: Sequence[Node], sources: set[Value]) -> set[Value]:
    """The float values that depend on some values through operations with a gradient, these included."""
    dependent = set(sources)
    for node in nodes:
        is_flat = node.op in OPERATIONS and bool(OPERATIONS[node.op].flat)
        if not is_flat and not dependent.isdisjoint(node.reads()):
            dependent |= {v for v in node.results if v.type.is_float}
    return dependent


@dataclass
class Cotangents:
    """The contributions to the gradient of each value, collected so far."""

    build: Build
    active: set[Value]
    scan_rule: ScanRule
    around: Build | None
    parts: dict[Value, list[Value]] = field(default_factory=dict)

    def gradients(self, values: Iterable[Value]) -> list[Value | None]:
        return [self.gradient(v) for v in values]

    def gradient(self, value: Value) -> Value | None:
        """The sum of all contributions; computed once."""
        parts = self.parts.get(value)
        if not parts:
            return None
        if len(parts) > 1:
            parts[:] = [self.build.add(parts)]
        return parts[0]

    def contribute(self, value: Value, gradient: Value | None, build: Build) -> None:
        if gradient is None or value not in self.active:
            return
        gradient = build.sum_to(gradient, value.type)
        assert gradient.type.rank == value.type.rank, f"{gradient.type} is no gradient of {value.type}"
        self.parts.setdefault(value, []).append(gradient)

    def node(self, node: Node) -> None:
        """Propagate the gradients of a node's results to its operands. Those of a formula belong to it too."""
        start = len(self.build.nodes)
        self._pull_back(node)
        for appended in self.build.nodes[start:] if node.in_f32 else ():
            appended.in_f32 = True

    def _pull_back(self, node: Node) -> None:
        build = replace(self.build.beside(node), around=self.around)
        dys = self.gradients(node.results)
        if node.body is not None:
            for value, gradient in self.scan_rule(node, dys, self.active, build):
                self.contribute(value, gradient, build)
            return
        if node.op == "assume":
            self.contribute(node.inputs[0], dys[0], build)
            return
        operation = OPERATIONS[node.op]
        given = arguments(operation, node, lambda value: value)
        gradients = operation.differentiate(build, dys, node.results, **given)
        names = (p.name for p in operation.operands)
        for name, operand in zip(names, node.operands, strict=False):
            self._hand_on(operand, gradients.get(name), build)

    def _hand_on(self, operand: Operand, gradient: Value | list[Value | None] | None, build: Build) -> None:
        if isinstance(operand, list):
            parts = gradient if isinstance(gradient, list) else [None] * len(operand)
            for value, part in zip(operand, parts, strict=True):
                self.contribute(value, part, build)
        elif operand is not None:
            assert not isinstance(gradient, list)
            self.contribute(operand, gradient, build)
