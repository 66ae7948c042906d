"""Replaces the product with a part of a weight by a slice of that with a larger part, if both multiply the same value.

    stored m.wide.weight: f32[8, 4]

    model m(%x: f32[n, 4]) -> (narrow: %narrow, wide: %wide) {
        %0 = parameter {stored="m.wide.weight", view="[2:6, :].T"}: f32[4, 4]
        %narrow = matmul(%x, %0): f32[n, 4]
        %1 = parameter {stored="m.wide.weight", view=".T"}: f32[4, 8]
        %wide = matmul(%x, %1): f32[n, 8]
    }

becomes (after pruning)

    stored m.wide.weight: f32[8, 4]

    model m(%x: f32[n, 4]) -> (narrow: %narrow, wide: %wide) {
        %1 = parameter {stored="m.wide.weight", view=".T"}: f32[4, 8]
        %wide = matmul(%x, %1): f32[n, 8]
        %narrow = slice(%wide) {starts=[<2>], stops=[<6>], axes=[1], steps=none}: f32[n, 4]
    }

Otherwise several widths over one weight would slice it in each run, since the runtime must not store the slices
(docs/decisions/0004-no-copies-by-the-optimizer.md), and multiply with slices that can't be prepacked.
"""

from __future__ import annotations

from dataclasses import dataclass

from wsdl.ir.graph import Graph, Lowered, Node, Value
from wsdl.ir.rewriter import Rewriter
from wsdl.ops.build import Build


def share_products(program: Lowered) -> Lowered:
    """Use one product for all parts of a weight that multiply the same value, if one of them contains all others."""
    for model in program.models.values():
        with Rewriter(model.graph) as rewriter:
            for graph in model.graph.graphs():
                _share(graph, rewriter)
    return program


@dataclass(frozen=True)
class _Product:
    """A product with columns of a stored tensor, `count` of them from the element at `offset` on, `stride` apart."""

    node: Node
    parameter: Node
    rows: tuple[int, int]  # how many there are, and how far apart
    offset: int
    count: int
    stride: int

    @staticmethod
    def of(node: Node, parameters: dict[Value, Node]) -> _Product | None:
        if node.op != "matmul" or node.inputs[1] not in parameters:
            return None
        parameter = parameters[node.inputs[1]]
        assert parameter.view is not None
        shape, offset, digits = parameter.view.layout
        if len(shape) != 2 or len(digits) != 2:
            return None
        return _Product(node, parameter, digits[0], offset, *digits[1])

    def place_in(self, other: _Product) -> int | None:
        """The first of its columns among those of another one; `None` where they aren't all there."""
        if self.rows != other.rows or self.stride != other.stride or not self.stride:  # 0 where there are no elements
            return None
        first, rest = divmod(self.offset - other.offset, other.stride)
        return first if rest == 0 <= first and first + self.count <= other.count else None


def _share(graph: Graph, rewriter: Rewriter) -> None:
    parameters = {node.result: node for node in graph.nodes if node.op == "parameter"}
    groups: dict[object, list[_Product]] = {}
    for node in graph.nodes:
        product = _Product.of(node, parameters)
        if product is not None:
            parameter = product.parameter
            key = node.inputs[0], parameter.attributes["stored"], parameter.result.type.dtype, node.steps
            groups.setdefault(key, []).append(product)
    for products in groups.values():
        widest = max(products, key=lambda p: p.count)
        parts = {p.node: at for p in products if (at := p.place_in(widest)) is not None and p.count < widest.count}
        if parts:
            _take_out(graph, widest, parts, rewriter)


def _take_out(graph: Graph, widest: _Product, parts: dict[Node, int], rewriter: Rewriter) -> None:
    """Move the wide product to the position of the first one, and replace the others by slices of it."""
    wide = [widest.parameter, widest.node]
    for node in graph.nodes:
        if node in wide:
            wide.remove(node)
        elif node in parts:
            rewriter.move(wide, before=node)
            first, axis, build = parts[node], node.result.type.rank - 1, Build.at(node)
            stop = first + (node.result.type.shape[axis].constant or 0)
            part = build("slice", widest.node.result, starts=[first], stops=[stop], axes=[axis])
            rewriter.replace_node(node, build.nodes, [part])
            wide = []
