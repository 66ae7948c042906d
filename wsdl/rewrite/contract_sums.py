"""Converts a weighted sum of stored tensors to a matrix product.

    stored m.bank: f32[4, 8, 6]
    stored m.mixture: f32[4]

    model m(%x: f32[n, 8]) -> (y: %y) {
        %bank = parameter {stored="m.bank"}: f32[4, 8, 6]
        %mixture = parameter {stored="m.mixture"}: f32[4]
        %each = reshape(%mixture) {shape=[<4>, <1>, <1>]}: f32[4, 1, 1]
        %scaled = mul(%each, %bank): f32[4, 8, 6]
        %weight = sum(%scaled) {axis=0, keepdims=false}: f32[8, 6]
        %y = matmul(%x, %weight): f32[n, 6]
    }

becomes (after pruning)

    stored m.bank: f32[4, 8, 6]
    stored m.mixture: f32[4]

    model m(%x: f32[n, 8]) -> (y: %y) {
        %bank = parameter {stored="m.bank"}: f32[4, 8, 6]
        %mixture = parameter {stored="m.mixture"}: f32[4]
        %each = reshape(%mixture) {shape=[<4>, <1>, <1>]}: f32[4, 1, 1]
        %0 = reshape(%each) {shape=[<1>, <4>]}: f32[1, 4]
        %1 = reshape(%bank) {shape=[<4>, <48>]}: f32[4, 48]
        %2 = matmul(%0, %1): f32[1, 48]
        %weight = reshape(%2) {shape=[<8>, <6>]}: f32[8, 6]
        %y = matmul(%x, %weight): f32[n, 6]
    }

So the scaled tensors, which together are as large as all of them, are never written to memory.
"""

from __future__ import annotations

from wsdl.ir.dims import product
from wsdl.ir.graph import Lowered, Node, Value
from wsdl.ir.rewriter import Rewriter
from wsdl.ir.types import same_shape
from wsdl.ops.build import Build
from wsdl.rewrite.from_stored import from_stored


def contract_sums(program: Lowered) -> Lowered:
    """Contract the sums of every model that are computed from stored tensors."""
    for model in program.models.values():
        sums = [node for node in model.graph.nodes if node.op == "sum" and _axis(node) == 0]
        fixed = from_stored(model.graph) if sums else ()
        with Rewriter(model.graph) as rewriter:
            for node in sums:
                scaled = rewriter.producer(node.inputs[0])
                factors = _factors(scaled) if scaled is not None and node.result in fixed else None
                if factors is not None:
                    _contract(node, *factors, rewriter)
    return program


def _axis(node: Node) -> object:
    """The one axis that a sum is over; it counts from the front."""
    axis = node.attributes["axis"]
    return axis[0] if isinstance(axis, list) and len(axis) == 1 else axis


def _factors(scaled: Node) -> tuple[Value, Value] | None:
    """The weights, one for each element of the first axis, and what they are multiplied with."""
    if scaled.op != "mul" or not scaled.result.type.is_float:
        return None
    for weights, tensors in (scaled.inputs, reversed(scaled.inputs)):
        is_whole = same_shape(tensors.type.shape, scaled.result.type.shape)
        one_each = weights.type.rank == tensors.type.rank > 1 and all(d.constant == 1 for d in weights.type.shape[1:])
        if is_whole and one_each and same_shape(weights.type.shape[:1], tensors.type.shape[:1]):
            return weights, tensors
    return None


def _contract(node: Node, weights: Value, tensors: Value, rewriter: Rewriter) -> None:
    build = Build.at(node)
    count, *shape = tensors.type.shape
    row = build("reshape", weights, shape=[1, count])
    y = build("matmul", row, build("reshape", tensors, shape=[count, product(shape)]))
    y = build("reshape", y, shape=list(node.result.type.shape))
    for inner in build.nodes:
        inner.in_f32 = node.in_f32
    rewriter.replace_node(node, build.nodes, [y])
