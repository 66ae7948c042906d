"""What stands at a place in a document: a name, its definitions, and the slots of the program that it stands for."""

from __future__ import annotations

from collections.abc import Iterator

from lsprotocol import types

from wsdl.diagnostics.span import Span
from wsdl.ir.graph import Slot
from wsdl.lsp.documents import Document
from wsdl.syntax import tree


def name_at(document: Document, position: types.Position) -> Span | None:
    """The name at a position, or directly before it."""
    offset, source = document.positions.offset(position), document.source
    names = [span for span in document.index.names.get(source, ()) if _touches(span, offset)]
    names += [node.span for node in nodes_at(document.tree, offset) if isinstance(node, tree.Name)]
    return min(names, key=lambda span: span.end - span.start, default=None)


def definitions_of(document: Document, name: Span) -> tuple[Span, ...]:
    """The definitions of a name; itself where it is one, or has none."""
    return document.references.definitions.get(name, (name,))


def places_of(document: Document, name: Span) -> list[Span]:
    """The definitions of a name, then all of their uses."""
    definitions = definitions_of(document, name)
    uses = (use for definition in definitions for use in document.references.uses(definition))
    return list(dict.fromkeys((*definitions, *uses)))


def slots_of(document: Document, name: Span) -> list[Slot]:
    """The slots that a name stands for: a part of a path for what it selects, a layer for all below it, a share group
    for those of its members."""
    index = document.index
    paths = index.references.slots.get(name)
    if paths is not None:
        return [index.slots[path] for path in paths if path in index.slots]
    places = (place for place in (name, *definitions_of(document, name)) if not place.source.is_standard)
    return list(dict.fromkeys(slot for place in places for slot in index.slots_at(place)))


def nodes_at(node: tree.Node, offset: int) -> Iterator[tree.Node]:
    """The nodes of a tree around an offset, the outermost first."""
    yield node
    for child in children(node):
        if _touches(child.span, offset):
            yield from nodes_at(child, offset)


def children(node: tree.Node) -> Iterator[tree.Node]:
    """The nodes directly below a node; comments aren't below any."""
    for name in node.fields:
        value = getattr(node, name)
        for child in value if isinstance(value, tuple) else (value,):
            if isinstance(child, tree.Node) and not isinstance(child, tree.Comment):
                yield child


def walk(node: tree.Node) -> Iterator[tree.Node]:
    """A node and all below it."""
    yield node
    for child in children(node):
        yield from walk(child)


def _touches(span: Span, offset: int) -> bool:
    return span.start <= offset <= span.end
