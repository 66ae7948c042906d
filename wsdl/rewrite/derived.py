"""Stored tensors that are computed from others when compiling: the factors and shifts of a batch normalization.

Its statistics don't change at inference, so it is `x * factor + shift`, with two vectors over the channels. These are
graphs over the stored tensors, for initial and loaded values alike.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from wsdl.ir.graph import Graph, Initializer, Lowered, Node, Slot, Stored, Value
from wsdl.ops.build import Build


@dataclass(frozen=True)
class Statistics:
    """The names of the stored tensors that a batch normalization reads, and its `eps`."""

    scale: str
    shift: str
    mean: str
    variance: str
    eps: float

    @staticmethod
    def of(node: Node, names: Mapping[Value, str]) -> Statistics | None:
        """Those of a node, where it is a normalization by stored tensors; `names` are `whole_reads` of its graph."""
        if node.op != "batch_norm" or any(v not in names for v in node.inputs[1:]):
            return None
        scale, shift, mean, variance = (names[v] for v in node.inputs[1:])
        eps = node.attributes["eps"]
        assert isinstance(eps, float | int)
        return Statistics(scale, shift, mean, variance, eps)


def whole_reads(graph: Graph) -> dict[Value, str]:
    """The values of a graph that are stored tensors, whole and unmoved, and the names of these."""
    return {
        node.result: str(node.attributes["stored"])
        for node in graph.walk()
        if node.op == "parameter" and node.view is not None and node.view.is_identity
    }


@dataclass
class DerivedGraph:
    """The graph of one derived tensor under construction. For tensors in 16 bits it computes in f32 and rounds once."""

    program: Lowered
    graph: Graph = field(default_factory=Graph)

    def __call__(self, op: str, *operands: Value, **attributes: object) -> Value:
        return Build(self.graph)(op, *operands, **attributes)

    def read(self, name: str) -> Value:
        """A stored tensor, whole."""
        stored = self.program.stored[name]
        return Build(self.graph).parameter(stored, dtype="f32" if stored.type.dtype in ("f16", "bf16") else None)

    def factor(self, of: Statistics) -> Value:
        """What each channel is multiplied by: `scale / sqrt(variance + eps)`."""
        variance = self.read(of.variance)
        spread = self("add", variance, Build(self.graph).constant(of.eps, variance.type))
        return self("mul", self("rsqrt", spread), self.read(of.scale))

    def shift(self, of: Statistics, bias: str | None = None) -> Value:
        """What is then added to each channel, where `bias` had been added before."""
        center = self("neg", self.read(of.mean))
        if bias is not None:
            center = self("add", center, self.read(bias))
        return self("add", self("mul", center, self.factor(of)), self.read(of.shift))

    def store(self, name: str, like: str, result: Value) -> Stored:
        """`result` as a stored tensor of the program; its origin and its dtype are those of the one called `like`."""
        origin = self.program.stored[like]
        root, type = origin.root, result.type.with_dtype(origin.type.dtype)
        slot = Slot(name, type, root.kind, Initializer("zeros"), root.span, root.layer_span)
        self.graph.outputs = [result]
        stored = Stored(
            name, type, slot, origin.slots, slot.initializer, origin.frozen, origin.group, derived=self.graph
        )
        self.program.stored[name] = stored
        return stored
