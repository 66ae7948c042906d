"""The arguments of nodes: those of an operation, and the parts of a `scan`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, cast

from wsdl.ir.graph import Attribute, Node, Value
from wsdl.ops._define import Operation


def arguments(
    operation: Operation,
    node: Node,
    of_value: Callable[[Value], Any],
    of_attribute: Callable[[Attribute], Any] = lambda attribute: attribute,
) -> dict[str, Any]:
    """The arguments of `operation` in `node`: operands mapped by `of_value`, attributes by `of_attribute`."""
    operands = iter(node.operands)
    bound: dict[str, Any] = {}
    for parameter in operation.parameters:
        if parameter.kind == "attribute":
            if parameter.name in node.attributes:
                bound[parameter.name] = of_attribute(node.attributes[parameter.name])
            continue
        operand = next(operands, None)
        if isinstance(operand, list):
            bound[parameter.name] = [of_value(value) for value in operand]
        else:
            bound[parameter.name] = None if operand is None else of_value(operand)
    return bound


@dataclass(frozen=True)
class ScanParts:
    """How a `scan` node is laid out: its inputs are `carried` initial values, then one sequence for each of `axes`; its
    results the carried values after the last step, then what is emitted, stacked along `emit_axes`."""

    carried: int
    axes: tuple[int, ...]
    emit_axes: tuple[int, ...]
    reverse: bool

    @staticmethod
    def of(node: Node) -> ScanParts:
        """Without `emit_axes` results are stacked along the axis of the first sequence, or their last axis if they have
        fewer."""
        axes = tuple(cast("list[int]", node.attributes["axes"]))
        carried = len(node.inputs) - len(axes)
        emitted = node.results[carried:]
        attribute = cast("list[int] | None", node.attributes.get("emit_axes"))
        emit_axes = tuple(attribute) if attribute is not None else tuple(min(axes[0], v.type.rank - 1) for v in emitted)
        return ScanParts(carried, axes, emit_axes, bool(node.attributes.get("reverse", False)))
