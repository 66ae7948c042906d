"""Code lenses: above each model what it stores and what sharing saves, above each `share` what is shared how often.

While a program has errors, the lenses of its last version without errors stay, so that lines don't jump.
"""

from __future__ import annotations

from collections.abc import Iterator

from lsprotocol import types

from wsdl.diagnostics.figures import count, rounded, size
from wsdl.ir.inventory import Inventory
from wsdl.lsp.documents import Document
from wsdl.lsp.names import walk
from wsdl.syntax import tree


def code_lenses(document: Document, params: types.CodeLensParams) -> list[types.CodeLens]:
    if document.inventory is not None:
        document.documents.titles[document.uri] = dict(_titles(document, document.inventory))
    titles = document.documents.titles.get(document.uri, {})
    return [_lens(document, node, title) for node in _nodes(document) if (title := titles.get(_key(node)))]


def _nodes(document: Document) -> Iterator[tree.Model | tree.Share]:
    return (node for node in walk(document.tree) if isinstance(node, tree.Model | tree.Share))


def _key(node: tree.Model | tree.Share) -> str:
    """By which a model or a line is recognized in another version of the text."""
    return f"model {node.name.text}" if isinstance(node, tree.Model) else node.span.text


def _lens(document: Document, node: tree.Node, title: str) -> types.CodeLens:
    start = document.positions.position(node.span.start)
    return types.CodeLens(types.Range(start, start), types.Command(title, ""))


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
