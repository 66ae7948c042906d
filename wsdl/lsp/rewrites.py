"""Changes of a program that an editor offers: tie these, name this layer, extract a block.

What is offered is found by the tree and the index alone, since editors ask at each move of the cursor. The edits are
computed when one is chosen: the new text is formatted as `wsdl fmt` does, if the old one was, and checked; a change
that isn't what it says is refused.
"""

from __future__ import annotations

from typing import NamedTuple

from wsdl.api.checking import examine, format
from wsdl.diagnostics import CompileError, Edit
from wsdl.diagnostics.span import Source
from wsdl.lsp.documents import Document
from wsdl.lsp.meaning import edited, fingerprint
from wsdl.lsp.refused import Refused


class Rewrite(NamedTuple):
    """`kind` is one of the protocol. A rewrite `keeps_meaning` if the program computes and stores the same after it, up
    to names."""

    title: str
    kind: str
    edits: tuple[Edit, ...]
    keeps_meaning: bool = True


def text_after(rewrite: Rewrite, document: Document) -> str:
    """The text of the document after a rewrite. Raises `Refused` if it isn't a program without new problems."""
    source = document.source
    end = "\r\n" if "\r\n" in source.text else "\n"
    text = edited(source, {edit.span: edit.text.replace("\r\n", "\n").replace("\n", end) for edit in rewrite.edits})
    try:
        if format(source) == source.text:
            text = format(text)
    except CompileError as error:
        raise Refused(f"{rewrite.title}: {error.diagnostics[0].message}") from None
    after = examine(Source(source.path, text), import_root=document.documents.import_root, read=document.documents.read)
    known = [diagnostic.code for diagnostic in document.problems]
    for diagnostic in after.problems:
        if diagnostic.code not in known:
            raise Refused(f"{rewrite.title}: {diagnostic.summary()}")
        known.remove(diagnostic.code)
    if rewrite.keeps_meaning and fingerprint(after) != fingerprint(document.examined):
        raise Refused(f"{rewrite.title}: the program would mean something else")
    return text
