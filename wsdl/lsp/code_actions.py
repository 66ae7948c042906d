"""Code actions: quick fixes of diagnostics, and rewrites of what is selected."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from lsprotocol import types

from wsdl.lsp.documents import Document, Documents
from wsdl.lsp.extract_block import extractions
from wsdl.lsp.formatting import edits_of_lines
from wsdl.lsp.name_layer import namings
from wsdl.lsp.quick_fixes import quick_fixes
from wsdl.lsp.refused import Refused
from wsdl.lsp.rewrites import Rewrite, text_after
from wsdl.lsp.tie import ties

KINDS = [types.CodeActionKind.QuickFix, types.CodeActionKind.RefactorExtract, types.CodeActionKind.RefactorRewrite]


def code_actions(document: Document, params: types.CodeActionParams) -> list[types.CodeAction]:
    """The actions of a selection; a client that can ask for the edits of one later does so."""
    wanted = params.context.only
    actions = quick_fixes(document, params) if _is_wanted(types.CodeActionKind.QuickFix, wanted) else []
    start, end = (document.positions.offset(at) for at in (params.range.start, params.range.end))
    for rewrite in rewrites(document, start, end):
        if not _is_wanted(rewrite.kind, wanted):
            continue
        action = types.CodeAction(rewrite.title, types.CodeActionKind(rewrite.kind))
        if document.documents.client.asks_later:
            action.data = [document.uri, document.version, start, end]
            actions.append(action)
            continue
        try:
            action.edit = _edit(document, text_after(rewrite, document))
        except Refused:
            continue
        actions.append(action)
    return actions


def resolved(documents: Documents, action: types.CodeAction) -> types.CodeAction:
    """An action with its edits. Raises `Refused` if it can't be done."""
    uri, version, start, end = action.data or ("", None, 0, 0)
    document = documents.get(uri)
    if document is None or document.version != version:
        raise Refused(f"{action.title}: the text has changed")
    for rewrite in rewrites(document, start, end):
        if rewrite.title == action.title:
            action.edit = _edit(document, text_after(rewrite, document))
            return action
    raise Refused(f"{action.title}: no longer possible")


def rewrites(document: Document, start: int, end: int) -> Iterator[Rewrite]:
    """What can be done with the text between two offsets; nothing with a program that has errors."""
    if not document.problems.errors:
        yield from namings(document, start, end)
        yield from ties(document, start, end)
        yield from extractions(document, start, end)


def _is_wanted(kind: str, wanted: Sequence[types.CodeActionKind | str] | None) -> bool:
    """Whether a client asks for a kind, or for one around it: `refactor` is around `refactor.extract`."""
    return wanted is None or any(kind == only or kind.startswith(f"{only}.") for only in map(_text, wanted))


def _text(kind: types.CodeActionKind | str) -> str:
    return kind.value if isinstance(kind, types.CodeActionKind) else kind


def _edit(document: Document, text: str) -> types.WorkspaceEdit:
    edits = edits_of_lines(document, text)
    if not document.documents.client.takes_versions:
        return types.WorkspaceEdit(changes={document.uri: edits})
    identifier = types.OptionalVersionedTextDocumentIdentifier(document.uri, document.version)
    return types.WorkspaceEdit(document_changes=[types.TextDocumentEdit(identifier, [*edits])])
