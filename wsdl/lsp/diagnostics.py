"""Diagnostics: those of `wsdl check`, with related places and a link to the page of their code."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from lsprotocol import types

from wsdl.diagnostics import Diagnostic, Severity
from wsdl.diagnostics.explain import CODES, codes
from wsdl.lsp.documents import Document, Documents

_SEVERITIES: Mapping[Severity, types.DiagnosticSeverity] = {
    "error": types.DiagnosticSeverity.Error,
    "warning": types.DiagnosticSeverity.Warning,
    "note": types.DiagnosticSeverity.Information,
}
_UNNECESSARY = frozenset({"W0201", "W0302"})  # about text that has no effect, which editors fade
_START = types.Range(types.Position(0, 0), types.Position(0, 0))


def diagnostics(documents: Documents) -> dict[str, list[types.Diagnostic]]:
    """By URI, those of all open files: a file that several import has each of its diagnostics once, as with `wsdl
    check` of all of them."""
    once: dict[tuple[object, ...], tuple[str, types.Diagnostic]] = {}
    for document in documents:
        for diagnostic in document.problems:
            key = (diagnostic.code, *diagnostic.location(), diagnostic.message)
            if key not in once:
                uri = document.uri if diagnostic.span is None else documents.uri(diagnostic.span.source)
                once[key] = uri, as_protocol(diagnostic, document)
    by_uri: dict[str, list[types.Diagnostic]] = {document.uri: [] for document in documents}
    for uri, published in once.values():
        by_uri.setdefault(uri, []).append(published)
    return by_uri


def as_protocol(diagnostic: Diagnostic, document: Document) -> types.Diagnostic:
    """A diagnostic of a document. One about another kind of file, such as one of weights, is at the document's
    start."""
    documents = document.documents
    page = (CODES / f"{diagnostic.code}.md").as_uri() if diagnostic.code in codes() else None
    span = diagnostic.span
    return types.Diagnostic(
        range=_START if span is None else documents.positions(span.source).range(span),
        severity=_SEVERITIES[diagnostic.severity],
        code=diagnostic.code,
        code_description=types.CodeDescription(page) if page else None,
        source="wsdl",
        message="\n".join(_lines(diagnostic, document)),
        tags=[types.DiagnosticTag.Unnecessary] if diagnostic.code in _UNNECESSARY else None,
        related_information=[
            types.DiagnosticRelatedInformation(documents.location(label.span), label.message or "see here")
            for label in diagnostic.labels
        ],
    )


def _lines(diagnostic: Diagnostic, document: Document) -> Iterable[str]:
    about = diagnostic.file if diagnostic.span is None and diagnostic.file != document.source.path else None
    yield f"{about}: {diagnostic.summary()}" if about else diagnostic.summary()
    yield from diagnostic.details
    if diagnostic.help:
        yield f"help: {diagnostic.help}"
