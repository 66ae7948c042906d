"""The place of the cursor in a text that is being written: what the grammar accepts there, the tree around it, and the
names that are bound."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import cast

from wsdl.diagnostics import CompileError, Problems
from wsdl.diagnostics.span import Source
from wsdl.elaborate.bound_names import bound_names
from wsdl.elaborate.check_names import Look
from wsdl.elaborate.resolve import resolve_file
from wsdl.elaborate.scopes import FileScope
from wsdl.lsp.documents import Document
from wsdl.syntax import tree
from wsdl.syntax.incomplete import Incomplete, incomplete


@dataclass(frozen=True)
class Place:
    """`start` and `end` enclose the word or the string at the cursor. `nodes` lead from its declaration to the name or
    the string that stands for it, the outermost first, and are empty where neither fits. `names` are those bound there,
    `scope` has those of the file."""

    start: int
    end: int
    accepts: frozenset[str]
    nodes: tuple[tree.Node, ...]
    scope: FileScope
    names: Mapping[str, object] = field(default_factory=dict)

    @property
    def declaration(self) -> tree.Node | None:
        return self.nodes[0] if self.nodes else None

    def parent(self) -> tree.Node | None:
        return self.nodes[-2] if len(self.nodes) > 1 else None

    def within(self, *kinds: type[tree.Node]) -> tree.Node | None:
        """The innermost node around the place that is of one of these kinds."""
        return next((node for node in reversed(self.nodes) if isinstance(node, kinds)), None)

    def call(self) -> tuple[tree.Call, tree.Argument] | None:
        """The innermost call with the place between its parentheses, and the argument that has it."""
        for outer, inner in reversed(list(pairwise(self.nodes))):
            if isinstance(outer, tree.Call) and isinstance(inner, tree.Argument):
                return outer, inner
        return None


def place_at(document: Document, offset: int) -> Place | None:
    """The place of an offset; `None` inside a comment."""
    text = document.source.text
    string = _string(text, offset)
    if string is None:
        return None
    start, end = string
    in_string = end > start
    if not in_string:
        while start and _is_of_word(text[start - 1]):
            start -= 1
        while end < len(text) and _is_of_word(text[end]):
            end += 1
    read = incomplete(document.source, start, end, string=in_string)
    return _with_names(Place(start, end, read.accepts, read.nodes, FileScope(document.tree)), read, document)


def _is_of_word(character: str) -> bool:
    return character.isalnum() or character == "_"


def _string(text: str, offset: int) -> tuple[int, int] | None:
    """The string around an offset, quotes included, or an empty part of the text; `None` inside a comment."""
    line = text.rfind("\n", 0, offset) + 1
    opening, i = -1, line
    while i < offset:
        if text[i] == '"':
            opening = i if opening < 0 else -1
        elif text[i] == "\\" and opening >= 0:
            i += 1
        elif text[i] == "#" and opening < 0:
            return None
        i += 1
    if opening < 0:
        return offset, offset
    end = text.find("\n", offset) if "\n" in text[offset:] else len(text)
    closing = text.find('"', offset, end)
    return opening, (closing + 1 if closing >= 0 else len(text[:end].rstrip("\r")))


def _with_names(place: Place, read: Incomplete, document: Document) -> Place:
    others = [d for d in document.tree.declarations if not d.span.start <= read.start < d.span.end]
    own = [cast(tree.Declaration, node) for node in place.nodes[:1]]
    names: dict[str, object] = {}

    def visit(node: tree.Node, bound: Mapping[str, object]) -> None:
        if any(node is inner for inner in place.nodes):
            names.clear()
            names.update(bound)

    def readable(path: str) -> Source | None:
        try:
            return document.documents.read(path)
        except CompileError:
            return None

    file = tree.File(document.tree.span, document.source, (*others, *own), ())
    scope = resolve_file(file, Problems(), readable, document.documents.import_root, Look(own, visit))
    declaration = place.declaration
    if isinstance(declaration, tree.Block | tree.Model) and not names:  # in the signature
        names.update({item.name.text: item for item in declaration.inputs})
    if isinstance(declaration, tree.Train):
        names.update(_of_training(declaration, scope))
    return replace(place, scope=scope, names={name: at for name, at in names.items() if not name.endswith("__")})


def _of_training(node: tree.Train, scope: FileScope) -> dict[str, object]:
    """The names that a `train` knows: those of its model, and its own."""
    names: dict[str, object] = dict(scope.definitions)
    model = next((d.node for d in scope.models() if d.name == node.model.text), None)
    if isinstance(model, tree.Model):
        names |= {item.name.text: item for item in model.inputs}
        names |= bound_names(model.body)
        names |= {output.name.text: output for output in model.outputs or () if output.name is not None}
    names |= {item.name.text: item for item in node.targets}
    return names | bound_names(node.body)
