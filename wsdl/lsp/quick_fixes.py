"""Quick fixes: each diagnostic whose message says what to write can write it."""

from __future__ import annotations

from lsprotocol import types

from wsdl.diagnostics import Diagnostic, Edit
from wsdl.lsp.diagnostics import as_protocol
from wsdl.lsp.documents import Document, Documents


def quick_fixes(document: Document, params: types.CodeActionParams) -> list[types.CodeAction]:
    """The fixes of the diagnostics that the range touches."""
    start, end = (document.positions.offset(at) for at in (params.range.start, params.range.end))
    return [
        types.CodeAction(
            title=_title(diagnostic),
            kind=types.CodeActionKind.QuickFix,
            diagnostics=[as_protocol(diagnostic, document)],
            is_preferred=True,
            edit=types.WorkspaceEdit(changes=_changes(diagnostic.fix, document.documents)),
        )
        for diagnostic in document.problems
        if diagnostic.fix and (span := diagnostic.span) is not None
        if span.source is document.source and span.start <= end and start <= span.end
    ]


def _title(diagnostic: Diagnostic) -> str:
    """`Replace rellu by relu`, or the help of the diagnostic."""
    [edit, *others] = diagnostic.fix
    if others or "\n" in edit.span.text + edit.text:
        return (diagnostic.help or diagnostic.label or diagnostic.message).replace("`", "")
    if not edit.text.strip():
        return f"Remove {edit.span.text.strip()}"
    return f"Replace {edit.span.text} by {edit.text}" if edit.span.text else f"Insert {edit.text.strip()}"


def _changes(fix: tuple[Edit, ...], documents: Documents) -> dict[str, list[types.TextEdit]]:
    changes: dict[str, list[types.TextEdit]] = {}
    for edit in fix:
        place = documents.location(edit.span)
        changes.setdefault(place.uri, []).append(types.TextEdit(place.range, edit.text))
    return changes
