"""Products of two matrices in a formula, `base + up @ down`, whose factors are views of stored tensors.

A sum of a few tensors with a weight for each, `sum(mixture.reshape(k, 1, 1) * templates, axis=0)`, is one too: the row
of weights by the tensors as rows.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wsdl.ir.graph import Graph, Node, Value
from wsdl.ir.views import View
from wsdl.sharing.fold_views import moved

Array = NDArray[Any]


@dataclass(frozen=True)
class Factor:
    """A matrix: a view of a stored tensor."""

    stored: str
    view: View

    def of(self, stored: Mapping[str, Array]) -> Array:
        """Its value."""
        return np.asarray(self.view.of(stored[self.stored]))


@dataclass(frozen=True)
class Product:
    """`left` [rows, rank] by `right` [rank, columns]; `value` of the graph has the elements of the product in row-major
    order. The formula reads both factors nowhere else."""

    value: Value
    left: Factor
    right: Factor

    @property
    def shape(self) -> tuple[int, int]:
        return self.left.view.shape[0], self.right.view.shape[1]

    @property
    def rank(self) -> int:
        return self.left.view.shape[1]


def products_of(graph: Graph) -> list[Product]:
    """The products of a formula."""
    return list(_Products(graph).all())


class _Products:
    def __init__(self, graph: Graph) -> None:
        self._graph = graph
        self._producers = graph.producers()
        self._uses: dict[Value, int] = {}
        for value in [*graph.outputs, *(v for node in graph.walk() for v in node.reads())]:
            self._uses[value] = self._uses.get(value, 0) + 1
        parameters = [str(node.attributes["stored"]) for node in graph.walk() if node.op == "parameter"]
        self._once = {name for name in parameters if parameters.count(name) == 1}

    def all(self) -> Iterator[Product]:
        for node in self._graph.nodes:
            if node.op == "matmul":
                left, right = map(self._factor, node.inputs)
                if left and right and len(left.view.shape) == len(right.view.shape) == 2:
                    yield Product(node.result, left, right)
            elif node.op == "sum" and (product := self._weighted_sum(node)) is not None:
                yield product

    def _factor(self, value: Value) -> Factor | None:
        """The view of a stored tensor that a value is, if the formula uses it nowhere else."""
        node = self._producers.get(value)
        if node is None or self._uses[value] != 1:
            return None
        if node.op == "parameter":
            name = str(node.attributes["stored"])
            return Factor(name, node.view) if name in self._once and node.view is not None else None
        if len(node.inputs) != 1 or (source := self._factor(node.inputs[0])) is None:
            return None
        view = moved(source.view, node)
        return None if view is None else Factor(source.stored, view)

    def _weighted_sum(self, node: Node) -> Product | None:
        """`sum(weights * tensors, axis)`, where the weights have the size 1 but for that axis."""
        scaled, axis = self._producers.get(node.inputs[0]), node.attributes["axis"]
        if scaled is None or scaled.op != "mul" or not isinstance(axis, int) or self._uses[scaled.result] != 1:
            return None
        factors = [self._factor(value) for value in scaled.inputs]
        sizes = scaled.result.type.sizes or ()
        axis %= len(sizes)
        weights = tuple(size if i == axis else 1 for i, size in enumerate(sizes))
        for row, tensors in (factors, factors[::-1]):
            if row and tensors and _padded(row.view.shape, len(sizes)) == weights and tensors.view.shape == sizes:
                count, others = sizes[axis], [i for i in range(len(sizes)) if i != axis]
                matrix = tensors.view.permute((axis, *others)).reshape((count, prod(sizes[i] for i in others)))
                return Product(
                    node.result, Factor(row.stored, row.view.reshape((1, count))), Factor(tensors.stored, matrix)
                )
        return None


def _padded(shape: tuple[int, ...], rank: int) -> tuple[int, ...]:
    """A shape as operands of more axes see it."""
    return (1,) * (rank - len(shape)) + shape
