"""The programs that a file belongs to: those of the open files, and of the files of the workspace that import it."""

from __future__ import annotations

import os
import posixpath
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

from wsdl.diagnostics import CompileError
from wsdl.diagnostics.span import Source
from wsdl.lsp.documents import Document, Documents

MOST = 5_000  # files of a workspace that are looked at
_IMPORT = re.compile(r'^\s*from\s+"([^"\n]+)"', re.MULTILINE)


def programs_that_read(sources: Iterable[Source], documents: Documents) -> list[Document]:
    """The programs of the files with these sources, and of all that import them, directly or not: open ones as they
    are in the editor."""
    wanted = {source.path for source in sources}
    texts = {document.source.path: document.source for document in documents}
    for path in _files(wanted, documents):
        if path not in texts:
            try:
                source = documents.read(path)
            except CompileError:
                continue  # not a text
            if source is not None:
                texts[path] = source
    importers: dict[str, list[str]] = {}
    for path, source in texts.items():
        for written in _IMPORT.findall(source.text):
            importers.setdefault(posixpath.normpath(posixpath.join(posixpath.dirname(path), written)), []).append(path)
    reading, new = dict.fromkeys(path for path in texts if path in wanted), list(wanted)
    while new:
        for path in importers.get(new.pop(), ()):
            if path not in reading:
                reading[path] = None
                new.append(path)
    opened = {document.source.path: document for document in documents}
    return [opened.get(path) or Document(Path(path).as_uri(), texts[path], None, documents) for path in reading]


def _files(paths: Iterable[str], documents: Documents) -> Iterator[str]:
    """The programs in the folders of the workspace around some files, or beside them if they are in none."""
    folders = dict.fromkeys(
        next((folder for folder in documents.client.folders if Path(path).is_relative_to(folder)), Path(path).parent)
        for path in paths
    )
    looked_at = 0
    for top in folders:
        for folder, inner, files in os.walk(top):
            inner[:] = sorted(name for name in inner if not name.startswith(".") and name != "node_modules")
            for name in sorted(files):
                if name.endswith(".wsd"):
                    yield posixpath.abspath(Path(folder, name).as_posix())
            looked_at += len(files)
            if looked_at > MOST:
                return
