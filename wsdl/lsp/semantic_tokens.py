"""Semantic tokens: what each name stands for, and whether the stored tensor behind it is read several times.

Words that are names in one place and keywords in another are told apart by the parser. A declaration with a syntax
error has no tokens, so that the colors of the editor's own patterns stay.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from itertools import pairwise
from typing import NamedTuple

from lsprotocol import types

from wsdl.diagnostics import Problems
from wsdl.diagnostics.span import Source, Span
from wsdl.elaborate.bound_names import VIEWS, names_of
from wsdl.lsp.documents import Document
from wsdl.lsp.names import children, definitions_of, slots_of, walk
from wsdl.ops import NAMED
from wsdl.syntax import tree
from wsdl.syntax.parser import parse

TYPES = (
    "class",
    "function",
    "method",
    "type",
    "typeParameter",
    "parameter",
    "variable",
    "property",
    "namespace",
    "keyword",
)
MODIFIERS = ("declaration", "readonly", "defaultLibrary", "shared")
LEGEND = types.SemanticTokensLegend(TYPES, MODIFIERS)

_WORD = re.compile(r"[^\W\d]\w*")
_NUMBERS = 5  # of one token in the answer


class Token(NamedTuple):
    place: Span
    type: str
    modifiers: tuple[str, ...] = ()


def full(document: Document, params: types.SemanticTokensParams) -> types.SemanticTokens:
    return _all(document)


def _all(document: Document) -> types.SemanticTokens:
    data = _data(document, tokens(document))
    return types.SemanticTokens(data, document.documents.keep_tokens(document.uri, data))


def in_range(document: Document, params: types.SemanticTokensRangeParams) -> types.SemanticTokens:
    start, end = (document.positions.offset(at) for at in (params.range.start, params.range.end))
    return types.SemanticTokens(_data(document, tokens(document, start, end)))


def delta(
    document: Document, params: types.SemanticTokensDeltaParams
) -> types.SemanticTokens | types.SemanticTokensDelta:
    """The change since an earlier answer: what lies between the first and the last token that differ."""
    before = document.documents.kept_tokens(document.uri, params.previous_result_id)
    now = _all(document)
    if before is None:
        return now
    old, new = list(_tokens_of(before)), list(_tokens_of(now.data))
    first = next((i for i, (a, b) in enumerate(zip(old, new, strict=False)) if a != b), min(len(old), len(new)))
    most = min(len(old), len(new)) - first
    last = next((i for i in range(most) if old[-1 - i] != new[-1 - i]), most)
    changed = [number for token in new[first : len(new) - last] for number in token]
    removed = (len(old) - last - first) * _NUMBERS
    edits = [types.SemanticTokensEdit(first * _NUMBERS, removed, changed)] if removed or changed else []
    return types.SemanticTokensDelta(edits, now.result_id)


def _tokens_of(data: Iterable[int]) -> Iterator[tuple[int, ...]]:
    numbers = iter(data)
    return zip(*[numbers] * _NUMBERS, strict=True)


def _data(document: Document, listed: Iterable[Token]) -> list[int]:
    """Five numbers for each token, its position counted from the one before."""
    data: list[int] = []
    line = character = 0
    for token in listed:
        range = document.positions.range(token.place)
        start = range.start
        data += [start.line - line, start.character - (character if start.line == line else 0)]
        data += [range.end.character - start.character, TYPES.index(token.type)]
        data.append(sum(1 << MODIFIERS.index(modifier) for modifier in token.modifiers))
        line, character = start.line, start.character
    return data


# -- names and keywords ------------------------------------------------------------------------------------------------


def tokens(document: Document, start: int = 0, end: int | None = None) -> list[Token]:
    """Those of a document, or of the declarations that lie in a part of it, in their order."""
    end = len(document.source.text) if end is None else end
    roles = _Roles(document)
    found: list[Token] = []
    for declaration in document.tree.declarations:
        if declaration.span.start <= end and start <= declaration.span.end:
            names, hidden = [], []
            for node, parent in _with_parents(declaration):
                if isinstance(node, tree.Name):
                    names.append(roles.token(node, parent))
                elif isinstance(node, tree.String | tree.Constant | tree.Number):
                    hidden.append(node.span)
            found += [*names, *_keywords(declaration, [*hidden, *(token.place for token in names)], document)]
    return sorted(dict.fromkeys(found), key=lambda token: token.place.start)


def _with_parents(node: tree.Node) -> Iterator[tuple[tree.Node, tree.Node]]:
    for child in children(node):
        yield child, node
        yield from _with_parents(child)


def _keywords(declaration: tree.Node, others: Iterable[Span], document: Document) -> Iterator[Token]:
    """The words of a declaration outside of its names, strings, numbers and comments."""
    text, first = document.source.text, declaration.span.start
    comments = (comment.span for comment in document.tree.comments)
    gaps = sorted((span.start, span.end) for span in (*others, *comments) if span.end > first)
    for (_, start), (end, _) in pairwise([(0, first), *gaps, (declaration.span.end, 0)]):
        for match in _WORD.finditer(text, start, min(end, declaration.span.end)):
            yield Token(document.source.span(*match.span()), "keyword")


class _Roles:
    """What the names of one document stand for."""

    def __init__(self, document: Document) -> None:
        self._document = document
        self._declared: dict[Source, dict[Span, tuple[str, ...]]] = {}
        self._shared: dict[Span, bool] = {}
        inventory = document.inventory
        self._read_often = {} if inventory is None else {tensor.name: tensor.elements for tensor in inventory.shared()}

    def token(self, node: tree.Name, parent: tree.Node) -> Token:
        definitions = definitions_of(self._document, node.span)
        role: tuple[str, ...] | None = None
        for place in definitions:
            if not place.source.is_standard:
                role = role or self._declared_in(place.source).get(place)
        if role is None:
            role = _by_form(node, parent)
        type, *modifiers = role
        if node.span in self._declared_in(node.span.source) and node.span in definitions:
            modifiers.append("declaration")
        if any(place.source.is_standard for place in definitions):
            modifiers.append("defaultLibrary")
        if type in ("property", "namespace") and self._is_shared(node.span):
            modifiers.append("shared")
        return Token(node.span, type, tuple(dict.fromkeys(modifiers)))

    def _declared_in(self, source: Source) -> dict[Span, tuple[str, ...]]:
        if source not in self._declared:
            self._declared[source] = dict(_declarations(parse(source, Problems())))
        return self._declared[source]

    def _is_shared(self, name: Span) -> bool:
        """Whether most of what is stored for a name is read several times."""
        storage = self._document.examined.storage
        if storage is None or not self._read_often:
            return False
        slots = slots_of(self._document, name)
        read = dict.fromkeys(t for slot in slots for t in storage.readings[slot.path].tensors)
        often = sum(self._read_often.get(tensor, 0) for tensor in read)
        return often > 0 and 2 * often >= sum(storage.stored[tensor].elements for tensor in read)


def _declarations(file: tree.File) -> Iterator[tuple[Span, tuple[str, ...]]]:
    """The names that a file declares, with the type and the modifiers of each."""
    for node in walk(file):
        if isinstance(node, tree.Block | tree.Model | tree.Train | tree.Variant):
            yield node.name.span, ("class",)
        elif isinstance(node, tree.Layer | tree.Parameter):
            yield node.name.span, ("property",)
        elif isinstance(node, tree.Let):
            yield node.name.span, ("variable", "readonly")
        elif isinstance(node, tree.Configuration):
            yield node.name.span, ("parameter", "readonly")
        elif isinstance(node, tree.Input):
            yield node.name.span, ("parameter",)
        elif isinstance(node, tree.Share) and node.name is not None:
            yield node.name.span, ("namespace",)
        elif isinstance(node, tree.Assign | tree.Scan):
            yield from ((name.span, ("variable",)) for name in node.targets)
        elif isinstance(node, tree.Clause):
            yield from ((name.span, ("variable", "readonly")) for name in node.names)
        elif isinstance(node, tree.Binding | tree.Numbers | tree.Output | tree.Loss | tree.Metric):
            if node.name is not None:
                yield node.name.span, ("variable",)
        elif isinstance(node, tree.Return):
            yield from ((name.span, ("variable",)) for name in node.names)
        if isinstance(node, tree.Input | tree.Output):
            sizes = [name for dim in node.type.dims for name in names_of(dim)]
            sizes += [node.count] if isinstance(node.count, tree.Name) else []
            yield from ((size.span, ("typeParameter",)) for size in sizes)


def _by_form(node: tree.Name, parent: tree.Node) -> tuple[str, ...]:
    """What a name without a declaration in any file is: of the language, or not known because of an error."""
    if isinstance(parent, tree.Type | tree.Configuration) and node is not getattr(parent, "name", None):
        return (
            ("type", "defaultLibrary")
            if isinstance(parent, tree.Configuration) or node is parent.dtype
            else ("typeParameter",)
        )
    if isinstance(parent, tree.Argument) and node is parent.name:
        return ("parameter",)
    if isinstance(parent, tree.Field) and node is parent.name:
        return ("method", "defaultLibrary") if node.text in VIEWS else ("property",)
    if node in (getattr(parent, part, None) for part in ("kind", "extent", "mode")):
        return ("keyword",)  # of a `limit`, a `turns`, a parameter or a `freeze`
    if isinstance(parent, tree.Call | tree.Pipe | tree.Parameter) or node.text in NAMED:
        return ("class" if node.text[:1].isupper() else "function", "defaultLibrary")
    return ("variable",)
