"""Diagnostics with a snippet of the source, for people to read.

The line with the primary span comes first, marked `^^^^`; the lines with labels follow, marked `────`, those in other
files below a header with the path. Columns are terminal cells: wide characters take two, tabs go to the next stop.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby

from wsdl.diagnostics import Diagnostic, Label
from wsdl.diagnostics.printable import placeholder, printable
from wsdl.diagnostics.span import Source

TAB = 4
LINE = 400  # cells of a source line shown at most
NEAR = 1_000  # characters considered on each side of a location; a whole program may be one line
_COLORS = {"error": "1;31", "warning": "1;33", "note": "1;36", "gutter": "34", "strong": "1", "help": "1;32"}


@dataclass(frozen=True)
class Style:
    """Whether to use ANSI colors, and box drawing or ASCII; `width` in cells, 0 for no limit."""

    color: bool = False
    unicode: bool = True
    width: int = 0

    def paint(self, what: str, text: str) -> str:
        return f"\x1b[{_COLORS[what]}m{text}\x1b[0m" if self.color and text else text

    def plain(self, text: str) -> str:
        """The text, safe to show in a terminal."""
        return printable(text, unicode=self.unicode)

    @property
    def bar(self) -> str:
        return "│" if self.unicode else "|"

    @property
    def corner(self) -> str:
        return "╭─" if self.unicode else "-->"

    @property
    def line(self) -> str:
        return "─" if self.unicode else "-"

    @property
    def dots(self) -> str:
        return "…" if self.unicode else "..."


@dataclass(frozen=True)
class _Mark:
    """A part of one line: start and end in characters, and its message."""

    start: int
    end: int
    message: str
    primary: bool


@dataclass(frozen=True)
class _Line:
    source: Source
    number: int
    marks: tuple[_Mark, ...]


def draw(diagnostic: Diagnostic, style: Style) -> str:
    """One diagnostic, without a final newline."""
    lines = _marked_lines(diagnostic)
    margin = max([len(str(line.number)) for line in lines], default=1) + 2
    drawing = _Drawing(style, margin, diagnostic)
    head = style.paint(diagnostic.severity, f"{diagnostic.severity}[{diagnostic.code}]")
    drawing.rows.append(head + style.paint("strong", ": " + style.plain(diagnostic.message)))
    for source, group in groupby(lines, key=lambda line: line.source):
        drawing.file(source, list(group))
    if not lines and diagnostic.file:
        drawing.header(diagnostic.file)
    drawing.details(diagnostic.details, bool(lines))
    if diagnostic.variants:
        drawing.note("in", diagnostic.in_variants())
    if diagnostic.help:
        drawing.note("help", diagnostic.help)
    drawing.note("see", f"wsdl explain {diagnostic.code}")
    return "\n".join(drawing.rows)


def _marked_lines(diagnostic: Diagnostic) -> list[_Line]:
    """The lines to show: the primary one, then the others of its file in order, then those of other files."""
    if diagnostic.span is None:
        labels = list(diagnostic.labels)
    else:
        labels = [Label(diagnostic.span, diagnostic.label), *diagnostic.labels]
    marks: dict[tuple[Source, int], list[_Mark]] = {}
    for label in labels:
        source, number = label.span.source, label.span.line
        start = label.span.column - 1
        same_line = label.span.end_line == number
        end = label.span.end_column - 1 if same_line else len(source.line(number).rstrip())
        primary = diagnostic.span is not None and (source, number) == (diagnostic.span.source, diagnostic.span.line)
        marks.setdefault((source, number), []).append(_Mark(start, max(end, start + 1), label.message, primary))
    lines = []
    for (source, number), on_line in marks.items():
        if on_line[0].primary:
            lines.append(_Line(source, number, (on_line[0], *sorted(on_line[1:], key=lambda m: m.start))))
        else:
            lines.append(_Line(source, number, tuple(sorted(on_line, key=lambda m: m.start))))
    order = {source: label for label, source in enumerate(dict.fromkeys(line.source for line in lines))}
    return sorted(lines, key=lambda line: (order[line.source], not line.marks[0].primary, line.number))


class _Drawing:
    """The rows drawn so far; `margin` is the width of the column with the line numbers."""

    def __init__(self, style: Style, margin: int, diagnostic: Diagnostic) -> None:
        self.style = style
        self.margin = margin
        self.diagnostic = diagnostic
        self.rows: list[str] = []

    def header(self, location: str) -> None:
        self.rows.append(
            f"{' ' * self.margin}{self.style.paint('gutter', self.style.corner)} {self.style.plain(location)}"
        )

    def file(self, source: Source, lines: Sequence[_Line]) -> None:
        first = lines[0]
        self.header(f"{source.path}:{first.number}:{first.marks[0].start + 1}")
        previous = first
        for line in lines:
            if line is not first and (previous.marks[0].primary or line.number != previous.number + 1):
                self.row("")
            self.line(line)
            previous = line

    def line(self, line: _Line) -> None:
        """A line of the program and, below it, a row for each mark."""
        line, left_out = _near(line)
        text = line.source.line(line.number)[left_out : left_out + 2 * NEAR]
        cells = _cells(text, self.style)
        starts = [0]
        for cell in cells:
            starts.append(starts[-1] + _width(cell, self.style))
        room = min(self.style.width - self.margin - 2 if self.style.width else LINE, LINE)
        first, last = _window(starts, line.marks[0], room)
        before = self.style.dots if first or left_out else ""
        after = self.style.dots if last < len(cells) or len(text) == 2 * NEAR else ""
        self.row(before + "".join(cells[first:last]) + after, str(line.number))
        for mark in line.marks:
            start = _cell(starts, min(max(mark.start, first), last))
            end = max(_cell(starts, min(mark.end, last)), start + 1)
            left = " " * (start - _cell(starts, first) + len(before))
            sign, color = ("^", self.diagnostic.severity) if mark.primary else (self.style.line, "gutter")
            underline = sign * (end - start)
            message = f" {self.style.plain(mark.message)}" if mark.message else ""
            self.row(left + self.style.paint(color, underline + message))

    def row(self, text: str, number: str = "") -> None:
        gutter = self.style.paint("gutter", f"{number:>{self.margin - 1}} {self.style.bar}")
        self.rows.append(f"{gutter} {text}".rstrip())

    def details(self, details: Iterable[str], separate: bool) -> None:
        for index, detail in enumerate(details):
            if index == 0 and separate:
                self.row("")
            self.row(self.style.plain(detail))

    def note(self, kind: str, text: str) -> None:
        first, *more = text.splitlines() or [""]
        sign = " " * self.margin + self.style.paint("gutter", "=")
        self.rows.append(f"{sign} {self.style.paint('help', kind)}: {self.style.plain(first)}")
        self.rows += [f"{' ' * (self.margin + len(kind) + 4)}{self.style.plain(line)}" for line in more]


def _near(line: _Line) -> tuple[_Line, int]:
    """A line with its marks counted from near the first one, and how many characters are skipped before."""
    left_out = max(line.marks[0].start - NEAR, 0)
    marks = [_Mark(max(m.start - left_out, 0), max(m.end - left_out, 1), m.message, m.primary) for m in line.marks]
    return _Line(line.source, line.number, tuple(marks)), left_out


# -- cells -------------------------------------------------------------------------------------------------------------


def _cells(text: str, style: Style) -> list[str]:
    """The text shown for each character of a line."""
    cells, column = [], 0
    for character in text:
        if character == "\t":
            shown = " " * (TAB - column % TAB)
        elif unicodedata.category(character) == "Zs":
            shown = " " * _width(character, style)
        elif character.isprintable() or unicodedata.category(character) in ("Mn", "Me"):
            shown = character if style.unicode or character.isascii() else "?"
        else:
            shown = placeholder(character, style.unicode)
        column += _width(shown, style)
        cells.append(shown)
    return cells


def _width(cell: str, style: Style) -> int:
    """The number of terminal columns of a text."""
    if cell.isascii():
        return len(cell)
    width = 0
    for character in cell:
        if unicodedata.combining(character) or unicodedata.category(character) in ("Mn", "Me"):
            continue
        width += 2 if unicodedata.east_asian_width(character) in "WF" else 1
    return width


def _cell(starts: Sequence[int], index: int) -> int:
    """The column of a character; past the end of the line each position takes one cell."""
    return starts[index] if index < len(starts) else starts[-1] + index - len(starts) + 1


def _window(starts: Sequence[int], mark: _Mark, room: int) -> tuple[int, int]:
    """Start and end of the characters to show, around the mark, of a line that is too long to show in full."""
    count = len(starts) - 1
    if room <= 0 or starts[-1] <= room:
        return 0, count
    room = max(room - 6, 20)  # for the ellipses on both sides
    center = _cell(starts, min(mark.start, count))
    first = next((i for i in range(count) if starts[i] >= center - room // 3), count)
    if starts[-1] - starts[first] < room:
        first = next(i for i in range(count) if starts[i] >= starts[-1] - room)
    last = next((i for i in range(count, first, -1) if starts[i] - starts[first] <= room), count)
    return first, last
