"""Converts batch normalizations that can't be folded to depthwise convolutions.

    stored m.conv.weight: f32[16, 1, 1, 1]
    stored m.left.weight: f32[16]
    stored m.left.bias: f32[16]
    stored m.left.running_mean: f32[16]
    stored m.left.running_var: f32[16]

    model m(%x: f32[n, 1, h, w], %z: f32[n, 1, h, w]) -> (y: %y, v: %v) {
        %w = parameter {stored="m.conv.weight"}: f32[16, 1, 1, 1]
        %scale = parameter {stored="m.left.weight"}: f32[16]
        %shift = parameter {stored="m.left.bias"}: f32[16]
        %mean = parameter {stored="m.left.running_mean"}: f32[16]
        %var = parameter {stored="m.left.running_var"}: f32[16]
        %c = conv2d(%x, %w, _): f32[n, 16, h, w]
        %y = batch_norm(%c, %scale, %shift, %mean, %var) {eps=0.1}: f32[n, 16, h, w]
        %v = conv2d(%z, %w, _): f32[n, 16, h, w]
    }

becomes (after pruning)

    stored m.conv.weight: f32[16, 1, 1, 1]
    stored m.left.weight: f32[16]
    stored m.left.bias: f32[16]
    stored m.left.running_mean: f32[16]
    stored m.left.running_var: f32[16]
    derived m.left.weight.folded: f32[16, 1, 1, 1]
    derived m.left.bias.folded: f32[16]

    model m(%x: f32[n, 1, h, w], %z: f32[n, 1, h, w]) -> (y: %y, v: %v) {
        %w = parameter {stored="m.conv.weight"}: f32[16, 1, 1, 1]
        %c = conv2d(%x, %w, _): f32[n, 16, h, w]
        %0 = parameter {stored="m.left.weight.folded"}: f32[16, 1, 1, 1]
        %1 = parameter {stored="m.left.bias.folded"}: f32[16]
        %y = conv2d(%c, %0, %1) {stride=1, pad=0, dilation=1, groups=16}: f32[n, 16, h, w]
        %v = conv2d(%z, %w, _): f32[n, 16, h, w]
    }

Behind a convolution with a shared weight, the runtime must not fold a normalization into the weight: that would make a
copy for each use. A plain normalization would be computed outside of the CPU's blocked layout, with conversions of the
layout before and behind it. A convolution stays in that layout, and the runtime fuses the next operations into it.
"""

from __future__ import annotations

from collections import Counter

from wsdl.ir.graph import Lowered, Node, Stored, Value
from wsdl.ir.rewriter import Rewriter
from wsdl.ops.build import Build
from wsdl.rewrite.derived import DerivedGraph, Statistics, whole_reads

BLOCK = 16  # multiples of this number of channels fit the blocked layout of every CPU


def batch_norm_to_conv(program: Lowered) -> Lowered:
    """Convert every remaining normalization of images behind a convolution with a shared weight, in whole blocks."""
    derived: dict[Statistics, tuple[Stored, Stored]] = {}
    for model in program.models.values():
        names = whole_reads(model.graph)
        reads = Counter(names[v] for node in model.graph.walk() for v in node.inputs if v in names)
        with Rewriter(model.graph) as rewriter:
            for node in model.graph.walk():
                statistics = Statistics.of(node, names)
                source = rewriter.producer(node.inputs[0]) if statistics is not None else None
                if statistics is None or source is None or not _is_kept_apart(source, names, reads):
                    continue
                if statistics not in derived:
                    derived[statistics] = _derived(program, statistics)
                weight, bias = derived[statistics]
                build, dtype = Build.at(node), node.result.type.dtype
                parameters = [build.parameter(stored, dtype=dtype) for stored in (weight, bias)]
                y = build("conv2d", node.inputs[0], *parameters, groups=weight.sizes[0])
                rewriter.replace_node(node, build.nodes, [y])
    return program


def _is_kept_apart(source: Node, names: dict[Value, str], reads: Counter[str]) -> bool:
    """Whether a node is a convolution of images with a shared weight."""
    if source.op != "conv2d":
        return False
    channels = source.result.type.shape[1].constant
    weight = names.get(source.inputs[1])
    return channels is not None and channels % BLOCK == 0 and weight is not None and reads[weight] > 1


def _derived(program: Lowered, statistics: Statistics) -> tuple[Stored, Stored]:
    """The weight and the bias of the convolution."""
    layer = statistics.mean.rpartition(".")[0]
    derived_before = sum(name.startswith(f"{layer}.weight.folded") for name in program.stored)
    number = f"_{derived_before + 1}" if derived_before else ""
    weights, biases = DerivedGraph(program), DerivedGraph(program)
    factor = weights.factor(statistics)
    weight = weights("unsqueeze", factor, axis=[1, 2, 3])
    return (
        weights.store(f"{layer}.weight.folded{number}", statistics.scale, weight),
        biases.store(f"{layer}.bias.folded{number}", statistics.shift, biases.shift(statistics)),
    )
