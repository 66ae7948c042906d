"""Definition and references, through all files of a program."""

from __future__ import annotations

from lsprotocol import types

from wsdl.lsp.documents import Document
from wsdl.lsp.names import definitions_of, name_at, places_of


def definition(document: Document, params: types.DefinitionParams) -> list[types.Location] | None:
    """The definitions of a name: several where it depends on a branch or an iteration which one it is."""
    name = name_at(document, params.position)
    return None if name is None else [document.documents.location(d) for d in definitions_of(document, name)]


def references(document: Document, params: types.ReferenceParams) -> list[types.Location] | None:
    """The uses of what a name refers to, in this file, in those that it imports, and in open files that import it."""
    name = name_at(document, params.position)
    if name is None:
        return None
    definitions = definitions_of(document, name)
    places = dict.fromkeys(places_of(document, name))
    for other in document.documents:
        places |= dict.fromkeys(use for definition in definitions for use in other.references.uses(definition))
    shown = (p for p in places if params.context.include_declaration or p not in definitions)
    return [document.documents.location(place) for place in shown]
