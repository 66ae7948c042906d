"""Keeps the trees of declarations, and moves them to where the same text stands in a later version of a file.

Between two keystrokes most declarations stay as they are. To copy a tree with other locations takes a small part of the
time that its text takes to be parsed.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Any, NamedTuple

from wsdl.diagnostics.span import Source, Span
from wsdl.syntax import tree

MOST = 500  # declarations that are kept: some 25 MB


class Written(NamedTuple):
    """A declaration as it is written: its text, whether it is the first on its line, and the doc comments above it and
    in it, by the line below each, counted from its first one."""

    text: str
    begins_line: bool
    docs: tuple[tuple[int, str], ...]

    @staticmethod
    def of(text: str, source: Source, start: int, docs: dict[int, str]) -> Written:
        line, column = source.position(start)
        lines = range(line, line + text.count("\n") + 1) if docs else ()
        below = tuple((at - line, docs[at]) for at in lines if at in docs)
        return Written(text, not source.line(line)[: column - 1].strip(), below)


_kept: OrderedDict[Written, tuple[tree.Declaration, int]] = OrderedDict()


def keep(written: Written, declaration: tree.Declaration, start: int) -> None:
    """Keep a declaration without errors, whose text starts at an offset."""
    _kept[written] = declaration, start
    _kept.move_to_end(written)
    if len(_kept) > MOST:
        _kept.popitem(last=False)


def moved(written: Written, source: Source, start: int) -> tree.Declaration | None:
    """The declaration that is written like this and starts at an offset of a source; `None` if none is kept."""
    if written not in _kept:
        return None
    declaration, before = _kept[written]
    again: tree.Declaration = _Move(source, start - before).node(declaration)
    keep(written, again, start)
    return again


def forget() -> None:
    """Keep nothing of what was parsed until now."""
    _kept.clear()


class _Move:
    def __init__(self, source: Source, by: int) -> None:
        self.source, self.by = source, by
        self.nodes: dict[tree.Node, tree.Node] = {}

    def node(self, node: Any) -> Any:
        again = self.nodes.get(node)
        if again is None:
            again = self.nodes[node] = object.__new__(type(node))
            again.__dict__.update((name, self._part(part)) for name, part in node.__dict__.items())
        return again

    def _part(self, part: Any) -> Any:
        if isinstance(part, tree.Node):
            return self.node(part)
        if isinstance(part, Span):
            return Span(self.source, part.start + self.by, part.end + self.by)
        return tuple(map(self._part, part)) if isinstance(part, tuple) else part
