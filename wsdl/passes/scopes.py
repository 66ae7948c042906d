"""What names stand for: the declarations of a file, what it imports, and behind them the standard library."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from functools import cache
from importlib import resources

from wsdl.diagnostics import Problems
from wsdl.span import Source, Span
from wsdl.syntax import tree
from wsdl.syntax.parser import parse


@dataclass(frozen=True, eq=False)
class Definition:
    """A declaration and the file whose names its body sees."""

    node: tree.Let | tree.Block | tree.Model | tree.Layer
    scope: FileScope

    @property
    def name(self) -> str:
        return self.node.name.text


@dataclass(eq=False)
class FileScope:
    """The names that a file's bodies see, its own and imported ones; the standard library and operations lie behind."""

    file: tree.File
    definitions: dict[str, Definition] = field(default_factory=dict)
    places: dict[str, Span] = field(default_factory=dict)  # where a name was declared in this file, or imported
    lost: set[str] = field(default_factory=set)  # names that an import, reported as wrong, was to bring
    is_partial: bool = False  # declarations with syntax errors are missing
    unknown: set[tuple[Span | None, str]] = field(default_factory=set)  # body, name: was reported

    @property
    def source(self) -> Source:
        return self.file.source

    def may_have(self, name: str) -> bool:
        """Is a name that is not found perhaps one that a reported mistake took away?"""
        return self.is_partial or name in self.lost

    def find(self, name: str) -> Definition | None:
        return self.definitions.get(name) or standard_block(name)

    def models(self) -> list[Definition]:
        return [d for d in self.definitions.values() if isinstance(d.node, tree.Model) and d.scope is self]


# -- the standard library ----------------------------------------------------------------------------------------------


@cache
def _standard_index() -> dict[str, str]:
    """The blocks of the standard library: name -> file."""
    index: dict[str, str] = {}
    for entry in sorted((resources.files("wsdl") / "std").iterdir(), key=lambda e: e.name):
        if entry.name.endswith(".wsd"):
            for name in re.findall(r"^block (\w+)", entry.read_text("utf-8"), re.MULTILINE):
                index[name] = entry.name
    return index


@cache
def _standard_scope(file: str) -> FileScope:
    """A file of the library; it imports nothing, and the tests keep it free of errors."""
    text = (resources.files("wsdl") / "std" / file).read_text("utf-8")
    problems = Problems()
    scope = FileScope(parse(Source(f"std/{file}", text, is_standard=True), problems))
    assert not problems.errors, f"the standard library has an error: {problems.errors[0].message}"
    for declaration in scope.file.declarations:
        if isinstance(declaration, tree.Let | tree.Block):
            scope.definitions[declaration.name.text] = Definition(declaration, scope)
    return scope


def standard_block(name: str) -> Definition | None:
    """A block of the standard library; its file is parsed when it is first asked for."""
    file = _standard_index().get(name)
    return _standard_scope(file).definitions[name] if file else None


def standard_blocks() -> list[str]:
    """The names of all blocks of the standard library."""
    return list(_standard_index())
