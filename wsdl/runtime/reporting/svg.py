"""The picture of a training as SVG text: a large panel for the loss, small ones below it for what else there is.

Plain shapes and one style sheet that knows light and dark; the same numbers give the same text.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from html import escape
from math import isfinite

from wsdl.runtime.reporting.axes import Axis, short
from wsdl.runtime.reporting.series import Point

WIDTH, EDGE = 760, 24
LEFT, GAP = 46, 26  # room for the labels of a value axis, and between panels
HEAD, LARGE, SMALL = 98, 270, 110  # heights: the title, the drawing areas
HEADING, FOOT = 24, 22  # above and below a drawing area
MOST_DOTS = 60
STYLE = """\
text { font: 11px system-ui, "Segoe UI", Helvetica, Arial, sans-serif; fill: #5c6370 }
.paper { fill: #ffffff } .line { fill: none; stroke-linejoin: round; stroke-linecap: round }
.title { font-size: 18px; font-weight: 600; fill: #1d2129 } .about { font-size: 12px }
tspan.heading { font-size: 13px; font-weight: 600; fill: #1d2129 } tspan { font-size: 12px }
.grid { stroke: #e7e9ed } .axis { stroke: #a9afba } .right { text-anchor: end } .middle { text-anchor: middle }
.raw { stroke: #2a6fb0; stroke-width: 0.8; stroke-opacity: 0.35 } .rate { stroke: #6a4aa5; stroke-width: 1.6 }
.training { stroke: #2a6fb0; stroke-width: 2 } .evaluation { stroke: #c8611b; stroke-width: 2 }
.lowest { fill: #ffffff; stroke: #c8611b; stroke-width: 2 } .bad { stroke: #c62f3b; stroke-width: 1.6 }
circle.training, .training-word { fill: #2a6fb0; stroke: none } circle.rate, .rate-word { fill: #6a4aa5; stroke: none }
circle.evaluation, .evaluation-word { fill: #c8611b; stroke: none } .bad-word { fill: #c62f3b }
@media (prefers-color-scheme: dark) {
  text { fill: #9aa3b2 } .title, tspan.heading { fill: #eceff4 } .paper { fill: #14171c }
  .grid { stroke: #262b33 } .axis { stroke: #5a6270 }
  .raw, .training { stroke: #6cb0ee } .evaluation { stroke: #f29a5c } .rate { stroke: #b39ae8 }
  .lowest { fill: #14171c; stroke: #f29a5c } .bad { stroke: #ff7b85 } .bad-word { fill: #ff7b85 }
  circle.training, .training-word { fill: #6cb0ee } circle.rate, .rate-word { fill: #b39ae8 }
  circle.evaluation, .evaluation-word { fill: #f29a5c }
}
"""


@dataclass(frozen=True)
class Line:
    """A line through points, broken where a value is NaN; `kind` is its class in the style sheet."""

    kind: str
    points: Sequence[Point]
    dots: bool = False  # a dot at each point, if there are few


@dataclass(frozen=True)
class Panel:
    """One drawing over the steps, with a heading: its title and some words, each with a class."""

    title: str
    axis: Axis
    lines: Sequence[Line]
    words: Sequence[tuple[str, str]] = ()  # class or none, text
    lowest: Point | None = None  # is marked
    not_finite: Sequence[float] = field(default=())  # steps that are marked


def picture(title: str, about: str, steps: Axis, panels: Sequence[Panel]) -> str:
    """The first panel is large."""
    columns = 1 if len(panels) <= 2 else 2 if len(panels) in (3, 5) else 3
    rows = -(-(len(panels) - 1) // columns)
    large, small = (HEADING + height + FOOT + 14 for height in (LARGE, SMALL))
    height = HEAD - HEADING + large + rows * small
    whole = WIDTH - 2 * EDGE
    width = (whole - (columns - 1) * GAP) / columns
    drawn = [*_panel(panels[0], 0, steps, EDGE + LEFT, HEAD, whole - LEFT, LARGE)]
    for number, panel in enumerate(panels[1:]):
        row, column = divmod(number, columns)
        left, top = EDGE + column * (width + GAP) + LEFT, HEAD + large + row * small
        drawn += _panel(panel, number + 1, steps, left, top, width - LEFT, SMALL)
    name = escape(title)
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{height}" viewBox="0 0 {WIDTH} {height}"'
        ' role="img">',
        f"<title>{name}: {escape(about)}</title>",
        f"<style>\n{STYLE}</style>",
        f'<rect class="paper" width="{WIDTH}" height="{height}" rx="8"/>',
        f'<text class="title" x="{EDGE}" y="34">{name}</text>',
        f'<text class="about" x="{EDGE}" y="54">{escape(about)}</text>',
        *drawn,
        "</svg>",
    ]
    return "".join(f"{line}\n" for line in lines)


def _panel(
    panel: Panel, number: int, steps: Axis, left: float, top: float, width: float, height: float
) -> Iterator[str]:
    """The panel whose drawing area begins at `left`, `top`."""

    def x(step: float) -> float:
        return left + width * steps.place(step)

    def y(value: float) -> float:
        return top + height * (1 - min(max(panel.axis.place(value), -1.0), 2.0))

    right, bottom = left + width, top + height
    is_large = height > SMALL
    area = f'x="{_n(left)}" y="{_n(top - 3)}" width="{_n(width + 5)}" height="{_n(height + 6)}"'
    yield f'<clipPath id="area{number}"><rect {area}/></clipPath>'
    yield _heading(panel, left - LEFT, top - 12, width + LEFT)
    ticks = panel.axis.ticks(6 if is_large else 3)
    for tick, label in zip(ticks, panel.axis.labels(ticks), strict=True):
        yield f'<path class="grid" d="M{_n(left)} {_n(y(tick))}H{_n(right)}"/>'
        yield f'<text class="right" x="{_n(left - 7)}" y="{_n(y(tick) + 4)}">{label}</text>'
    yield f'<path class="axis" d="M{_n(left)} {_n(bottom)}H{_n(right)}"/>'
    ticks = [t for t in steps.ticks(max(2, int(width / 90))) if t.is_integer()]
    for tick, label in zip(ticks, steps.labels(ticks), strict=True):
        yield f'<path class="axis" d="M{_n(x(tick))} {_n(bottom)}v4"/>'
        at_end = x(tick) > right - 10
        anchor = "right" if at_end else "middle"
        yield f'<text class="{anchor}" x="{_n(right if at_end else x(tick))}" y="{_n(bottom + 17)}">{label}</text>'
    yield f'<g clip-path="url(#area{number})">'
    for line in panel.lines:
        points = [(x(step), y(value) if isfinite(value) else value) for step, value in line.points]
        yield from _line(line, points)
    for step in panel.not_finite:
        yield f'<path class="bad" d="M{_n(x(step) - 3)} {_n(top + 1)}l6 6m0 -6l-6 6"/>'
    if panel.lowest:
        step, value = panel.lowest
        yield f'<circle class="lowest" cx="{_n(x(step))}" cy="{_n(y(value))}" r="4"/>'
    yield "</g>"


def _heading(panel: Panel, left: float, base: float, width: float) -> str:
    """The title, cut where it would run into the next panel, and the words."""
    most = int((width - sum(14 + 6.5 * len(text) for _, text in panel.words)) / 8)
    title = panel.title if len(panel.title) <= most else panel.title[: max(most - 1, 1)] + "…"
    words = "".join(f'<tspan class="{kind}" dx="14">{escape(text)}</tspan>' for kind, text in panel.words)
    return f'<text x="{_n(left)}" y="{_n(base)}"><tspan class="heading">{escape(title)}</tspan>{words}</text>'


def _line(line: Line, points: Sequence[Point]) -> Iterator[str]:
    pieces = list(_pieces(points))
    path = "".join("M" + "L".join(f"{_n(px)} {_n(py)}" for px, py in piece) for piece in pieces if len(piece) > 1)
    if path:
        yield f'<path class="line {line.kind}" d="{path}"/>'
    few = line.dots and len(points) <= MOST_DOTS
    for piece in pieces:
        if few or len(piece) == 1:
            for px, py in piece:
                yield f'<circle class="{line.kind}" cx="{_n(px)}" cy="{_n(py)}" r="2.5"/>'


def _pieces(points: Iterable[Point]) -> Iterator[list[Point]]:
    """The stretches between what is not finite."""
    piece: list[Point] = []
    for px, py in points:
        if isfinite(py):
            piece.append((px, py))
        elif piece:
            yield piece
            piece = []
    if piece:
        yield piece


def _n(value: float) -> str:
    """A coordinate: one digit behind the point is enough."""
    return f"{value:.1f}".removesuffix(".0")


def counted(count: int, noun: str) -> str:
    """`1 step`, `12,000 steps`, `1.2M parameters`."""
    return f"{f'{count:,}' if count < 1e6 else short(count)} {noun}{'' if count == 1 else 's'}"
