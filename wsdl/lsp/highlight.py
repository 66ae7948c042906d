"""Document highlight: all places that read the stored tensor of a layer, a parameter or a group; of another name its
definition and its uses."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from lsprotocol import types

from wsdl.diagnostics.span import Span
from wsdl.ir.stages import Storage
from wsdl.lsp.documents import Document
from wsdl.lsp.names import definitions_of, name_at, places_of, slots_of


def highlights(document: Document, params: types.DocumentHighlightParams) -> list[types.DocumentHighlight] | None:
    name = name_at(document, params.position)
    if name is None:
        return None
    places = dict.fromkeys([name, *_named_alike(document, name), *_readers(document, name)])
    return [
        types.DocumentHighlight(document.positions.range(place), types.DocumentHighlightKind.Read)
        for place in sorted(places, key=lambda place: place.start)
        if place.source is document.source
    ]


def _named_alike(document: Document, name: Span) -> list[Span]:
    """The definition and the uses of a name; none for a parameter of the library, which all layers of a block have."""
    by_library = any(definition.source.is_standard for definition in definitions_of(document, name))
    return [] if by_library and name in document.references.slots else places_of(document, name)


def _readers(document: Document, name: Span) -> list[Span]:
    """The other places that read a tensor which `name` stands for."""
    storage = document.examined.storage
    own = [slot.path for slot in slots_of(document, name)]
    if storage is None or not own:
        return []
    below = (
        []
        if any(
            place.source.is_standard or place in document.references.slots for place in definitions_of(document, name)
        )
        else own
    )  # slots below the layer itself
    return readers(document, _tensors(storage, own), below)


def readers(document: Document, tensors: Collection[str], without: Collection[str] = ()) -> list[Span]:
    """The layers that read one of some stored tensors, where they are declared, used and named in paths, and the parts
    of paths that stand for these tensors. Slots in `without` don't count."""
    storage = document.examined.storage
    if storage is None:
        return []
    paths = dict.fromkeys(slot.path for name in tensors for slot in storage.readers[name] if slot.path not in without)
    parts = [place for place, named in document.references.slots.items()
             if place.text.isidentifier() and _tensors(storage, named) == set(tensors)]  # fmt: skip
    owners = dict.fromkeys(document.index.owner(path) for path in paths)
    return [*parts, *(p for place in owners if place is not None for p in (place, *document.references.uses(place)))]


def _tensors(storage: Storage, paths: Iterable[str]) -> set[str]:
    """The stored tensors that slots read."""
    return {name for path in paths if path in storage.readings for name in storage.readings[path].tensors}
