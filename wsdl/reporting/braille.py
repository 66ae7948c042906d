"""Lines and points drawn with braille characters, each of which has two by four dots."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise
from math import isfinite, log10
from typing import TYPE_CHECKING

from wsdl.reporting.numbers import LOG_FROM, short
from wsdl.reporting.series import Point

if TYPE_CHECKING:
    from rich.text import Text

EMPTY = 0x2800
DOTS = ((0x01, 0x02, 0x04, 0x40), (0x08, 0x10, 0x20, 0x80))  # by column and row within a character
LABEL = 7  # columns of the values at the left
SIDES = LABEL + 1 + 8  # columns of these, and of a legend at the right


class Curves:
    """A plot of `columns` by `rows` characters. `lines` and `points` have their style, and pairs of a step and a value;
    those that span decades are shown by their logarithm, as in `curve.svg`."""

    def __init__(self, columns: int, rows: int) -> None:
        self._columns, self._rows = columns, rows
        self._dots = [[EMPTY] * columns for _ in range(rows)]
        self._styles = [[""] * columns for _ in range(rows)]

    def draw(self, lines: Sequence[tuple[str, Sequence[Point]]], points: Sequence[tuple[str, Sequence[Point]]]) -> Text:
        """The plot, with its highest and lowest value at the left; empty where no value is finite."""
        from rich.text import Text

        found = [p for _, values in [*lines, *points] for p in values if isfinite(p[1])]
        if not found:
            return Text()
        steps, values = [p[0] for p in found], [p[1] for p in found]
        is_log = min(values) > 0 and max(values) / min(values) > LOG_FROM
        scaled: Callable[[float], float] = log10 if is_log else float
        low, high = scaled(min(values)), scaled(max(values))
        width, height = 2 * self._columns - 1, 4 * self._rows - 1

        def place(point: Point) -> tuple[int, int]:
            across = (point[0] - min(steps)) / (max(steps) - min(steps) or 1)
            up = (scaled(point[1]) - low) / (high - low) if high > low else 0.5
            return round(across * width), round((1 - up) * height)

        for style, line in lines:
            self._line(style, [place(p) if isfinite(p[1]) else None for p in line])
        for style, marks in points:
            for x, y in (place(p) for p in marks if isfinite(p[1])):
                for dx, dy in ((0, 0), (1, 0), (0, 1), (1, 1)):
                    self._dot(min(x + dx, width), min(y + dy, height), style)
        text = Text(no_wrap=True)
        labels = {0: max(values), self._rows - 1: min(values)} if high > low else {self._rows // 2: values[0]}
        for row, (dots, styles) in enumerate(zip(self._dots, self._styles, strict=True)):
            label = short(labels[row]) if row in labels else ""
            text.append(f"{label:>{LABEL}} ", "dim")
            for dot, style in zip(dots, styles, strict=True):
                text.append(chr(dot) if dot != EMPTY else " ", style)
            text.append("\n")
        text.right_crop(1)
        return text

    def _line(self, style: str, places: Sequence[tuple[int, int] | None]) -> None:
        """A line through places; `None` is a gap."""
        for place in places:
            if place is not None:
                self._dot(*place, style)
        for before, after in pairwise(places):
            if before is not None and after is not None:
                (x, y), (to_x, to_y) = before, after
                parts = max(abs(to_x - x), abs(to_y - y))
                for part in range(1, parts):
                    self._dot(x + round((to_x - x) * part / parts), y + round((to_y - y) * part / parts), style)

    def _dot(self, x: int, y: int, style: str) -> None:
        row, column = y // 4, x // 2
        self._dots[row][column] |= DOTS[x % 2][y % 4]
        self._styles[row][column] = style
