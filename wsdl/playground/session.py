"""The compiler in the page: a worker calls these functions and sends their answers on, as JSON.

They are the features of the language server, for one document without a client. Positions are those of its protocol:
lines from 0, and in a line units of UTF-16, as in JavaScript.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from enum import Enum
from typing import Any

import attrs
from lsprotocol import types

from wsdl.api.checking import format
from wsdl.api.inspection import computed_table, signatures, stored_table, totals
from wsdl.diagnostics.explain import explain
from wsdl.diagnostics.printable import printable
from wsdl.lsp.code_lens import code_lenses
from wsdl.lsp.diagnostics import diagnostics
from wsdl.lsp.documents import Document, Documents
from wsdl.lsp.formatting import formatting
from wsdl.lsp.highlight import highlights, readers
from wsdl.lsp.hover import hover
from wsdl.lsp.inlay_hints import inlay_hints
from wsdl.lsp.quick_fixes import quick_fixes

URI = "file:///program.wsd"
_THIS = types.TextDocumentIdentifier(URI)
_WHOLE = types.Range(types.Position(0, 0), types.Position(2**31 - 1, 0))


class Session:
    """One program as it is being written."""

    def __init__(self) -> None:
        self._documents = Documents()
        self._version = 0

    def check(self, text: str) -> str:
        """The text is another one now: its diagnostics, each with its fixes, hints, and the lines above models and
        groups."""
        self._version += 1
        self._documents.put(URI, text, self._version)
        found = diagnostics(self._documents)[URI]
        document = self._document
        asked = types.CodeActionParams(_THIS, _WHOLE, types.CodeActionContext(found))
        fixes = [action for action in quick_fixes(document, asked) if action.kind == types.CodeActionKind.QuickFix]
        return _json(
            {
                "diagnostics": [
                    {**_plain(d), "fixes": [_fix(f) for f in fixes if d in (f.diagnostics or ())]} for d in found
                ],
                "hints": _plain(inlay_hints(document, types.InlayHintParams(_THIS, _WHOLE))),
                "lenses": _plain(code_lenses(document, types.CodeLensParams(_THIS))),
                "stored": document.examined.storage is not None,
            }
        )

    def picture(self) -> str:
        """The DOT text of the picture, and the places in the program that read what a node of it stands for; `null`
        while there are errors."""
        from wsdl.pictures.dot import dot, stored_behind
        from wsdl.pictures.picture import picture

        document = self._document
        storage = document.examined.storage
        if storage is None:
            return "null"
        drawn = picture(storage)
        places = {
            node: [
                document.positions.range(place) for place in readers(document, names) if place.source is document.source
            ]
            for node, names in stored_behind(drawn).items()
        }
        return _json({"dot": dot(drawn), "places": _plain(places)})

    def finished(self, svg: str) -> str:
        """The picture that Graphviz has drawn, with titles and small print."""
        from wsdl.pictures.graphviz import with_titles

        return with_titles(svg)

    def sharing(self) -> str:
        """What `wsdl inspect` prints; `null` while there are errors."""
        inventory = self._document.inventory
        if inventory is None:
            return "null"
        tables = [table for table in (stored_table(inventory), computed_table(inventory)) if table is not None]
        return _json(
            {
                "head": [printable(line) for line in signatures(inventory)],
                "tables": [table._asdict() for table in tables],
                "totals": list(totals(inventory)),
            }
        )

    def formatted(self) -> str:
        """The formatted text, and the edits that lead to it; `null` if the program doesn't parse."""
        options = types.FormattingOptions(4, True)
        edits = formatting(self._document, types.DocumentFormattingParams(_THIS, options))
        return "null" if edits is None else _json({"text": format(self._document.source), "edits": _plain(edits)})

    def hover(self, line: int, character: int) -> str:
        """What there is to say about the name at a position, in Markdown, and its range."""
        return _json(_plain(hover(self._document, types.HoverParams(_THIS, types.Position(line, character)))))

    def highlights(self, line: int, character: int) -> str:
        """All places that read the same stored tensor as the layer or group at a position."""
        params = types.DocumentHighlightParams(_THIS, types.Position(line, character))
        return _json(_plain(highlights(self._document, params)))

    def explain(self, code: str) -> str:
        """The page of a code, as Markdown."""
        return explain(code)

    @property
    def _document(self) -> Document:
        document = self._documents.get(URI)
        assert document is not None
        return document


def _fix(action: types.CodeAction) -> dict[str, object]:
    changes = action.edit.changes if action.edit else None
    return {"title": action.title, "edits": _plain((changes or {}).get(URI, []))}


def _plain(value: object) -> Any:
    """Objects of the protocol as dictionaries, without what is `None`."""
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, Enum):
        return value.value
    if attrs.has(kind := type(value)):
        return {f.name: _plain(item) for f in attrs.fields(kind) if (item := getattr(value, f.name)) is not None}
    return value


_json: Callable[[object], str] = json.dumps
