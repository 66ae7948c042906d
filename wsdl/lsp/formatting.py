"""Formatting: the text that `wsdl fmt` writes, as edits of the lines that differ, so that cursors and folds stay."""

from __future__ import annotations

from difflib import SequenceMatcher

from lsprotocol import types

from wsdl.api.checking import format
from wsdl.diagnostics import CompileError
from wsdl.lsp.documents import Document


def formatting(document: Document, params: types.DocumentFormattingParams) -> list[types.TextEdit] | None:
    """The edits; `None` if the text doesn't parse."""
    try:
        return edits_of_lines(document, format(document.source))
    except CompileError:
        return None


def edits_of_lines(document: Document, text: str) -> list[types.TextEdit]:
    """The edits of a document to another text."""
    before, after = (each.splitlines(keepends=True) for each in (document.source.text, text))
    starts = [0]
    for line in before:
        starts.append(starts[-1] + len(line))
    return [
        types.TextEdit(
            document.positions.range(document.source.span(starts[first], starts[last])),
            "".join(after[new_first:new_last]),
        )
        for tag, first, last, new_first, new_last in SequenceMatcher(None, before, after, False).get_opcodes()
        if tag != "equal"
    ]
