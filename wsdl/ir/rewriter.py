"""Rewrites graphs: the producer and the readers of every value, and edits that keep both up to date.

    with Rewriter(graph) as rewriter:
        for node in graph.walk():
            inner = rewriter.producer(node.inputs[0]) if node.op == "neg" else None
            if inner is not None and inner.op == "neg":
                rewriter.replace(node.result, inner.inputs[0])
                rewriter.erase(node)

Made once by each pass that needs it, in time proportional to the graph, and kept up to date by its edits; a graph
itself is plain lists, so that nothing can be out of date between passes and a value may stand in two graphs (the two
halves of a training step). Nodes move to their new places together, at the end of the `with` block: until then the
lists of nodes are as they were, and a pass may walk them while it edits.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TypeAlias

from wsdl.ir.graph import Graph, Node, Value

Reader: TypeAlias = "Node | Graph"
"""What reads a value: a node (one within a body too, where it captures the value), or a graph whose output it is."""


class Rewriter:
    """Edits one graph and all bodies nested in it; positions are those of `Graph.nodes`."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self._producers: dict[Value, Node] = {}
        self._readers: dict[Value, dict[Reader, None]] = {}
        self._graphs: dict[Node, Graph] = {}  # in which each node stands
        self._replaced: dict[Value, Value] = {}
        self._before: dict[Reader, list[Node]] = {}
        self._moved: set[Node] = set()
        self._erased: set[Node] = set()
        self._edited: dict[Graph, None] = {}  # those whose nodes move
        self._enter_graph(graph)

    def __enter__(self) -> Rewriter:
        return self

    def __exit__(self, error: type[BaseException] | None, *_: object) -> None:
        if error is None:
            self.finish()

    # -- questions -----------------------------------------------------------------------------------------------------

    def producer(self, value: Value) -> Node | None:
        """The node that a value is a result of; `None` for the input of a graph."""
        return self._producers.get(value)

    def readers(self, value: Value) -> list[Reader]:
        """The readers of a value, each once, in the order in which they were added."""
        return list(self._readers.get(value, ()))

    def is_read(self, node: Node) -> bool:
        """Whether any of its results is read."""
        return any(self._readers.get(value) for value in node.results)

    def current(self, value: Value) -> Value:
        """The current replacement of a value; the value itself if it was not replaced."""
        while value in self._replaced:
            value = self._replaced[value]
        return value

    # -- edits ---------------------------------------------------------------------------------------------------------

    def replace(self, value: Value, by: Value) -> None:
        """Let all that read a value read another one instead, which takes its name where it has none."""
        by.name = by.name or value.name
        self._replaced[value] = by
        for reader in self._readers.pop(value, {}):
            if isinstance(reader, Node):
                reader.operands = reader.substituted({value: by})
            else:
                while value in reader.outputs:
                    reader.outputs[reader.outputs.index(value)] = by
            self._readers.setdefault(by, {})[reader] = None

    def substitute(self, node: Node, values: Mapping[Value, Value]) -> None:
        """Let one node, but not its body, read other values in place of some."""
        self.set_inputs(node, [values.get(v, v) for v in node.inputs])

    def set_inputs(self, node: Node, inputs: Sequence[Value]) -> None:
        """Let one node, but not its body, read these values as its `inputs`."""
        for value in node.inputs:
            self._readers[value].pop(node, None)
        node.operands = node.operands_of(inputs)
        for value in node.inputs:
            self._readers.setdefault(value, {})[node] = None

    def set_outputs(self, graph: Graph, outputs: Sequence[Value]) -> None:
        """Replace the outputs of a graph."""
        for value in graph.outputs:
            self._readers[value].pop(graph, None)
        graph.outputs = list(outputs)
        for value in graph.outputs:
            self._readers.setdefault(value, {})[graph] = None

    def insert(self, nodes: Iterable[Node], before: Reader) -> None:
        """Put new nodes in front of one, or at the end of a graph, before its outputs are read."""
        graph, before_nodes = self._place(before)
        for node in nodes:
            self._enter(node, graph)
            before_nodes.append(node)

    def move(self, nodes: Iterable[Node], before: Reader) -> None:
        """Put nodes of the graph in front of another one, which may stand in a graph around theirs."""
        graph, before_nodes = self._place(before)
        for node in nodes:
            assert node not in self._moved, "a node moves once in a pass"
            self._moved.add(node)
            self._edited[self._graphs[node]] = None
            self._graphs[node] = graph
            before_nodes.append(node)

    def erase(self, node: Node) -> None:
        """Take out a node whose results nothing reads (any more)."""
        assert not self.is_read(node), f"`{node.op}` in `{node.path}` is still read"
        self._leave(node)
        self._erased.add(node)
        self._edited[self._graphs[node]] = None

    def replace_node(self, node: Node, nodes: Iterable[Node], results: Sequence[Value]) -> None:
        """Replace one node by new ones, and its results by `results`."""
        self.insert(nodes, node)
        for old, new in zip(node.results, results, strict=True):
            self.replace(old, new)
        self.erase(node)

    def finish(self) -> None:
        """Write the edited order of nodes to the graphs; done by the `with` statement."""
        for graph in self._edited:
            graph.nodes = [n for node in graph.nodes if node not in self._moved for n in self._placed(node)]
            graph.nodes += [n for node in self._before.get(graph, ()) for n in self._placed(node)]
        self._edited, self._before = {}, {}
        self._moved, self._erased = set(), set()

    # -- the index -----------------------------------------------------------------------------------------------------

    def _place(self, before: Reader) -> tuple[Graph, list[Node]]:
        graph = self._graphs[before] if isinstance(before, Node) else before
        self._edited[graph] = None
        return graph, self._before.setdefault(before, [])

    def _placed(self, node: Node) -> Iterator[Node]:
        for other in self._before.get(node, ()):
            yield from self._placed(other)
        if node not in self._erased:
            yield node

    def _enter_graph(self, graph: Graph) -> None:
        for node in graph.nodes:
            self._enter(node, graph)
        for value in graph.outputs:
            self._readers.setdefault(value, {})[graph] = None

    def _enter(self, node: Node, graph: Graph) -> None:
        self._graphs[node] = graph
        for value in node.inputs:
            self._readers.setdefault(value, {})[node] = None
        for value in node.results:
            self._producers[value] = node
        if node.body is not None:
            self._enter_graph(node.body)

    def _leave(self, node: Node) -> None:
        for value in node.inputs:
            self._readers[value].pop(node, None)
        if node.body is not None:
            for value in node.body.outputs:
                self._readers[value].pop(node.body, None)
            for inner in node.body.nodes:
                self._leave(inner)
