"""The picture of a study: a result against stored bytes, by matplotlib (the extra `plot`)."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from math import hypot
from typing import TYPE_CHECKING, Any

from wsdl.diagnostics.figures import size
from wsdl.reporting.numbers import digits
from wsdl.reporting.plot import BLUE, ORANGE, STYLE, WIDTH

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

HEIGHT = 4.4  # inches
GREY = "#8a909c"
FAR = 16  # pixels from a point to its name above which a line joins them
LOW = 3  # the ratio of the height of all points to that of the others above which the worst are drawn at the edge
WIDE = 20  # the ratio of the largest to the smallest size above which the axis is logarithmic


@dataclass(frozen=True)
class Point:
    """A variant: the bytes that it stores, its result and the standard deviation of that, if it is known."""

    name: str
    bytes: int
    mean: float
    std: float | None
    is_base: bool = False


def front(points: Sequence[Point], *, highest: bool) -> list[Point]:
    """The Pareto front, from small to large: the points of which none is better with at most the same bytes, or as good
    with fewer."""
    best: list[Point] = []
    for point in sorted(points, key=lambda p: (p.bytes, -p.mean if highest else p.mean)):
        if not best or (point.mean > best[-1].mean if highest else point.mean < best[-1].mean):
            best.append(point)
    return best


def outliers(points: Sequence[Point], *, highest: bool) -> list[Point]:
    """The worst points, fewer than half of all, if beside them the others would fill a third of the height or less."""
    ordered = sorted((point.mean for point in points), reverse=highest)
    heights = [abs(mean - ordered[0]) for mean in ordered]
    for count in range(len(points) - 1, len(points) // 2, -1):
        if 0 < heights[count - 1] <= heights[-1] / LOW:
            return [point for point in points if point.mean in ordered[count:]]
    return []


def figure(points: Sequence[Point], metric: str, *, highest: bool, about: str) -> Figure:
    """The picture, with the names beside the points and a line through the front. Outliers are drawn at the edge, with
    their results beside their names. Needs matplotlib."""
    logging.getLogger("matplotlib").setLevel(logging.ERROR)  # it logs messages about its font cache
    import matplotlib
    from matplotlib.figure import Figure
    from matplotlib.ticker import FuncFormatter, NullFormatter

    with matplotlib.rc_context(STYLE):
        result = Figure(figsize=(WIDTH, HEIGHT), layout="constrained")
        result.suptitle(about, x=0.01, ha="left", fontsize=9, parse_math=False)
        axes = result.subplots()
        points, far = _at_the_edge(points, highest=highest)
        sizes = [point.bytes for point in points]
        if max(sizes) > WIDE * min(sizes) > 0:
            axes.set_xscale("log")
            axes.xaxis.set_minor_formatter(NullFormatter())
        best = front(points, highest=highest)
        axes.plot([p.bytes for p in best], [p.mean for p in best], color=BLUE, linewidth=1.0, alpha=0.5, zorder=1)
        for point in points:
            color = BLUE if point in best else GREY
            if point.std:
                axes.errorbar(point.bytes, point.mean, point.std, color=color, linewidth=0.9, capsize=2.5, zorder=2)
            edge = ORANGE if point.is_base else color
            face = "white" if point.is_base else color
            marker = "o" if point not in far else "v" if highest else "^"
            axes.plot(point.bytes, point.mean, marker, markersize=5, color=face, markeredgecolor=edge, zorder=3)
        axes.margins(x=0.12, y=0.12)
        axes.set_title(f"{metric}, {'higher' if highest else 'lower'} is better")
        axes.set_xlabel("stored")
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: size(round(value)) if value >= 0 else ""))
        _label(result, axes, points, best)
    return result


def _at_the_edge(points: Sequence[Point], *, highest: bool) -> tuple[list[Point], list[Point]]:
    """All points, with the outliers moved to the edge; and these alone."""
    away = outliers(points, highest=highest)
    near = [point for point in points if point not in away]
    if not away:
        return near, []
    low, high = min(p.mean - (p.std or 0) for p in near), max(p.mean + (p.std or 0) for p in near)
    edge = low - (high - low) / 10 if highest else high + (high - low) / 10
    far = [replace(p, name=f"{p.name} {digits(p.mean)}", mean=edge, std=None) for p in away]
    return [*near, *far], far


# -- names beside the points -------------------------------------------------------------------------------------------

Box = tuple[float, float, float, float]  # left, bottom, right, top, in pixels


def _label(figure: Figure, axes: Axes, points: Sequence[Point], best: Sequence[Point]) -> None:
    """A name beside each point, those of the front first: at the first place around it where it covers no point, bar,
    line or other name, and is nearer to its point than to any other. If there is none, at the nearest free place, with
    a line to the point if it is far away."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    renderer = FigureCanvasAgg(figure).get_renderer()  # type: ignore[no-untyped-call] # matplotlib gives it no types
    figure.draw_without_rendering()
    places = {point.name: tuple(axes.transData.transform((point.bytes, point.mean))) for point in points}
    taken = list(_drawn(axes, points, best, places))
    inside = axes.get_window_extent()
    frame = (inside.x0, inside.y0, inside.x1, inside.y1)
    for point in sorted(points, key=lambda p: p not in best):
        style: Any = {"fontsize": 8, "parse_math": False, "weight": "bold" if point in best else "normal"}
        text = axes.annotate(point.name, (point.bytes, point.mean), xytext=(0, 0), textcoords="offset points", **style)
        text.set_in_layout(False)
        extent = text.get_window_extent(renderer)
        x, y = places[point.name]
        boxes = [
            (x + dx, y + dy, x + dx + extent.width, y + dy + extent.height)
            for dx, dy in _offsets(extent.width, extent.height)
        ]
        free = [box for box in boxes if _is_within(box, frame) and not any(_overlap(box, other) for other in taken)]
        others = [place for name, place in places.items() if name != point.name]
        own = (b for b in free if all(_distance(b, (x, y)) < _distance(b, other) for other in others))
        box = next(own, free[0] if free else boxes[0])
        taken.append(box)
        text.set_position(((box[0] - x) * 72 / figure.dpi, (box[1] - y) * 72 / figure.dpi))
        if _distance(box, (x, y)) > FAR:
            middle = ((box[0] + box[2]) / 2, (box[1] + box[3]) / 2)
            ends = axes.transData.inverted().transform([(x, y), middle])
            axes.plot(ends[:, 0], ends[:, 1], color=GREY, linewidth=0.5, zorder=0, scalex=False, scaley=False)


def _drawn(axes: Axes, points: Sequence[Point], best: Sequence[Point], places: Mapping[str, Any]) -> Iterator[Box]:
    """The boxes that a name may not cover: points, their error bars, the line through the front in short pieces."""
    for point in points:
        x, y = places[point.name]
        low, high = (axes.transData.transform((point.bytes, point.mean + s * (point.std or 0)))[1] for s in (-1, 1))
        yield x - 5, y - 5, x + 5, y + 5
        yield x - 3, low - 1, x + 3, high + 1
    for one, other in pairwise(best):
        (x0, y0), (x1, y1) = places[one.name], places[other.name]
        pieces = 1 + int(max(abs(x1 - x0), abs(y1 - y0)) / 4)
        for x, y in ((x0 + (x1 - x0) * k / pieces, y0 + (y1 - y0) * k / pieces) for k in range(pieces + 1)):
            yield x - 2, y - 2, x + 2, y + 2


def _offsets(width: float, height: float) -> Iterator[tuple[float, float]]:
    """Candidate offsets in pixels from a point to the lower left corner of its name: beside, above and below it, then
    farther and farther away."""
    for gap in range(8, 150, 6):
        for dx, dy in ((gap, -height / 2), (-gap - width, -height / 2), (-width / 2, gap), (-width / 2, -gap - height)):
            yield dx, dy
        for dy in (gap, -gap - height):
            yield gap, dy
            yield -gap - width, dy


def _is_within(box: Box, frame: Box) -> bool:
    return frame[0] <= box[0] and frame[1] <= box[1] and box[2] <= frame[2] and box[3] <= frame[3]


def _overlap(one: Box, other: Box) -> bool:
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]


def _distance(box: Box, point: tuple[float, float]) -> float:
    """The distance from a box to a point, 0 inside."""
    x, y = (max(low - at, at - high, 0.0) for low, high, at in zip(box[:2], box[2:], point, strict=True))
    return hypot(x, y)
