"""The expansion of `gradient(y, x)` in one graph and the bodies in it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from wsdl.differentiation.differentiate_scan import differentiate_scan
from wsdl.differentiation.pull_back import pull_back
from wsdl.ir.graph import Graph, Node, Value
from wsdl.ops.build import Build
from wsdl.rewrite.hoist_invariants import hoist_graph
from wsdl.rewrite.prune import needed_nodes
from wsdl.sharing.through_view import through, through_view


@dataclass
class Expansion:
    """The values that replace the gradients of a graph. A node is `independent` if `y` doesn't depend on `x`: its value
    is zeros. It is `outside` if it is in the body of a scan that captures `x`."""

    values: dict[Value, Value] = field(default_factory=dict)
    independent: list[Node] = field(default_factory=list)
    outside: list[Node] = field(default_factory=list)


def expand(graph: Graph) -> Expansion:
    """Expand the gradients of a graph, in place."""
    hoist_graph(graph)
    expansion = Expansion()
    _expand(graph, expansion, None)
    return expansion


def _expand(graph: Graph, expansion: Expansion, around: Build | None) -> None:
    nodes, graph.nodes = graph.nodes, []
    build = Build(graph, around=around)
    places = dict.fromkeys(graph.inputs, 0)  # by value, of the node that computes it
    for node in nodes:
        first = len(graph.nodes)
        node.operands = node.substituted(expansion.values)
        if node.body is not None:
            _expand(node.body, expansion, build)
        if node.op == "gradient":
            expansion.values[node.result] = _gradient(node, graph, places, expansion, around)
        else:
            graph.nodes.append(node)
        for place in range(first, len(graph.nodes)):
            places.update(dict.fromkeys(graph.nodes[place].results, place))
    graph.outputs = [expansion.values.get(v, v) for v in graph.outputs]


def _gradient(
    node: Node, graph: Graph, places: Mapping[Value, int], expansion: Expansion, around: Build | None
) -> Value:
    """Append the computation of a gradient; returns its value."""
    y, x = node.inputs
    if around is not None and x not in places:
        expansion.outside.append(node)
    sources = _sources(x, graph, places)
    count = len(graph.nodes)
    forward = graph.nodes[min(places.get(source, 0) for source in sources) :]
    build = Build(graph, node.path, node.span)
    cotangents = pull_back(graph, forward, {y: build.constant(1.0, y.type)}, sources, differentiate_scan, around)
    gradient = _over_all_uses(build, x, sources, cotangents.gradients(sources))
    if gradient is None:
        expansion.independent.append(node)
        gradient = build.zeros(x.type)
    if node.view is not None:
        gradient = through(build, gradient, node.view)
    gradient = build.expand(gradient, node.result.type)
    gradient.name = gradient.name or node.result.name
    appended = needed_nodes(graph.nodes[count:], [gradient])
    for new in appended:
        new.steps = node.steps
    graph.nodes[count:] = appended
    return gradient


def _sources(x: Value, graph: Graph, places: Mapping[Value, int]) -> list[Value]:
    """The values whose gradients are summed to that of `x`: for a parameter, all reads of its stored tensor."""
    producer = graph.nodes[places[x]] if x in places and x not in graph.inputs else None
    if producer is None or producer.op != "parameter":
        return [x]
    stored = producer.attributes["stored"]
    reads = [n.result for n in graph.nodes if n.op == "parameter" and n.attributes["stored"] == stored]
    return [x, *(value for value in reads if value is not x)]


def _over_all_uses(build: Build, x: Value, sources: Sequence[Value], gradients: Sequence[Value | None]) -> Value | None:
    """The sum of the gradients of all reads of one stored tensor, in the shape in which `x` reads it; `None` without
    any."""
    if len(sources) == 1:
        return gradients[0]
    views = {v: n.view for n in build.nodes if n.op == "parameter" for v in n.results}
    own = views[x]
    uses = [(views[s], g) for s, g in zip(sources, gradients, strict=True) if g is not None]
    assert own is not None
    if not uses:
        return None
    if all(view is not None and view.reads_like(own) for view, _ in uses):
        return build.add([gradient for _, gradient in uses])
    return through(build, build.add([through_view(build, g, view) for view, g in uses if view is not None]), own)
