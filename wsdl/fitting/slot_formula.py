"""The formula of one slot as a function of stored tensors: its value, and its derivative with respect to a tensor.

The derivative is built by the gradient rules of the operations: a formula is linear in a tensor if and only if its
gradient for that tensor doesn't read the tensor. The reference interpreter computes everything in f64.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wsdl.differentiation.differentiate_scan import differentiate_scan
from wsdl.differentiation.pull_back import pull_back
from wsdl.fitting.products import Product, products_of
from wsdl.ir.graph import Graph, Node, Value
from wsdl.ir.types import FLOATS
from wsdl.ir.views import View
from wsdl.ops import OPERATIONS
from wsdl.ops.build import Build
from wsdl.ops.interpreter import evaluate
from wsdl.rewrite.hoist_invariants import hoist_graph
from wsdl.rewrite.prune import needed_nodes, prune_graph

Array = NDArray[Any]


class SlotFormula:
    """A graph without inputs, whose `parameter` nodes read stored tensors, and whose only output is the slot."""

    def __init__(self, formula: Graph) -> None:
        self.graph = _in_f64(formula)
        hoist_graph(self.graph)
        prune_graph(self.graph)
        self.reads: dict[str, list[Node]] = {}  # by the name of the stored tensor
        for node in self.graph.walk():
            if node.op == "parameter":
                self.reads.setdefault(str(node.attributes["stored"]), []).append(node)
        self._derivatives: dict[tuple[Value, ...], Derivative] = {}

    def value(self, stored: Mapping[str, Array]) -> Array:
        """The value of the slot."""
        [array] = evaluate(self.graph, [], stored)
        return np.asarray(array)

    def is_linear_in(self, name: str) -> bool:
        """Whether the formula is linear in a stored tensor; in integers none is, since they can't change gradually."""
        is_float = all(node.result.type.is_float for node in self.reads[name])
        return is_float and self.by_tensor(name).is_linear

    def by_tensor(self, name: str) -> Derivative:
        """The derivative with respect to a stored tensor."""
        reads = self.reads[name]
        return self.by_values([node.result for node in reads], [_view(node) for node in reads])

    def by_values(self, values: Sequence[Value], views: Sequence[View] | None = None) -> Derivative:
        """The derivative with respect to values of the graph, which read one tensor through `views`."""
        key = tuple(values)
        if key not in self._derivatives:
            chosen = views or [View.identity(v.type.sizes or ()) for v in values]
            self._derivatives[key] = Derivative.of(self.graph, list(values), list(chosen))
        return self._derivatives[key]

    @cached_property
    def products(self) -> list[Product]:
        """The products of two matrices whose factors the formula reads only there."""
        return products_of(self.graph)


@dataclass(frozen=True, eq=False)
class Derivative:
    """The derivative of a graph's output with respect to one tensor, which values of the graph read through views.

    `forward` maps changes of the values to the change of the output, `backward` a gradient of the output to those of
    the values. Both also take the outputs of `fixed`, which computes what doesn't depend on the tensor. `factors` are
    the stored tensors that the derivative depends on.
    """

    views: list[View]
    fixed: Graph
    forward: Graph
    backward: Graph
    factors: frozenset[str]
    is_linear: bool

    @staticmethod
    def of(graph: Graph, values: list[Value], views: list[View]) -> Derivative:
        """The derivative with respect to some values of a graph."""
        [output] = graph.outputs
        seed = Value(output.type)
        changing = _dependents(graph.nodes, values)
        work = Graph(list(graph.inputs), list(graph.nodes), [output])
        pulled = pull_back(work, graph.nodes, {output: seed}, values, differentiate_scan).gradients(values)
        gradients = [g if g is not None else _zeros(work, v) for g, v in zip(pulled, values, strict=True)]
        of_graph = {v for node in graph.nodes for v in node.results}
        needed = needed_nodes(work.nodes, gradients)
        backward = Graph([seed], [n for n in needed if of_graph.isdisjoint(n.results)], gradients)
        captured = backward.captured()
        flat = any(
            n.op in OPERATIONS and OPERATIONS[n.op].flat for n in graph.nodes if not changing.isdisjoint(n.reads())
        )
        is_linear = not flat and changing.isdisjoint(captured)
        forward = _transposed(backward, values)
        constant = [v for v in dict.fromkeys([*forward.captured(), *captured]) if v not in changing]
        fixed = Graph([], [n for n in graph.nodes if changing.isdisjoint(n.results)], constant)
        prune_graph(fixed)
        factors = frozenset(str(n.attributes["stored"]) for n in needed if n.op == "parameter")
        forward.inputs += constant
        backward.inputs += constant
        return Derivative(views, fixed, forward, backward, factors, is_linear)

    def at(self, stored: Mapping[str, Array]) -> LinearMap:
        """The derivative at these values of the other tensors."""
        return LinearMap(self, evaluate(self.fixed, [], stored))


@dataclass(eq=False)
class LinearMap:
    """A derivative at a point: a linear map from a tensor to the slot."""

    derivative: Derivative
    fixed: list[Array]

    def apply(self, tensor: Array) -> Array:
        """The change of the slot for a change of the tensor."""
        read = [view.of(tensor) for view in self.derivative.views]
        [array] = evaluate(self.derivative.forward, [*read, *self.fixed], {})
        return np.asarray(array)

    def transposed(self, gradient: Array) -> Array:
        """The gradient of the tensor from that of the slot."""
        parts = evaluate(self.derivative.backward, [gradient, *self.fixed], {})
        total = np.zeros(self.derivative.views[0].source)
        for view, part in zip(self.derivative.views, parts, strict=True):
            total += view.put(np.zeros(view.source), np.broadcast_to(part, view.shape))
        return total


def _transposed(backward: Graph, values: Sequence[Value]) -> Graph:
    """The transpose of a graph that maps a gradient of the output to those of `values`: it maps changes of the values
    to the change of the output. It doesn't compute the values themselves."""
    [seed] = backward.inputs
    changes = [Value(value.type) for value in values]
    work = Graph([*changes, seed], list(backward.nodes), [])
    by_gradient: dict[Value, list[Value]] = {}
    for gradient, change in zip(backward.outputs, changes, strict=True):
        by_gradient.setdefault(gradient, []).append(change)
    seeds = {
        gradient: parts[0] if len(parts) == 1 else Build(work).add(parts) for gradient, parts in by_gradient.items()
    }
    pulled = pull_back(work, backward.nodes, seeds, [seed], differentiate_scan).gradient(seed)
    output = _zeros(work, seed) if pulled is None else pulled
    return Graph(changes, needed_nodes(work.nodes, [output]), [output])


def _in_f64(graph: Graph) -> Graph:
    """A copy of a graph that computes in f64."""
    copies: dict[Value, Value] = {}
    result = graph.copy(copies)
    for value in copies.values():
        if value.type.dtype in FLOATS:
            value.type = value.type.with_dtype("f64")
    for node in result.walk():
        if node.attributes.get("dtype") in FLOATS:
            node.attributes["dtype"] = "f64"
    return result


def _dependents(nodes: Sequence[Node], values: Sequence[Value]) -> set[Value]:
    """The values that depend on some values, and these."""
    changing = set(values)
    for node in nodes:
        if not changing.isdisjoint(node.reads()):
            changing.update(node.results)
    return changing


def _zeros(graph: Graph, value: Value) -> Value:
    return Build(graph).expand(Build(graph).zeros(value.type), value.type)


def _view(read: Node) -> View:
    assert read.view is not None
    return read.view
