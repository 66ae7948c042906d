"""Common subexpression elimination: merges nodes that compute the same from the same values.

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
from wsdl.ir.graph import Attribute, Graph, Lowered, Node, Operand, Value
from wsdl.ir.rewriter import Rewriter

Key: TypeAlias = "tuple[object, ...]"


def dedupe(program: Lowered) -> Lowered:
    """Merge equal nodes of every graph; a body also reuses values of the graphs around it."""
    for model in program.models.values():
        with Rewriter(model.graph) as rewriter:
            _dedupe(model.graph, {}, rewriter)
    return program


def _dedupe(graph: Graph, seen: dict[Key, Node], rewriter: Rewriter) -> None:
    for node in graph.nodes:
        if node.body is not None:
            _dedupe(node.body, dict(seen), rewriter)
        key = key_of(node)
        first = node if key is None else seen.setdefault(key, node)
        if first is not node:
            rewriter.replace_node(node, [], first.results)


def key_of(node: Node) -> Key | None:
    """A key that is equal for two nodes if and only if they compute the same."""
    if node.body is None:
        operands = tuple(tuple(o) if isinstance(o, list) else o for o in node.operands)
        return (node.op, operands, frozen_attributes(node), tuple(v.type.key for v in node.results))
    return _scan_key(node) if node.op == "scan" else None


def _scan_key(node: Node) -> Key | None:
    """Two scans are the same if their bodies are, value by value in order."""
    assert node.body is not None
    positions: dict[Value, int] = {}

    def number(operand: Operand) -> object:
        """The key of an operand in a body: the number of a value of the body, otherwise the value."""
        if isinstance(operand, list):
            return tuple(map(number, operand))
        return operand and positions.get(operand, operand)

    def bind(values: list[Value]) -> None:
        for value in values:
            positions[value] = len(positions)

    bind(node.body.inputs)
    parts: list[object] = []
    for inner in node.body.nodes:
        if inner.body is not None:
            return None
        operands = tuple(map(number, inner.operands))
        parts.append((inner.op, operands, frozen_attributes(inner), tuple(v.type.key for v in inner.results)))
        bind(inner.results)
    return ("scan", tuple(node.inputs), _frozen(node.attributes), tuple(parts), number(node.body.outputs))


def frozen_attributes(node: Node) -> object:
    """The attributes and the view of a node as a hashable value."""
    return _frozen(node.attributes), None if node.view is None else (node.view.source, node.view.layout)


def _frozen(attribute: Attribute | dict[str, Attribute]) -> object:
    if isinstance(attribute, dict):
        return tuple((name, _frozen(value)) for name, value in sorted(attribute.items()))
    if isinstance(attribute, list):
        return tuple(_frozen(a) for a in attribute)
    if isinstance(attribute, Dim):
        return ("Dim", attribute.terms)
    return (type(attribute).__name__, repr(attribute))  # 1, 1.0 and true are different constants
