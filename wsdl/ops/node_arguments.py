"""The arguments of nodes: those of an operation, and the parts of a `scan`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, cast

from wsdl.ir.dims import Dim
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
    """How a `scan` node is laid out: its inputs are `carried` initial values, then one sequence for each of `axes`,
    then the `limit` of its `steps` where it has one; its results the carried values after the last step, then what is
    emitted, stacked along `emit_axes`.

    In the body, which is `numbered` if it runs over numbers, the slices begin at input `slices`, and what is emitted at
    output `emitted`: between that and the carried values is the condition of `until`.
    """

    carried: int
    axes: tuple[int, ...]
    emit_axes: tuple[int, ...]
    reverse: bool
    steps: Dim
    numbered: bool
    until: bool
    limit: Value | None

    @staticmethod
    def of(node: Node) -> ScanParts:
        """Without `emit_axes` results are stacked along the axis of the first sequence, or their last axis if they have
        fewer."""
        axes = tuple(cast("list[int]", node.attributes["axes"]))
        steps = node.attributes.get("steps")
        limit = node.operands[2] if len(node.operands) > 2 else None
        assert not isinstance(limit, list)
        carried = len(node.inputs) - len(axes) - (limit is not None)
        if not isinstance(steps, Dim):
            steps = node.inputs[carried].type.shape[axes[0]]
        attribute = cast("list[int] | None", node.attributes.get("emit_axes"))
        emitted = node.results[carried:] if attribute is None else ()
        emit_axes = tuple(attribute or (min(axes[0], v.type.rank - 1) for v in emitted))
        numbered, until = "steps" in node.attributes, bool(node.attributes.get("until"))
        return ScanParts(carried, axes, emit_axes, bool(node.attributes.get("reverse")), steps, numbered, until, limit)

    @property
    def slices(self) -> int:
        return self.carried + self.numbered

    @property
    def emitted(self) -> int:
        return self.carried + self.until


def scan_inputs(node: Node) -> list[tuple[Value, Value]]:
    """The initial values and the sequences of a `scan`, or the initial values of a `loop`, each with the input of the
    body that stands for it."""
    assert node.body is not None
    inner = list(node.body.inputs)
    if node.op == "scan":
        parts = ScanParts.of(node)
        inner[parts.carried : parts.slices] = []
    return list(zip(node.inputs, inner, strict=False))


def scan_results(node: Node) -> list[tuple[Value, Value]]:
    """The results of a `scan` or a `loop`, each with the output of the body that it comes from."""
    assert node.body is not None
    inner = list(node.body.outputs)
    if node.op == "scan":
        parts = ScanParts.of(node)
        inner[parts.carried : parts.emitted] = []
    return list(zip(node.results, inner, strict=True))
