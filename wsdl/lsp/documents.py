"""The texts of open files, and what the compiler says of each version.

A file that is open counts as it is in the editor, also where another one imports it; every other file as it is on the
disk. A document is checked when something is asked about it, and again only if a text that was read has changed.
"""

from __future__ import annotations

import os
import posixpath
import sys
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar
from weakref import WeakKeyDictionary

from lsprotocol import types
from pygls import uris

from wsdl import compiler
from wsdl.api.checking import Examined, examine
from wsdl.diagnostics import CompileError, Diagnostic, Problems
from wsdl.diagnostics.span import Source, Span
from wsdl.elaborate.records import Memory
from wsdl.elaborate.scopes import STANDARD
from wsdl.ir.inventory import Inventory
from wsdl.ir.references import References
from wsdl.lsp.client import Client
from wsdl.lsp.index import Index
from wsdl.lsp.positions import Encoding, Positions
from wsdl.syntax import tree
from wsdl.syntax.parser import parse
from wsdl.syntax.read import read_import

T = TypeVar("T")


class Document:
    """One version of an open file."""

    def __init__(self, uri: str, source: Source, version: int | None, documents: Documents) -> None:
        self.uri, self.source, self.version, self.documents = uri, source, version, documents
        self._examined: Examined | None = None
        self._problems: Problems | None = None
        self._read: dict[str, Source | None] = {}  # the imported files of the last check, by path
        self._index: Index | None = None
        self._inventory: Inventory | None = None

    @property
    def positions(self) -> Positions:
        return self.documents.positions(self.source)

    @property
    def examined(self) -> Examined:
        """The file as it is now, as far as it is a program."""
        if self._examined is None or any(self._source_of(path) is not source for path, source in self._read.items()):
            self._read, self._index, self._inventory, self._problems = {}, None, None, None
            self._examined = self._guarded(self._check, Examined)
            if self._examined.storage is not None:
                self.documents.checked[self.uri] = self
        return self._examined

    @property
    def problems(self) -> Problems:
        """All diagnostics of the file as it is now, and of its variants."""
        examined = self.examined
        if self._problems is None:
            self._problems = self._guarded(lambda: examined.problems, lambda problems: problems)
        return self._problems

    @property
    def last_checked(self) -> Document:
        """The last version of the file without errors; this one if there is none. A program with errors lacks the
        declarations that have them."""
        return self.documents.checked.get(self.uri, self)

    @property
    def index(self) -> Index:
        """The program by places in its texts."""
        program = self.examined.program
        if self._index is None:
            self._index = Index(program)
        return self._index

    @property
    def references(self) -> References:
        """Use and definition of the names in the file and in those that it imports."""
        return self.index.references

    @property
    def inventory(self) -> Inventory | None:
        """What the program stores; `None` if it has errors."""
        storage = self.examined.storage
        if self._inventory is None and storage is not None:
            self._inventory = compiler.inventory(storage)
        return self._inventory

    @property
    def tree(self) -> tree.File:
        """The syntax tree, without declarations that have syntax errors."""
        return parse(self.source, Problems())

    def check_again(self) -> None:
        """Forget the last check: a file that it depends on, such as one of weights, may have changed."""
        self._examined = None

    def _check(self) -> Examined:
        root, memory = self.documents.import_root, self.documents.memory
        return examine(self.source, import_root=root, read=self._import, memory=memory)

    def _guarded(self, run: Callable[[], T], failed: Callable[[Problems], T]) -> T:
        """What `run` returns; where it fails, what `failed` makes of the diagnostic of a bug."""
        try:
            return run()
        except Exception as error:  # an editor shows it beside the text, and goes on
            traceback.print_exc(file=sys.stderr)
            message = f"internal error: this is a bug in wsdl ({type(error).__name__}: {error})"
            help = "please report it with the program; the log of the language server has the traceback"
            return failed(Problems([Diagnostic("E0799", message, self.source.span(0, 0), help=help)]))

    def _import(self, path: str) -> Source | None:
        self._read[path] = None
        self._read[path] = source = self.documents.read(path)
        return source

    def _source_of(self, path: str) -> Source | None:
        try:
            return self.documents.read(path)
        except CompileError:
            return None


class Documents:
    """All open files by URI. `encoding` is that of positions; imports stay inside `import_root`, by default the folder
    of the importing file."""

    def __init__(self, import_root: str | None = None) -> None:
        self.import_root = import_root
        self.encoding: Encoding | str = Encoding.Utf16
        self.client = Client()
        self.tell: Callable[[str], object] = lambda message: None  # shows a message to the user
        self.titles: dict[str, dict[str, str]] = {}  # those of the last code lenses without errors, by URI
        self.checked: dict[str, Document] = {}  # the last versions without errors, by URI
        self.memory = Memory()
        self._open: dict[str, Document] = {}
        self._on_disk: dict[str, tuple[tuple[int, ...], Source | None]] = {}  # by path, with what tells a change
        self.shown_members: dict[str, tuple[int, int]] = {}  # by URI, the lens and the member that was shown last
        self._tokens: dict[str, tuple[str, list[int]]] = {}  # the last semantic tokens, by URI, with a name of theirs
        self._positions: WeakKeyDictionary[Source, Positions] = WeakKeyDictionary()

    def __iter__(self) -> Iterator[Document]:
        return iter(self._open.values())

    def get(self, uri: str) -> Document | None:
        return self._open.get(uri)

    def put(self, uri: str, text: str, version: int | None) -> None:
        """Open a file, or give it another text."""
        if uri in self._open:  # what is kept of earlier versions needs no more than their texts
            self._open[uri].source.memory.clear()
        self._open[uri] = Document(uri, Source(path_of(uri), text), version, self)

    def close(self, uri: str) -> None:
        self._open.pop(uri, None)
        self.titles.pop(uri, None)
        self.checked.pop(uri, None)
        self._tokens.pop(uri, None)
        self.shown_members.pop(uri, None)

    def keep_tokens(self, uri: str, data: list[int]) -> str:
        """Keep the semantic tokens of a document until the next ones; returns a name for them."""
        last = self._tokens.get(uri, ("0", []))
        name = last[0] if last[1] == data else str(int(last[0]) + 1)
        self._tokens[uri] = name, data
        return name

    def kept_tokens(self, uri: str, name: str) -> list[int] | None:
        last = self._tokens.get(uri)
        return last[1] if last is not None and last[0] == name else None

    def read(self, path: str) -> Source | None:
        """The source of a file, the same object until the file changes; `None` if there is none. Raises `CompileError`
        if it can't be read."""
        path = posixpath.abspath(path)
        for document in self._open.values():
            if document.source.path == path:
                return document.source
        stamp = _stamp(path)
        known = self._on_disk.get(path)
        if known is None or known[0] != stamp:
            known = self._on_disk[path] = stamp, read_import(path)
        return known[1]

    def positions(self, source: Source) -> Positions:
        if source not in self._positions:
            self._positions[source] = Positions(source, self.encoding)
        return self._positions[source]

    def uri(self, source: Source) -> str:
        """The URI of a source as the client writes it, if the file is open."""
        path = Path(STANDARD.parent / source.path if source.is_standard else source.path).absolute()
        return next((d.uri for d in self if d.source.path == source.path), path.as_uri())

    def location(self, span: Span) -> types.Location:
        return types.Location(self.uri(span.source), self.positions(span.source).range(span))


def path_of(uri: str) -> str:
    """The absolute path of a file; of a text that isn't saved yet its name, in the current folder."""
    path = uris.to_fs_path(uri) or uri.rpartition(":")[2]
    return posixpath.abspath(path.replace(os.sep, "/"))


def _stamp(path: str) -> tuple[int, ...]:
    """What changes when the file does; empty if there is none."""
    try:
        status = os.stat(path)
    except (OSError, ValueError):
        return ()
    return status.st_mtime_ns, status.st_size, status.st_ino
