"""Where do rows of a batch mix? Rows are the slices along one dynamic dimension; a value has rows if its shape contains
it.

An operation that treats rows independently can be computed on a part of them. Operations declare along which axes they
combine elements or depend on positions (`Operation.mixes`, `Operation.reduces`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from wsdl.ir.dims import Dim, origins
from wsdl.ir.graph import Node
from wsdl.ir.types import TensorType
from wsdl.ops import OPERATIONS
from wsdl.ops.halting import ends_by_rows
from wsdl.ops.node_arguments import ScanParts, arguments


@dataclass(frozen=True)
class Rows:
    """The rows along the dynamic dimension `name`; with `None` no value has rows."""

    name: str | None

    def are_in(self, *types: TensorType) -> bool:
        """Does any of these types have rows?"""
        return any(self.name in origins(dim) for type in types for dim in type.shape)

    def axes(self, type: TensorType) -> list[int]:
        """The axes along which a type has rows: rarely more than one."""
        return [axis for axis, dim in enumerate(type.shape) if self.name in origins(dim)]

    def meet(self, node: Node) -> Literal["reduced", "mixed"] | None:
        """How a node combines rows: `reduced` can be merged, `mixed` can't; `None` if it treats them independently."""
        if not self.are_in(*(v.type for v in [*node.reads(), *node.results])):
            return "mixed" if self.name in _names(node.attributes) else None
        if node.body is not None:
            return "mixed" if self._meet_in_body(node) is not None else None
        if node.op not in OPERATIONS:
            return None  # `assume`
        operation = OPERATIONS[node.op]
        operand_types = arguments(operation, node, lambda value: value.type)
        types = {p.name: _listed(operand_types.get(p.name)) for p in operation.operands}
        types["result"] = [v.type for v in node.results]
        if self._lie_along(operation.mixed_axes(operand_types), types) or not all(
            map(self._are_counted, types["result"])
        ):
            return "mixed"
        if not self._lie_along(operation.reduced_axes(operand_types), types):
            return None
        return "mixed" if self.are_in(*types["result"]) else "reduced"

    def where(self, node: Node) -> Node:
        """The node that combines rows: one in the body, or this one."""
        return self._meet_in_body(node) or node if node.body is not None else node

    def _lie_along(self, axes: Mapping[str, list[list[int]]], types: Mapping[str, list[TensorType]]) -> bool:
        return any(
            axis in self.axes(type)
            for name, of_each in axes.items()
            for type, own in zip(types.get(name, ()), of_each, strict=True)
            for axis in own
        )

    def _are_counted(self, type: TensorType) -> bool:
        """Does each row have the same number of slices? In `2 * n` it has, but not in `n - 1` or `n // 2`. Of a part of
        the rows, each row has one or none."""
        for axis in self.axes(type):
            for monomial, _ in type.shape[axis].terms:
                others = tuple(a for a in monomial if a.operator or self.name not in origins(Dim.symbol(a.text)))
                if len(others) != len(monomial) - 1 or self.name in Dim({others: 1}).names():
                    return False
        return True

    def _meet_in_body(self, node: Node) -> Node | None:
        """The node that combines rows: one with a body, along the steps of its scan, or the first within a step."""
        assert node.body is not None
        ending: set[Node] = set()
        if node.op == "scan":
            parts = ScanParts.of(node)
            sequences = zip(node.inputs[parts.carried :], parts.axes, strict=False)
            if any(axis in self.axes(v.type) for v, axis in sequences):
                return node
            if parts.until and ends_by_rows(node):
                others = [v for at, v in enumerate(node.body.outputs) if at != parts.carried]
                ending = {*node.body.nodes}.difference(node.body.needed(others))
        inside = (inner for inner in node.body.needed() if inner not in ending and self.meet(inner) is not None)
        return next(map(self.where, inside), None)


def _names(attribute: object) -> set[str]:
    """The dynamic dimensions that an attribute contains."""
    if isinstance(attribute, Dim):
        return set(attribute.names())
    parts = attribute.values() if isinstance(attribute, dict) else attribute if isinstance(attribute, list) else ()
    return {name for part in parts for name in _names(part)}


def _listed(operand: Any) -> list[Any]:
    return operand if isinstance(operand, list) else [] if operand is None else [operand]
