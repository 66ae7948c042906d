"""Computes everything once: nodes that do the same to the same values become one.

    model m(%x: f32[n]) -> (y: %y) {
        %a = relu(%x): f32[n]
        %b = relu(%x): f32[n]
        %y = add(%a, %b): f32[n]
    }

becomes

    model m(%x: f32[n]) -> (y: %y) {
        %a = relu(%x): f32[n]
        %y = add(%a, %a): f32[n]
    }

Two reads of one stored tensor through the same view are one value, equal constants are one, and so is a layer that is
applied twice to one value.
"""

from __future__ import annotations

from typing import TypeAlias

from wsdl.ir.dims import Dim
from wsdl.ir.graph import Attribute, Graph, Node, Operand, Program, Value

Key: TypeAlias = "tuple[object, ...]"


def dedupe(program: Program) -> Program:
    """Merge equal nodes of every graph; a body also finds what the graphs around it have computed."""
    for model in program.models.values():
        _dedupe(model.graph, {}, {})
    return program


def _dedupe(graph: Graph, seen: dict[Key, Node], replaced: dict[int, Value]) -> None:
    kept: list[Node] = []
    for node in graph.nodes:
        node.operands = [swapped(operand, replaced) for operand in node.operands]
        if node.body is not None:
            _dedupe(node.body, dict(seen), replaced)
        key = key_of(node)
        twin = seen.get(key) if key is not None else None
        if twin is None:
            kept.append(node)
            if key is not None:
                seen[key] = node
            continue
        for own, other in zip(node.results, twin.results, strict=True):
            replaced[id(own)] = other
            other.name = other.name or own.name
    graph.nodes = kept
    graph.outputs = [replaced.get(id(v), v) for v in graph.outputs]


def swapped(operand: Operand, replaced: dict[int, Value]) -> Operand:
    """An operand with some values replaced."""
    if isinstance(operand, list):
        return [replaced.get(id(v), v) for v in operand]
    return None if operand is None else replaced.get(id(operand), operand)


def key_of(node: Node) -> Key | None:
    """Equal for two nodes exactly when they compute the same."""
    if node.body is not None:
        return None if node.op != "scan" else _scan_key(node)
    operands = tuple(
        tuple(id(v) for v in o) if isinstance(o, list) else (None if o is None else id(o)) for o in node.operands
    )
    return (node.op, operands, frozen_attributes(node), tuple(str(v.type) for v in node.results))


def _scan_key(node: Node) -> Key:
    """Two scans are the same if their bodies are, value by value in order."""
    assert node.body is not None
    numbers: dict[int, int] = {}

    def number(value: Value) -> object:
        return numbers.get(id(value), ("outer", id(value)))

    def bind(values: list[Value]) -> None:
        for value in values:
            numbers[id(value)] = len(numbers)

    bind(node.body.inputs)
    parts: list[object] = []
    for inner in node.body.nodes:
        if inner.body is not None:
            return ("unique", id(node))
        operands = tuple(
            tuple(number(v) for v in o) if isinstance(o, list) else (None if o is None else number(o))
            for o in inner.operands
        )
        parts.append((inner.op, operands, frozen_attributes(inner), tuple(str(v.type) for v in inner.results)))
        bind(inner.results)
    outputs = tuple(number(v) for v in node.body.outputs)
    return ("scan", tuple(id(v) for v in node.inputs), _frozen(node.attributes), tuple(parts), outputs)


def frozen_attributes(node: Node) -> object:
    """The attributes and the view of a node as something that can be compared and hashed."""
    return _frozen(node.attributes), None if node.view is None else (node.view.source, node.view.layout)


def _frozen(attribute: Attribute | dict[str, Attribute]) -> object:
    if isinstance(attribute, dict):
        return tuple((name, _frozen(value)) for name, value in sorted(attribute.items()))
    if isinstance(attribute, list):
        return tuple(_frozen(a) for a in attribute)
    if isinstance(attribute, Dim):
        return str(attribute)
    return (type(attribute).__name__, repr(attribute))  # 1, 1.0 and true are different constants
