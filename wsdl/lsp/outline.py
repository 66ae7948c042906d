"""Outline: the declarations of a file, with the layers, parameters and groups in them; and what can be folded."""

from __future__ import annotations

from collections.abc import Iterator

from lsprotocol import types

from wsdl.lsp.documents import Document
from wsdl.lsp.names import children, walk
from wsdl.syntax import tree

_KINDS: dict[type, types.SymbolKind] = {
    tree.Model: types.SymbolKind.Class,
    tree.Block: types.SymbolKind.Class,
    tree.Train: types.SymbolKind.Method,
    tree.Variant: types.SymbolKind.Namespace,
    tree.Layer: types.SymbolKind.Object,
    tree.Parameter: types.SymbolKind.Array,
    tree.Share: types.SymbolKind.Key,
    tree.Let: types.SymbolKind.Constant,
    tree.Metric: types.SymbolKind.Function,
    tree.Loss: types.SymbolKind.Function,
}


def outline(document: Document, params: types.DocumentSymbolParams) -> list[types.DocumentSymbol]:
    return list(_symbols(document.tree, document))


def _symbols(node: tree.Node, document: Document) -> Iterator[types.DocumentSymbol]:
    """Those below a node; what has no name is passed through."""
    for child in children(node):
        below = list(_symbols(child, document))
        name = getattr(child, "name", None) if type(child) in _KINDS else None
        if not isinstance(name, tree.Name):
            yield from below
            continue
        ranges = document.positions.range(child.span), document.positions.range(name.span)
        detail = " ".join(child.value.span.text.split()) if isinstance(child, tree.Layer) else None
        yield types.DocumentSymbol(name.text, _KINDS[type(child)], *ranges, detail, children=below)


_FOLDED = (
    tree.Block, tree.Model, tree.Train, tree.Variant, tree.Turns, tree.For, tree.If, tree.Scan, tree.Load, tree.Share,
    tree.Call, tree.List,
)  # fmt: skip


def folding(document: Document, params: types.FoldingRangeParams) -> list[types.FoldingRange]:
    """What stands in braces, brackets or parentheses on several lines, up to the line above the closing one; and
    comments of several lines."""
    line = document.positions.line
    last: dict[int, int] = {}
    for node in walk(document.tree):
        if isinstance(node, _FOLDED) and line(node.span.end) > line(node.span.start) + 1:
            last[line(node.span.start)] = max(line(node.span.end) - 1, last.get(line(node.span.start), 0))
    folds = [types.FoldingRange(start, end) for start, end in last.items()]
    return folds + list(_comments(document))


def _comments(document: Document) -> Iterator[types.FoldingRange]:
    lines = [document.positions.line(c.span.start) for c in document.tree.comments if _is_alone(c)]
    first = previous = -1
    for at in [*lines, -1]:
        if at != previous + 1 or previous < 0:
            if previous > first >= 0:
                yield types.FoldingRange(first, previous, kind=types.FoldingRangeKind.Comment)
            first = at
        previous = at


def _is_alone(comment: tree.Comment) -> bool:
    source, start = comment.span.source, comment.span.start
    return not source.text[source.text.rfind("\n", 0, start) + 1 : start].strip()
