"""Keeps the trees of declarations, and moves them to where the same text stands in a later version of a file.

Between two keystrokes most declarations stay as they are. To copy a tree with other locations takes a small part of the
time that its text takes to be parsed.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Any, NamedTuple

from wsdl.diagnostics.span import Source, Span
from wsdl.syntax import tree

MOST = 100  # files whose last version is kept
STALE = 300  # declarations that may be kept beside those of a version with errors


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


_last: OrderedDict[str, dict[Written, tuple[tree.Declaration, int]]] = OrderedDict()  # by path


class Reuse:
    """The declarations of a version of a file, some of them as they are in the version that was parsed last."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._before = _last.get(source.path, {})
        self._now: dict[Written, tuple[tree.Declaration, int]] = {}

    def keep(self, written: Written, declaration: tree.Declaration, start: int) -> None:
        """Keep a declaration without errors, whose text starts at an offset."""
        self._now[written] = declaration, start

    def moved(self, written: Written, start: int) -> tree.Declaration | None:
        """The declaration that is written like this and starts at an offset; `None` if there was none."""
        known = self._now.get(written) or self._before.get(written)
        if known is None:
            return None
        declaration, before = known
        again: tree.Declaration = _Move(self._source, start - before).node(declaration)
        self.keep(written, again, start)
        return again

    def done(self, has_errors: bool) -> None:
        """The file is parsed: from now on this is the last version. If it has errors it lacks declarations, which the
        next one may have again as they were before."""
        stay = has_errors and len(self._before) <= STALE + 2 * len(self._now)
        _last[self._source.path] = {**self._before, **self._now} if stay else self._now
        _last.move_to_end(self._source.path)
        if len(_last) > MOST:
            _last.popitem(last=False)


def forget() -> None:
    """Keep nothing of what was parsed until now."""
    _last.clear()


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
