"""Reverse mode on the graph: appends the computation of the gradients of a scalar with respect to some values.

    model m(%x: f32[n], %w: f32[]) -> (loss: %loss) {
        %y = mul(%x, %w): f32[n]
        %loss = sum(%y) {axis=none, keepdims=false}: f32[]
    }

with respect to `%w` becomes

    model m(%x: f32[n], %w: f32[]) -> (loss: %loss, gradient: %3) {
        %y = mul(%x, %w): f32[n]
        %loss = sum(%y) {axis=none, keepdims=false}: f32[]
        %0 = constant() {value=1.0, dtype="f32"}: f32[]
        %1 = expand(%0) {shape=[<n>]}: f32[n]
        %2 = mul(%1, %x): f32[n]
        %3 = sum(%2) {axis=[0], keepdims=false}: f32[]
    }

Each operation has a rule (`Operation.gradient`); the contributions of all uses of a value are added, so the gradient of
a shared tensor is the sum over its uses. The gradient of a scan is another scan (`differentiate_scan`).
"""

from __future__ import annotations

from collections.abc import Sequence

from wsdl.differentiation.differentiate_scan import differentiate_scan
from wsdl.differentiation.pull_back import pull_back
from wsdl.ir.graph import Graph, Value
from wsdl.ops.build import Build
from wsdl.rewrite.hoist_invariants import hoist_graph
from wsdl.rewrite.prune import needed_nodes


def differentiate(graph: Graph, loss: Value, sources: Sequence[Value]) -> list[Value | None]:
    """The gradient of a scalar of `graph` with respect to each of `sources`; `None` where it doesn't depend on it."""
    hoist_graph(graph)
    forward = list(graph.nodes)
    one = Build(graph).constant(1.0, loss.type)
    gradients = pull_back(graph, forward, {loss: one}, sources, differentiate_scan).gradients(sources)
    computed_before = [v for node in forward for v in node.results]
    graph.nodes = needed_nodes(graph.nodes, [*computed_before, *(g for g in gradients if g is not None)])
    return gradients
