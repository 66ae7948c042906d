"""Constant folding: the tensors that ONNX Runtime computes when it loads a model, and those that a session should
compute in each run instead, so that it holds as few bytes as possible."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable
from functools import cached_property
from math import prod
from typing import TypeAlias

from onnx import GraphProto, ModelProto, NodeProto, TensorProto, shape_inference

from wsdl.ir.min_cut import UNLIMITED, Network
from wsdl.ir.types import BYTES
from wsdl.onnx.builder import value_info
from wsdl.onnx.walk import subgraphs, tensor_bytes, walk
from wsdl.ops._interfaces import Ref

SMALL = 1024  # bytes; copies of smaller tensors are ignored
GUARD = 64  # bytes, roughly, of a guard
ELEMENTS = "sharing/size"  # the number of elements of an input, which guards depend on
_NOT_FOLDED = {"RandomNormal", "RandomUniform", "Size"}

Read: TypeAlias = "tuple[NodeProto, int]"  # a node, and the index of one of its inputs
_Vertex: TypeAlias = "tuple[str, str]"  # a decision about a tensor ("folded", "held", "guarded"), and its name

_SOURCE, _SINK = ("source", ""), ("sink", "")


def folded_origins(graph: GraphProto) -> dict[str, frozenset[str]]:
    """The results that constant folding computes when a model is loaded, each with the initializers that it is computed
    from."""
    constants = Constants(graph)
    return {name: constants.origins[name] for name in constants.folded}


def maps_of(graph: GraphProto, stored: Collection[str]) -> set[str]:
    """The tensors computed from constants alone (indices, masks) that a formula combines with `stored` tensors. A guard
    doesn't count as a run-time value here."""
    constants = Constants(graph, through_guards=True)
    weights = {name for name in constants.folded if constants.origins[name] & set(stored)}
    return {
        name
        for result in weights
        for name in constants.folded[result].input
        if name in constants.folded and name not in weights
    }


class Constants:
    """The tensors that are known before the run, and the initializers that they are computed from (`origins`)."""

    def __init__(self, graph: GraphProto, *, through_guards: bool = False) -> None:
        self.nodes = list(walk(graph))
        self.initializers = {tensor.name: tensor for tensor in graph.initializer}
        self.origins: dict[str, frozenset[str]] = {name: frozenset([name]) for name in self.initializers}
        self.folded: dict[str, NodeProto] = {}  # by result
        self.reads = Counter(name for node in self.nodes for name in node.input)
        self.producers = {name: node for node in self.nodes for name in node.output}
        self.kept = {output.name for output in graph.output}  # read by a node that can't be folded
        if through_guards:
            self.origins[ELEMENTS] = frozenset()
        for node in self.nodes:
            self._add(node)

    def _add(self, node: NodeProto) -> None:
        inputs = [name for name in node.input if name]
        known = all(name in self.origins for name in inputs) and (bool(inputs) or node.op_type == "Constant")
        if known and node.op_type not in _NOT_FOLDED and not any(subgraphs(node)):
            made_of = frozenset[str]().union(*(self.origins[name] for name in inputs))
            for name in node.output:
                self.origins[name], self.folded[name] = made_of, node
        else:
            self.kept.update(inputs)
            self.kept.update(output.name for body in subgraphs(node) for output in body.output)

    def is_shared(self, weight: str) -> bool:
        """Whether it is a large constant that several nodes read."""
        stored = self.origins.get(weight, frozenset())
        return self.reads[weight] > 1 and any(tensor_bytes(self.initializers[name]) >= SMALL for name in stored)

    def scaled_by_number(self, node: NodeProto) -> int | None:
        """The index of the input that is a constant number by which the other one is multiplied or divided."""
        operands = {"Mul": (1, 0), "Div": (1,)}.get(node.op_type, ())
        scalars = (i for i in operands if (c := self.initializers.get(node.input[i])) and prod(c.dims) == 1)
        return next(scalars, None)

    def reads_behind(self, node: NodeProto, i: int) -> list[Read]:
        """The reads of initializers that make an input constant: its own, or those of the node that computes it."""
        name = node.input[i]
        if name in self.initializers:
            return [(node, i)]
        behind = self.folded.get(name)
        return [(behind, j) for j, read in enumerate(behind.input) if read in self.initializers] if behind else []


class InferredTypes:
    """Types of the tensors of the model's graph, as inferred by ONNX from those that are `known`; computed on first
    use."""

    def __init__(self, proto: ModelProto, known: Iterable[Ref] = ()) -> None:
        self._proto, self._known = proto, known

    @cached_property
    def _tensors(self) -> dict[str, TensorProto]:
        proto = ModelProto()
        proto.CopyFrom(self._proto)
        static = {ref.name: ref.type for ref in self._known if ref.type.sizes is not None}
        computed = {name for node in proto.graph.node for name in node.output} & static.keys()
        proto.graph.value_info.extend(value_info(name, static[name]) for name in sorted(computed))
        tensors = {tensor.name: tensor for tensor in proto.graph.initializer}
        for info in shape_inference.infer_shapes(proto, data_prop=True).graph.value_info:
            type = info.type.tensor_type
            if type.elem_type and all(dim.HasField("dim_value") for dim in type.shape.dim):
                dims = [dim.dim_value for dim in type.shape.dim]
                tensors[info.name] = TensorProto(name=info.name, data_type=type.elem_type, dims=dims)
        return tensors

    def tensor(self, name: str) -> TensorProto | None:
        """Dtype and shape of a tensor of the model's own graph."""
        return self._tensors.get(name)

    @cached_property
    def _bytes(self) -> dict[str, int]:
        static = {ref.name: ref.type for ref in self._known if ref.type.sizes is not None}
        known = {name: BYTES[type.dtype] * prod(type.sizes or ()) for name, type in static.items()}
        return known | {name: tensor_bytes(tensor) for name, tensor in self._tensors.items()}

    def bytes(self, name: str) -> int | None:
        """The bytes of a tensor, if its type is known."""
        return self._bytes.get(name)


# -- what a session computes in each run -------------------------------------------------------------------------------


def reads_to_guard(
    stored: Collection[str], maps: Collection[str], constants: Constants, inferred: InferredTypes
) -> list[Read]:
    """The reads to guard, so that a session holds as few bytes as possible.

    The tensors computed from `stored` ones are a graph from these and from constants (indices, shapes) to the tensors
    that the run reads. A session holds the folded tensors that an unfolded node reads: a cut through this graph. The
    minimum cut has the fewest bytes; the nodes behind it are computed in each run. Of several minimum cuts the one with
    the fewest such nodes is taken. So a weight that is read through one view only is folded, and so are masks and
    tables computed from no stored tensor, unless they are among the `maps`, the constants of formulas that are
    multiplied by activations first.
    """
    weights = {name for name in constants.folded if constants.origins[name] & set(stored) or name in maps}
    if not any(name in constants.kept for name in weights):
        return []
    return _Cut(weights, frozenset(stored), constants, inferred).reads()


class _Cut:
    """The graph of all tensors that could be folded, for `weights`, the results computed from stored tensors."""

    def __init__(
        self, weights: set[str], stored: frozenset[str], constants: Constants, inferred: InferredTypes
    ) -> None:
        self._constants, self._inferred, self._weights, self._stored = constants, inferred, weights, stored
        self._sizes: dict[str, int] = {}
        self._names = self._with_origins(weights)
        self._nodes = [
            node
            for node in constants.nodes
            if node.output[0] in constants.folded and any(name in self._names for name in node.output)
        ]
        self._read_by_folded = {name for node in self._nodes for name in node.input}

    def _with_origins(self, weights: set[str]) -> set[str]:
        """The tensors, and all that they are computed from."""
        names, waiting = set(weights), list(weights)
        while waiting:
            for name in self._constants.folded[waiting.pop()].input:
                if name and name not in names:
                    names.add(name)
                    if name in self._constants.folded:
                        waiting.append(name)
        return names

    def reads(self) -> list[Read]:
        """One operand of each node behind the cut whose operands are all before it, and all operands that have other
        readers, as the runtime moves transposes from one operand of a node to the other."""
        behind = self._network().behind_cut(_SOURCE, _SINK)
        at_run_time = {name for name in self._names if ("folded", name) in behind}
        reads: list[Read] = []
        for node in self._nodes:
            if node.output[0] in at_run_time:
                operands = self._operands(node)
                needed = [] if at_run_time.intersection(node.input) else operands[:1]
                held = [i for i in operands if node.input[i] not in at_run_time]
                reads += [(node, i) for i in held if i in needed or self._is_read_elsewhere(node.input[i])]
        return reads

    @cached_property
    def _leads_to_large(self) -> set[str]:
        """The tensors that are large, or that a large one is computed from."""
        large: set[str] = set()
        for node in reversed(self._nodes):
            if any(name in large or self._bytes(name) >= SMALL for name in node.output):
                large.update(node.output, node.input)
        return large

    def _is_read_elsewhere(self, name: str) -> bool:
        return self._constants.reads[name] > 1 and self._bytes(name) >= SMALL and self._is_guardable(name)

    def _network(self) -> Network[_Vertex]:
        """Tensors before the cut are folded; the session holds those that a node behind the cut reads."""
        network: Network[_Vertex] = Network()
        for name in sorted(self._names):
            if name in self._constants.initializers:
                network.add(_SOURCE, ("folded", name))
            is_free = self._is_guardable(name) or self._bytes(name) < SMALL
            may_be_held = is_free or name not in self._read_by_folded
            network.add(("folded", name), ("held", name), self._bytes(name) if may_be_held else UNLIMITED)
            if name in self._constants.kept and (name in self._weights or name in self._constants.initializers):
                network.add(("held", name), _SINK)
        guards: dict[str, int] = {}  # the cost of guarding a small tensor, once for all its readers
        for node in self._nodes:
            first = node.output[0]
            for other in node.output[1:]:
                network.add(("folded", first), ("folded", other))
                network.add(("folded", other), ("folded", first))
            for name in filter(None, node.input):
                network.add(("held", name), ("folded", first))
                network.add(("folded", first), ("folded", name))
            if not node.input:
                network.add(_SOURCE, ("folded", first))
                continue
            computed = [name for name in node.input if name in self._constants.folded]
            guarded = max(computed or filter(None, node.input), key=self._bytes)
            if self._bytes(guarded) < SMALL:
                count = GUARD if first in self._leads_to_large else SMALL  # no guard to save a few bytes
                guards[guarded] = min(guards.get(guarded, SMALL), count)
                network.add(("guarded", guarded), ("folded", first))
        for name, count in sorted(guards.items()):
            network.add(("folded", name), ("guarded", name), count)
        return network

    def _operands(self, node: NodeProto) -> list[int]:
        """The operands by which a node can be guarded, the best one first: the shape of a `Reshape`, since the runtime
        merges two in a row, otherwise those computed from stored tensors."""
        if node.op_type == "Reshape" and self._is_guardable(node.input[1]):
            return [1]
        operands = [i for i, name in enumerate(node.input) if name]
        return sorted(operands, key=lambda i: self._preference(node.input[i]), reverse=True)

    def _preference(self, name: str) -> tuple[bool, bool, int]:
        """The sort key for the operands of a node; the largest is guarded."""
        return self._is_guardable(name), bool(self._constants.origins[name] & self._stored), self._bytes(name)

    def _is_guardable(self, name: str) -> bool:
        """Whether rank and dtype are known, which a guard needs."""
        return self._inferred.tensor(name) is not None

    def _bytes(self, name: str) -> int:
        """The bytes of a tensor; if its type isn't known, those of the tensors that it is computed from."""
        if name not in self._sizes:
            known, node = self._inferred.bytes(name), self._constants.folded.get(name)
            operands = filter(None, node.input) if node is not None else ()
            self._sizes[name] = sum(map(self._bytes, operands)) if known is None else known
        return self._sizes[name]
