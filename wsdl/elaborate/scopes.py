"""Scopes: the declarations of a file, its imports, and the standard library."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from wsdl.diagnostics.span import Source, Span
from wsdl.ir.references import References
from wsdl.syntax import tree
from wsdl.syntax.parser import Declarations

STANDARD = Path(__file__).parents[1] / "std"


@dataclass(frozen=True, eq=False)
class Definition:
    """A declaration and the scope of its file."""

    node: tree.Let | tree.Block | tree.Model | tree.Layer | tree.Parameter
    scope: FileScope

    @property
    def name(self) -> str:
        return self.node.name.text


@dataclass(eq=False)
class FileScope:
    """The names of a file, declared and imported; names not found here are looked up in the standard library and the
    operations."""

    file: tree.File
    definitions: dict[str, Definition] = field(default_factory=dict)
    places: dict[str, Span] = field(default_factory=dict)  # the declaration of each name in this file, or its import
    variants: dict[str, tree.Variant] = field(default_factory=dict)  # a namespace of their own; not imported
    imported: list[FileScope] = field(default_factory=list)
    lost: set[str] = field(default_factory=set)  # names of imports with errors
    is_partial: bool = False  # declarations with syntax errors are missing
    unknown: set[tuple[Span | None, str]] = field(default_factory=set)  # (body, name) already reported
    references: References = field(default_factory=References)  # of all files of the program

    @property
    def source(self) -> Source:
        return self.file.source

    def may_have(self, name: str) -> bool:
        """Whether a missing name may be missing because of an error already reported."""
        return self.is_partial or name in self.lost

    def find(self, name: str) -> Definition | None:
        return self.definitions.get(name) or standard_block(name)

    def place(self, name: str) -> Span | None:
        """The definition of a name; `None` for operations."""
        definition = self.find(name)
        return None if definition is None else definition.node.name.span

    def models(self) -> list[Definition]:
        return [d for d in self.definitions.values() if isinstance(d.node, tree.Model) and d.scope is self]


# -- the standard library ----------------------------------------------------------------------------------------------


@cache
def _standard_index() -> dict[str, str]:
    """The blocks of the standard library: name -> file."""
    index: dict[str, str] = {}
    for file in sorted(STANDARD.glob("*.wsd")):
        for name in re.findall(r"^block (\w+)", file.read_text("utf-8"), re.MULTILINE):
            index[name] = file.name
    return index


@cache
def _standard_file(file: str) -> tuple[FileScope, Declarations]:
    """A file of the library, which contains only blocks, without imports and (as tests verify) without errors."""
    text = (STANDARD / file).read_text("utf-8")
    source = Source(f"std/{file}", text, is_standard=True)
    return FileScope(tree.File(source.span(0, len(text)), source, (), ())), Declarations(source)


@cache
def standard_block(name: str) -> Definition | None:
    """A block of the standard library, parsed on first use."""
    file = _standard_index().get(name)
    if file is None:
        return None
    scope, declarations = _standard_file(file)
    block = declarations[f"block {name}"]
    assert isinstance(block, tree.Block)
    scope.definitions[name] = Definition(block, scope)
    return scope.definitions[name]


def standard_blocks() -> list[str]:
    """The names of all blocks of the standard library."""
    return list(_standard_index())


def standard_ways() -> list[str]:
    """The names of the standard blocks that are ways of sharing."""
    return [name for name, file in _standard_index().items() if file == "sharing.wsd"]
