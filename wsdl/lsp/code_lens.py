"""Code lenses: above each model what it stores and what sharing saves, above each `share` what is shared how often.

A click goes to the layers that read the shared tensors: all of them in a list, by the client's own command
`wsdl.showMembers`, or one after the other, by the server's `wsdl.nextMember`. While a program has errors, the lenses of
its last version without errors stay, so that lines don't jump.
"""

from __future__ import annotations

from collections.abc import Iterator

from lsprotocol import types

from wsdl.diagnostics.figures import count, rounded, size
from wsdl.diagnostics.span import Span
from wsdl.ir.inventory import Inventory
from wsdl.lsp.client import SHOW_MEMBERS
from wsdl.lsp.documents import Document, Documents
from wsdl.lsp.highlight import readers
from wsdl.lsp.names import walk
from wsdl.syntax import tree

NEXT_MEMBER = "wsdl.nextMember"


def code_lenses(document: Document, params: types.CodeLensParams) -> list[types.CodeLens]:
    if document.inventory is not None:
        document.documents.titles[document.uri] = dict(_titles(document, document.inventory))
    titles = document.documents.titles.get(document.uri, {})
    return [_lens(document, node, title) for node in _nodes(document) if (title := titles.get(_key(node)))]


def next_member(documents: Documents, uri: str, number: int) -> types.ShowDocumentParams | None:
    """What to show at a click on a lens of a document, of which `number` were above it: the first member, then the one
    behind the last one shown."""
    document = documents.get(uri)
    nodes = list(_nodes(document)) if document is not None else []
    members = _members(document, nodes[number]) if document is not None and number < len(nodes) else []
    if not members:
        return None
    last = documents.shown_members.get(uri, (-1, -1))
    at = (last[1] + 1) % len(members) if last[0] == number else 0
    documents.shown_members[uri] = number, at
    place = documents.location(members[at])
    return types.ShowDocumentParams(place.uri, take_focus=True, selection=place.range)


def _nodes(document: Document) -> Iterator[tree.Model | tree.Share]:
    """Models and groups of the program, without those of its variants, whose sharing it doesn't have."""
    declarations = (d for d in document.tree.declarations if not isinstance(d, tree.Variant))
    return (node for d in declarations for node in walk(d) if isinstance(node, tree.Model | tree.Share))


def _key(node: tree.Model | tree.Share) -> str:
    """By which a model or a line is recognized in another version of the text."""
    return f"model {node.name.text}" if isinstance(node, tree.Model) else node.span.text


def _lens(document: Document, node: tree.Model | tree.Share, title: str) -> types.CodeLens:
    start = document.positions.position(node.span.start)
    return types.CodeLens(types.Range(start, start), _command(document, node, title, start))


def _command(document: Document, node: tree.Model | tree.Share, title: str, start: types.Position) -> types.Command:
    documents, client = document.documents, document.documents.client
    members = _members(document, node) if client.shows_members or client.shows_documents else []
    if not members:
        return types.Command(title, "")
    if client.shows_members:
        arguments = [document.uri, start, [documents.location(member) for member in members]]
        return types.Command(title, SHOW_MEMBERS, arguments=arguments)
    return types.Command(title, NEXT_MEMBER, arguments=[document.uri, list(_nodes(document)).index(node)])


def _members(document: Document, node: tree.Model | tree.Share) -> list[Span]:
    """Where the layers that read the tensors of a group, or the shared tensors of a model, are declared and applied, in
    the order of the text. None while there are errors."""
    storage, inventory = document.examined.storage, document.inventory
    if storage is None or inventory is None:
        return []
    if isinstance(node, tree.Share):
        readings = [storage.readings.get(path) for path in document.references.slots.get(node.span, ())]
        tensors = dict.fromkeys(name for reading in readings if reading is not None for name in reading.tensors)
    else:
        tensors = dict.fromkeys(tensor.name for tensor in inventory.shared())
    if isinstance(node, tree.Model):
        module = storage.checked.models[node.name.text].module
        read = {name for slot in module.all_slots() for name in storage.readings[slot.path].tensors}
        tensors = dict.fromkeys(name for name in tensors if name in read)
    layers = (place for place in readers(document, tensors) if place not in document.references.slots)
    return sorted(dict.fromkeys(layers), key=lambda p: (p.source is not document.source, p.source.path, p.start))


def _titles(document: Document, inventory: Inventory) -> Iterator[tuple[str, str]]:
    for node in _nodes(document):
        title = _model(node, inventory) if isinstance(node, tree.Model) else _group(node, inventory, document)
        if title:
            yield _key(node), title


def _model(node: tree.Model, inventory: Inventory) -> str:
    """`5.9 M parameters, 23.5 MB, 31.3 MB saved`"""
    if node.name.text not in inventory.models:
        return ""
    sizes = inventory.sizes(node.name.text)
    text = f"{rounded(sizes.parameters)} parameters, {size(sizes.bytes)}"
    return text + _saved(sizes.bytes_without_sharing - sizes.bytes)


def _group(node: tree.Share, inventory: Inventory, document: Document) -> str:
    """`12 uses of 2.1 MB, 23.1 MB saved`; empty for a group in a block that is never applied."""
    storage = document.examined.storage
    assert storage is not None
    paths = document.references.slots.get(node.span, ())
    readings = [storage.readings[path] for path in paths if path in storage.readings]
    tensors = [inventory.stored[name] for name in dict.fromkeys(name for r in readings for name in r.tensors)]
    if not tensors:
        return ""
    used, bytes = max(map(inventory.used, tensors)), sum(tensor.bytes for tensor in tensors)
    return f"{count(used, 'use')} of {size(bytes)}" + _saved(sum(map(inventory.saved, tensors)))


def _saved(bytes: int) -> str:
    return f", {size(bytes)} saved" if bytes > 0 else ""
