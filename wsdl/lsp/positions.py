"""Offsets in a source as positions of the protocol, and back.

The compiler counts code points. The protocol counts lines from 0, which end with `\\n`, `\\r\\n` or `\\r`, and in a
line the units of the encoding that client and server have agreed on: 😀 is one code point, but two units of UTF-16.
"""

from __future__ import annotations

import re
from bisect import bisect_right

from lsprotocol import types

from wsdl.diagnostics.span import Source, Span

Encoding = types.PositionEncodingKind

_LINE_END = re.compile(r"\r\n?|\n")


class Positions:
    """The positions in one source."""

    def __init__(self, source: Source, encoding: Encoding | str) -> None:
        self._text, self._encoding = source.text, Encoding(encoding)
        ends = [match.span() for match in _LINE_END.finditer(source.text)]
        self._starts = [0, *(end for _, end in ends)]
        self._stops = [*(start for start, _ in ends), len(source.text)]  # without the end of the line

    @property
    def lines(self) -> int:
        return len(self._starts)

    def line(self, offset: int) -> int:
        """The number of the line of an offset."""
        return bisect_right(self._starts, offset) - 1

    def position(self, offset: int) -> types.Position:
        line = self.line(offset)
        return types.Position(line, self._units(self._text[self._starts[line] : offset]))

    def range(self, span: Span) -> types.Range:
        return types.Range(self.position(span.start), self.position(span.end))

    def offset(self, position: types.Position) -> int:
        """The offset of a position; beyond the end of a line it is that end, beyond the last line that of the text."""
        if position.line >= self.lines:
            return len(self._text)
        start, stop = self._starts[position.line], self._stops[position.line]
        if self._encoding == Encoding.Utf32 or self._text[start:stop].isascii():
            return min(start + position.character, stop)
        units = 0
        for offset in range(start, stop):
            units += self._units(self._text[offset])
            if units > position.character:
                return offset
        return stop

    def _units(self, text: str) -> int:
        if self._encoding == Encoding.Utf32 or text.isascii():
            return len(text)
        if self._encoding == Encoding.Utf8:
            return len(text.encode("utf-8", "surrogatepass"))
        return len(text) + sum(character > "\uffff" for character in text)
