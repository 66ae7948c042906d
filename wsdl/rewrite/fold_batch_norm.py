"""Folds batch normalizations into the convolutions before them, once for all uses of the weights.

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

becomes (after pruning)

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

The runtime does the same separately for each use, and so copies shared weights. Here the folded weights are stored
*instead of* the others, if every use in the program agrees: the convolution is always followed by this normalization,
and by nothing else. Running statistics don't change at inference, so the result is the same.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace

from wsdl.ir.dims import Dim
from wsdl.ir.graph import Lowered, Node, Stored, Value
from wsdl.ir.rewriter import Rewriter
from wsdl.ops import OPERATIONS
from wsdl.ops.build import Build
from wsdl.rewrite.derived import DerivedGraph, Statistics, whole_reads


@dataclass(frozen=True)
class _Pair:
    """A convolution, the normalization of its result, and the names of the stored tensors that both read."""

    convolution: Node
    norm: Node
    weight: str
    bias: str | None
    statistics: Statistics
    rewriter: Rewriter

    @property
    def agreement(self) -> tuple[object, ...]:
        return self.weight, self.bias, self.statistics


def fold_batch_norm(program: Lowered) -> Lowered:
    """Fold every normalization on which all uses of a convolution's weights agree."""
    reads: Counter[str] = Counter()  # how often each stored tensor is read
    by_weight: dict[str, list[_Pair]] = {}
    rewriters = [Rewriter(model.graph) for model in program.models.values()]
    for rewriter in rewriters:
        for node in rewriter.graph.walk():
            if node.op == "parameter":
                reads[str(node.attributes["stored"])] += len(rewriter.readers(node.result))
        for pair in _pairs(rewriter):
            by_weight.setdefault(pair.weight, []).append(pair)
    for weight, pairs in by_weight.items():
        agree, bias = len({pair.agreement for pair in pairs}) == 1, pairs[0].bias
        if agree and all(reads[name] == len(pairs) for name in (weight, bias) if name is not None):
            _fold(program, pairs)
    for rewriter in rewriters:
        rewriter.finish()
    return program


def _pairs(rewriter: Rewriter) -> Iterator[_Pair]:
    """The convolutions of a graph whose result nothing but a normalization reads."""
    names = whole_reads(rewriter.graph)
    for norm in rewriter.graph.walk():
        statistics = Statistics.of(norm, names)
        convolution = rewriter.producer(norm.inputs[0]) if statistics is not None else None
        axis = _output_axis(convolution) if convolution is not None else None
        if statistics is None or convolution is None or axis is None:
            continue
        if convolution.attributes.get("groups", 1) != 1 and axis == 1:
            continue
        weight, *biases = (names.get(v) for v in convolution.inputs[1:])
        if rewriter.readers(convolution.result) == [norm] and weight is not None and None not in biases:
            yield _Pair(convolution, norm, weight, biases[0] if biases else None, statistics, rewriter)


def _output_axis(node: Node) -> int | None:
    """The axis of a convolution's weight that has its output channels; `None` for a node that is none."""
    return OPERATIONS[node.op].output_axis if node.op in OPERATIONS else None


def _fold(program: Lowered, pairs: list[_Pair]) -> None:
    stored = _derived(program, pairs[0])
    for pair in pairs:
        convolution, result = pair.convolution, Value(pair.norm.result.type)
        build = Build.at(convolution)
        operands = [convolution.operands[0], *(build.parameter(s, dtype=result.type.dtype) for s in stored)]
        folded = replace(convolution, operands=operands, results=[result])
        pair.rewriter.replace_node(pair.norm, [*build.nodes, folded], [result])
        pair.rewriter.erase(convolution)


def _derived(program: Lowered, pair: _Pair) -> tuple[Stored, Stored]:
    """The weight and the bias of the convolution with the normalization in them."""
    layer, axis = pair.weight.rpartition(".")[0], _output_axis(pair.convolution)
    weights, biases = DerivedGraph(program), DerivedGraph(program)
    weight, factor = weights.read(pair.weight), weights.factor(pair.statistics)
    column = [factor.type.shape[0] if a == axis else Dim.of(1) for a in range(weight.type.rank)]
    scaled = weights("mul", weight, weights("reshape", factor, shape=column))
    return (
        weights.store(f"{layer}.weight.folded", pair.weight, scaled),
        biases.store(f"{layer}.bias.folded", pair.statistics.shift, biases.shift(pair.statistics, pair.bias)),
    )
