"""Multiplies a batch normalisation into the convolution before it, once for all uses of the weights.

    stored m.conv.weight: f32[2, 1, 1, 1]
    stored m.scale: f32[2]
    stored m.shift: f32[2]
    stored m.mean: f32[2]
    stored m.var: f32[2]

    model m(%x: f32[n, 1, h, w]) -> (y: %y) {
        %weight = parameter {stored="m.conv.weight"}: f32[2, 1, 1, 1]
        %scale = parameter {stored="m.scale"}: f32[2]
        %shift = parameter {stored="m.shift"}: f32[2]
        %mean = parameter {stored="m.mean"}: f32[2]
        %var = parameter {stored="m.var"}: f32[2]
        %c = conv2d(%x, %weight, _): f32[n, 2, h, w]
        %y = batch_norm(%c, %scale, %shift, %mean, %var) {eps=0.1}: f32[n, 2, h, w]
    }

becomes (without what nothing reads any more)

    stored m.conv.weight: f32[2, 1, 1, 1]
    stored m.scale: f32[2]
    stored m.shift: f32[2]
    stored m.mean: f32[2]
    stored m.var: f32[2]
    derived m.conv.weight.folded: f32[2, 1, 1, 1]
    derived m.conv.bias.folded: f32[2]

    model m(%x: f32[n, 1, h, w]) -> (y: %y) {
        %0 = parameter {stored="m.conv.weight.folded"}: f32[2, 1, 1, 1]
        %1 = parameter {stored="m.conv.bias.folded"}: f32[2]
        %y = conv2d(%x, %0, %1): f32[n, 2, h, w]
    }

The runtime does the same for each use by itself, and so makes a copy of shared weights for each. Here the folded
weights are stored *instead of* the others, where every use in the program agrees: the convolution is always followed
by this normalisation, and by nothing else. Running statistics don't change at inference, so nothing is lost.
"""

from __future__ import annotations

from dataclasses import dataclass

from wsdl.ir.dims import Dim
from wsdl.ir.graph import Graph, Node, Program, Stored
from wsdl.ops import OPERATIONS
from wsdl.passes.derived import Deriving, Statistics, read_whole, whole_reads


@dataclass(frozen=True)
class _Pair:
    """A convolution, the normalisation of its result, and the names of the stored tensors that both read."""

    convolution: Node
    norm: Node
    weight: str
    bias: str | None
    statistics: Statistics

    @property
    def agreement(self) -> tuple[object, ...]:
        return self.weight, self.bias, self.statistics


def fold_batch_norm(program: Program) -> Program:
    """Fold every normalisation on which all uses of a convolution's weights agree."""
    uses: dict[str, list[Node]] = {}
    pairs: dict[str, list[_Pair]] = {}
    for model in program.models.values():
        _collect(model.graph, uses, pairs)
    for weight, found in pairs.items():
        agree = len({p.agreement for p in found}) == 1
        bias = found[0].bias
        everywhere = len(found) == len(uses[weight]) and (bias is None or len(uses[bias]) == len(found))
        if agree and everywhere:
            _fold(program, found)
    return program


def _collect(graph: Graph, uses: dict[str, list[Node]], pairs: dict[str, list[_Pair]]) -> None:
    """Who reads each stored tensor, and which convolutions are only ever normalised."""
    readers: dict[int, list[Node]] = {}
    makers: dict[int, Node] = {}
    reads = {id(node.result): str(node.attributes["stored"]) for node in graph.walk() if node.op == "parameter"}
    for node in graph.walk():
        for value in node.inputs:
            readers.setdefault(id(value), []).append(node)
            if id(value) in reads:
                uses.setdefault(reads[id(value)], []).append(node)
        makers.update({id(v): node for v in node.results})
    outputs = {id(v) for g in [graph, *(n.body for n in graph.walk() if n.body)] for v in g.outputs}
    names = whole_reads(graph)
    for norm in graph.walk():
        statistics = Statistics.of(norm, names)
        convolution = makers.get(id(norm.inputs[0])) if statistics is not None else None
        axis = _output_axis(convolution) if convolution is not None else None
        if statistics is None or convolution is None or axis is None:
            continue
        if convolution.attributes.get("groups", 1) != 1 and axis == 1:
            continue
        weight, *biases = (names.get(id(v)) for v in convolution.inputs[1:])
        alone = readers[id(convolution.result)] == [norm] and id(convolution.result) not in outputs
        if alone and weight and None not in biases:
            pair = _Pair(convolution, norm, weight, biases[0] if biases else None, statistics)
            pairs.setdefault(weight, []).append(pair)


def _output_axis(node: Node) -> int | None:
    """The axis of a convolution's weight that has its output channels; `None` for a node that is none."""
    return OPERATIONS[node.op].output_axis if node.op in OPERATIONS else None


def _fold(program: Program, pairs: list[_Pair]) -> None:
    weight, bias = _derived(program, pairs[0])
    for model in program.models.values():
        _rewrite(model.graph, pairs, weight, bias)


def _derived(program: Program, pair: _Pair) -> tuple[Stored, Stored]:
    """The weight and the bias of the convolution with the normalisation in them."""
    layer, axis = pair.weight.rpartition(".")[0], _output_axis(pair.convolution)
    weights, biases = Deriving(program), Deriving(program)
    weight, factor = weights.read(pair.weight), weights.factor(pair.statistics)
    column = [factor.type.shape[0] if a == axis else Dim.of(1) for a in range(weight.type.rank)]
    scaled = weights("mul", weight, weights("reshape", factor, shape=column))
    return (
        weights.store(f"{layer}.weight.folded", pair.weight, scaled),
        biases.store(f"{layer}.bias.folded", pair.statistics.shift, biases.shift(pair.statistics, pair.bias)),
    )


def _rewrite(graph: Graph, pairs: list[_Pair], weight: Stored, bias: Stored) -> None:
    norms = {id(p.norm): p.convolution for p in pairs}
    nodes: list[Node] = []
    for node in graph.nodes:
        if node.body is not None:
            _rewrite(node.body, pairs, weight, bias)
        if id(node) in norms:
            convolution = norms[id(node)]
            reads = [read_whole(s, convolution) for s in (weight, bias)]
            folded = Node(convolution.op, [], convolution.attributes, node.results, convolution.path, convolution.span)
            folded.operands = [convolution.operands[0], *(read.result for read in reads)]
            folded.steps = convolution.steps
            nodes += [*reads, folded]
        elif not any(node is p.convolution for p in pairs):
            nodes.append(node)
    graph.nodes = nodes
