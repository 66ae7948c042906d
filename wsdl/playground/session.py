"""The compiler in the page: a worker calls these functions and sends their answers on, as JSON.

They are the features of the language server, for the files of the page, without a client. Files have names, such as
`lm.wsd`, and import each other by them. Positions are those of the protocol: lines from 0, and in a line units of
UTF-16, as in JavaScript.
"""

from __future__ import annotations

import base64
import io
import json
from collections.abc import Callable
from enum import Enum
from pathlib import Path
from typing import Any
from zipfile import ZIP_DEFLATED, ZipFile, ZipInfo

import attrs
from lsprotocol import types

from wsdl.api.checking import format
from wsdl.api.inspection import computed_table, signatures, stored_table, totals
from wsdl.diagnostics.explain import explain
from wsdl.diagnostics.printable import printable
from wsdl.lsp.callees import documentation
from wsdl.lsp.client import Client
from wsdl.lsp.code_lens import code_lenses
from wsdl.lsp.completion import completion
from wsdl.lsp.diagnostics import diagnostics
from wsdl.lsp.documents import Document, Documents, path_of
from wsdl.lsp.formatting import formatting
from wsdl.lsp.highlight import highlights, readers
from wsdl.lsp.hover import hover
from wsdl.lsp.inlay_hints import inlay_hints
from wsdl.lsp.navigation import definition
from wsdl.lsp.quick_fixes import quick_fixes
from wsdl.lsp.refused import Refused
from wsdl.lsp.rename import prepare_rename, rename
from wsdl.lsp.signature_help import signature_help
from wsdl.syntax import tree

FOLDER = "file:///program/"  # of all files; none is on a disk
_WHOLE = types.Range(types.Position(0, 0), types.Position(2**31 - 1, 0))


class Session:
    """One program as it is being written: its files, each with one document for all of its versions."""

    def __init__(self) -> None:
        self._documents = Documents()
        self._documents.client = Client(takes_snippets=True)
        self._version = 0

    def write(self, files: str) -> str:
        """These are the files now, an object of texts by name."""
        texts: dict[str, str] = json.loads(files)
        for document in list(self._documents):
            if _name(document.uri) not in texts:
                self._documents.close(document.uri)
        for name, text in texts.items():
            known = self._documents.get(FOLDER + name)
            if known is None or known.source.text != text:
                self._version += 1
                self._documents.put(FOLDER + name, text, self._version)
        return "null"

    def check(self, name: str) -> str:
        """The diagnostics of all files, each with its fixes; of one of them the hints, and the lines above models and
        groups."""
        document, this = self._document(name), _identifier(name)
        found = {uri: listed for uri, listed in diagnostics(self._documents).items() if self._documents.get(uri)}
        return _json(
            {
                "diagnostics": {_name(uri): self._with_fixes(uri, listed) for uri, listed in found.items()},
                "hints": _plain(inlay_hints(document, types.InlayHintParams(this, _WHOLE))),
                "lenses": _plain(code_lenses(document, types.CodeLensParams(this))),
                "stored": document.examined.storage is not None,
            }
        )

    def _with_fixes(self, uri: str, found: list[types.Diagnostic]) -> list[dict[str, object]]:
        name = _name(uri)
        asked = types.CodeActionParams(_identifier(name), _WHOLE, types.CodeActionContext(found))
        fixes = quick_fixes(self._document(name), asked)
        return [
            {
                **_plain(d),
                "related_information": [_related(r) for r in d.related_information or ()],
                "fixes": [{"title": f.title, "edits": _edits(f.edit)} for f in fixes if d in (f.diagnostics or ())],
            }
            for d in found
        ]

    # -- what is beside the text ---------------------------------------------------------------------------------------

    def picture(self, name: str) -> str:
        """The DOT text of the picture, and the places in the file that read what a node of it stands for; `null` while
        there are errors, and without a model the files that have one."""
        from wsdl.pictures.dot import dot, stored_behind
        from wsdl.pictures.picture import picture

        document = self._document(name)
        storage = document.examined.storage
        if storage is None:
            return "null"
        if not storage.checked.models:
            return self._without_model()
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

    def sharing(self, name: str) -> str:
        """What `wsdl inspect` prints; `null` while there are errors, and without a model the files that have one."""
        inventory = self._document(name).inventory
        if inventory is None:
            return "null"
        if not inventory.models:
            return self._without_model()
        tables = [table for table in (stored_table(inventory), computed_table(inventory)) if table is not None]
        return _json(
            {
                "head": [printable(line) for line in signatures(inventory)],
                "tables": [table._asdict() for table in tables],
                "totals": list(totals(inventory)),
            }
        )

    def _without_model(self) -> str:
        """`{"models": ["main.wsd"]}`: the files that have a model."""
        return _json(
            {
                "models": [
                    _name(document.uri)
                    for document in self._documents
                    if any(isinstance(declared, tree.Model) for declared in document.tree.declarations)
                ]
            }
        )

    def formatted(self, name: str) -> str:
        """The formatted text, and the edits that lead to it; `null` if the file doesn't parse."""
        options = types.FormattingOptions(4, True)
        document = self._document(name)
        edits = formatting(document, types.DocumentFormattingParams(_identifier(name), options))
        return "null" if edits is None else _json({"text": format(document.source), "edits": _plain(edits)})

    def archive(self, files: str) -> str:
        """A zip file with these files, an object of texts by name, in base64."""
        packed = io.BytesIO()
        with ZipFile(packed, "w") as zipped:
            for name, text in json.loads(files).items():
                zipped.writestr(ZipInfo(name), text, ZIP_DEFLATED)
        return _json(base64.b64encode(packed.getvalue()).decode())

    def explain(self, code: str) -> str:
        """The page of a code, as Markdown."""
        return _json(explain(code))

    # -- about a place in the text -------------------------------------------------------------------------------------

    def hover(self, name: str, line: int, character: int) -> str:
        """What there is to say about the name at a position, in Markdown, and its range."""
        return _json(_plain(hover(self._document(name), types.HoverParams(*_place(name, line, character)))))

    def highlights(self, name: str, line: int, character: int) -> str:
        """All places that read the same stored tensor as the layer or group at a position."""
        params = types.DocumentHighlightParams(*_place(name, line, character))
        return _json(_plain(highlights(self._document(name), params)))

    def completions(self, name: str, line: int, character: int) -> str:
        """What may stand at a position, and what it takes the place of."""
        items = completion(self._document(name), types.CompletionParams(*_place(name, line, character))).items
        return _json([_proposal(item) for item in items])

    def documentation(self, proposed: str) -> str:
        """That of a proposal, by its `data`, as Markdown."""
        return _json(documentation(proposed))

    def signature(self, name: str, line: int, character: int) -> str:
        """The parameters of the call around a position."""
        params = types.SignatureHelpParams(*_place(name, line, character))
        return _json(_plain(signature_help(self._document(name), params)))

    def definition(self, name: str, line: int, character: int) -> str:
        """Where the name at a position is defined, by file; of a definition in the standard library with its text."""
        found = definition(self._document(name), types.DefinitionParams(*_place(name, line, character)))
        return _json([self._location(location) for location in found or ()])

    def _location(self, location: types.Location) -> dict[str, object]:
        place = {"file": _name(location.uri), "range": _plain(location.range)}
        if self._documents.get(location.uri) is None:
            place["text"] = Path(path_of(location.uri)).read_text("utf-8")
        return place

    def renamable(self, name: str, line: int, character: int) -> str:
        """The name at a position, or why it can't be renamed."""
        params = types.PrepareRenameParams(*_place(name, line, character))
        return _or_refused(lambda: _plain(prepare_rename(self._document(name), params)))

    def renamed(self, name: str, line: int, character: int, new: str) -> str:
        """The edits, by file, that give the name at a position another one, and what follows for files of weights; or
        why it can't have it."""
        told: list[str] = []
        self._documents.tell = told.append
        text_document, position = _place(name, line, character)
        params = types.RenameParams(position=position, new_name=new, text_document=text_document)
        return _or_refused(lambda: {"edits": _edits(rename(self._document(name), params)), "told": told})

    def _document(self, name: str) -> Document:
        document = self._documents.get(FOLDER + name)
        assert document is not None
        return document


def _identifier(name: str) -> types.TextDocumentIdentifier:
    return types.TextDocumentIdentifier(FOLDER + name)


def _place(name: str, line: int, character: int) -> tuple[types.TextDocumentIdentifier, types.Position]:
    return _identifier(name), types.Position(line, character)


def _name(uri: str) -> str:
    return uri.rpartition("/")[2]


def _proposal(item: types.CompletionItem) -> dict[str, object]:
    edit = item.text_edit
    assert isinstance(edit, types.TextEdit)
    return {
        "label": item.label,
        "kind": types.CompletionItemKind(item.kind or 1).name,
        "detail": item.detail or "",
        "sort": item.sort_text,
        "start": edit.range.start.character,
        "text": edit.new_text,
        "snippet": item.insert_text_format == types.InsertTextFormat.Snippet,
        "about": item.data,
    }


def _or_refused(answer: Callable[[], object]) -> str:
    try:
        return _json(answer())
    except Refused as refused:
        return _json({"refused": str(refused)})


def _related(related: types.DiagnosticRelatedInformation) -> dict[str, object]:
    place = related.location
    return {"message": related.message, "file": _name(place.uri), "range": _plain(place.range)}


def _edits(edit: types.WorkspaceEdit | None) -> dict[str, object]:
    """Edits by the name of their file."""
    changes = edit.changes if edit is not None else None
    return {_name(uri): _plain(listed) for uri, listed in (changes or {}).items()}


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
