"""Inlay hints: the shapes of bound names, and how many parameters each layer has."""

from __future__ import annotations

from collections.abc import Iterator

from lsprotocol import types

from wsdl.diagnostics.figures import rounded
from wsdl.lsp.documents import Document
from wsdl.lsp.names import slots_of, walk
from wsdl.syntax import tree

_SEVERAL = 2  # types of a name that are shown where it has another one in each layer


def inlay_hints(document: Document, params: types.InlayHintParams) -> list[types.InlayHint]:
    start, end = (document.positions.offset(at) for at in (params.range.start, params.range.end))
    visible = [node for node in walk(document.tree) if node.span.start <= end and start <= node.span.end]
    return [*_types(document, visible), *_parameters(document, visible)]


def _types(document: Document, visible: list[tree.Node]) -> Iterator[types.InlayHint]:
    """Behind each name that gets a value its type: `h: f32[n, t, 256]`. Inputs have theirs in the text."""
    for node in visible:
        for name in node.targets if isinstance(node, tree.Assign | tree.Scan) else ():
            listed = list(dict.fromkeys(str(b.type) for b in document.index.bindings.get(name.span, ())))
            if listed:
                more = " | …" if len(listed) > _SEVERAL else ""
                label = f": {' | '.join(listed[:_SEVERAL])}{more}"
                yield types.InlayHint(document.positions.position(name.span.end), label, types.InlayHintKind.Type)


def _parameters(document: Document, visible: list[tree.Node]) -> Iterator[types.InlayHint]:
    """Behind each declaration of a layer the number of its parameters, and how many of them only it reads."""
    inventory, storage = document.inventory, document.examined.storage
    if inventory is None or storage is None:
        return
    for node in visible:
        if not isinstance(node, tree.Layer):
            continue
        paths = [slot.path for slot in slots_of(document, node.name.span)]
        names = dict.fromkeys(name for path in paths for name in storage.readings[path].tensors)
        if not names:
            continue
        own = set(paths)
        elements = sum(inventory.stored[name].elements for name in names)
        others = {slot.path for name in names for slot in storage.readers[name]} - own
        shared = ", shared" if others else ""
        label = f"{rounded(elements)} parameters{shared}"
        yield types.InlayHint(document.positions.position(node.span.end), label, padding_left=True)
