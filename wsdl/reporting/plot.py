"""The picture of a training, drawn by matplotlib (the extra `plot`): a large panel for the loss, a small one for each
metric and for the learning rate.

`figure` returns a `Figure` of matplotlib, `as_svg` the bytes of a file. Equal data gives equal bytes.
"""

from __future__ import annotations

import io
import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from math import inf, isfinite, nan
from typing import TYPE_CHECKING, Any

from wsdl.diagnostics.figures import count
from wsdl.reporting.numbers import LOG_FROM, digits, short
from wsdl.reporting.series import Point, Series

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

WIDTH = 7.6  # of the picture, as all of these in inches
LARGE, SMALL, BETWEEN = 2.9, 1.1, 0.3  # the heights of the panels, and the room above each for its title
TOP, BOTTOM, LEFT, RIGHT = 0.22, 0.45, 0.65, 0.1  # the margins: for the title, steps, values; no label is wider
MOST_DOTS = 60  # evaluations; up to this number each has a dot
BLUE, ORANGE, VIOLET, RED = "#2a6fb0", "#c8611b", "#6a4aa5", "#c62f3b"
STYLE: dict[Any, Any] = {
    "axes.edgecolor": "#a9afba",
    "axes.grid": True,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlelocation": "left",
    "axes.titlesize": 9,
    "axes.titley": 1.0,  # else it is found by measuring all labels
    "axes.titleweight": "bold",
    "font.family": "sans-serif",
    "font.size": 8,
    "grid.color": "#e7e9ed",
    "legend.fontsize": 8,
    "legend.frameon": False,
    "svg.fonttype": "none",  # text instead of paths
    "svg.hashsalt": "wsdl",  # deterministic ids
    "xtick.color": "#5c6370",
    "ytick.color": "#5c6370",
}


@dataclass(frozen=True)
class Curves:
    """The data to draw: series over the training steps. `losses` has that of each training, `"loss"` if there is one,
    `results` are those of evaluations, `lowest` is the step and the value of the lowest evaluation loss."""

    title: str
    about: str
    losses: dict[str, Series]
    rate: Series
    results: dict[str, Series]
    lowest: Point | None = None


def is_installed() -> bool:
    """Whether matplotlib is installed."""
    return find_spec("matplotlib") is not None


def figure(curves: Curves) -> Figure:
    """The picture as matplotlib's figure. Needs matplotlib."""
    logging.getLogger("matplotlib").setLevel(logging.ERROR)  # it logs messages about its font cache
    import matplotlib
    from matplotlib.figure import Figure
    from matplotlib.ticker import FuncFormatter, MaxNLocator

    losses = list(curves.losses) or ["loss"]
    metrics = [name for name in curves.results if name not in losses]
    has_rate = len({bucket.mean for bucket in curves.rate.finite()}) > 1
    count = len(losses) - 1 + len(metrics) + has_rate
    with matplotlib.rc_context(STYLE):
        height = TOP + BETWEEN + LARGE + count * (BETWEEN + SMALL) + BOTTOM
        result = Figure(figsize=(WIDTH, height))
        title = f"{curves.title}  {curves.about}"
        result.suptitle(title, x=0.01, y=1 - 0.08 / height, ha="left", fontsize=9, parse_math=False)
        large, *small = _panels(result, [LARGE, *[SMALL] * count])
        for name, panel in zip(losses, [large, *small], strict=False):
            _loss(panel, name, curves)
        for name, panel in zip(metrics, small[len(losses) - 1 :], strict=False):
            series = curves.results[name]
            _evaluated(panel, series)
            _finish(panel, f"{name} {digits(series.last[1])}", value_range(_finite(series.means())))
        if has_rate:
            rate = curves.rate.means()
            small[-1].plot(*_columns(rate), color=VIOLET, linewidth=1.4)
            _finish(small[-1], f"learning rate {short(curves.rate.last[1])}", value_range([0.0, *_finite(rate)]))
        lowest_panel = [large, *small][-1]
        lowest_panel.set_xlim(left=0)
        lowest_panel.xaxis.set_major_locator(MaxNLocator(6, integer=True))
        lowest_panel.xaxis.set_major_formatter(FuncFormatter(lambda step, _: f"{step:,.0f}"))
        lowest_panel.set_xlabel("step")
    return result


def as_svg(figure: Figure) -> bytes:
    """The bytes of an SVG file; deterministic. They are those of `Figure.savefig`, which draws everything twice."""
    import matplotlib
    from matplotlib.backends.backend_svg import FigureCanvasSVG

    buffer = io.BytesIO()
    canvas = FigureCanvasSVG(figure)
    with matplotlib.rc_context(STYLE):
        canvas.print_svg(buffer, metadata={"Date": None})  # type: ignore[no-untyped-call] # matplotlib gives it no types
    return buffer.getvalue()


# -- panels ------------------------------------------------------------------------------------------------------------


def _panels(figure: Figure, heights: Sequence[float]) -> list[Axes]:
    """Panels below one another, which share their axis of steps; heights in inches. Their places don't depend on what
    is in them: a layout that measures labels takes half of the time of a picture."""
    width, height = figure.get_size_inches()
    panels: list[Axes] = []
    bottom = height - TOP
    for own in heights:
        bottom -= BETWEEN + own
        place = (LEFT / width, bottom / height, (width - LEFT - RIGHT) / width, own / height)
        panels.append(figure.add_axes(place, sharex=panels[0] if panels else None))
    for panel in panels[:-1]:
        panel.tick_params(labelbottom=False)
    return panels


def _loss(axes: Axes, name: str, curves: Curves) -> None:
    series, evaluated = curves.losses.get(name, Series()), curves.results.get(name)
    means = _finite(evaluated.means()) if evaluated else []
    raw, smooth = series.raw(), series.smooth()
    title = [name]
    if series:
        label = f"training {digits(smooth[-1][1]) if smooth else 'nan'}"
        axes.plot(*_columns(raw), color=BLUE, linewidth=0.8, alpha=0.35)
        axes.plot(*_columns(_broken(smooth, series)), color=BLUE, linewidth=1.6, label=label)
    if evaluated:
        _evaluated(axes, evaluated, f"evaluation {digits(evaluated.last[1])}")
    if curves.lowest:
        step, value = curves.lowest
        label = f"lowest {digits(value)} at step {int(step):,}"
        axes.plot(step, value, "o", color="white", markeredgecolor=ORANGE, zorder=3, label=label)
    if series.not_finite:
        title.append(f"{count(series.not_finite, 'step')} not finite")
        steps = [bucket.middle for bucket in series.buckets if bucket.not_finite]
        axes.plot(steps, [0.02] * len(steps), "|", color=RED, transform=axes.get_xaxis_transform())
    low, high = value_range(means, outliers=_finite(raw))
    if is_wide(low, high, [*means, *_finite(raw)]):
        title.append("log scale")
        axes.set_yscale("log")
    _finish(axes, ", ".join(title), (low, high))
    if axes.get_legend_handles_labels()[0]:
        axes.legend(loc="upper right")


def _evaluated(axes: Axes, series: Series, label: str | None = None) -> None:
    points = series.means()
    marker = "." if len(points) <= MOST_DOTS else ""
    axes.plot(*_columns(points), color=ORANGE, linewidth=1.4, marker=marker, label=label)


def _finish(axes: Axes, title: str, limits: tuple[float, float]) -> None:
    axes.set_title(title)
    if axes.get_yscale() == "log":
        room = (limits[1] / limits[0]) ** 0.04
        axes.set_ylim(limits[0] / room, limits[1] * room)
    else:
        axes.set_ylim(*with_room(*limits))


# -- ranges ------------------------------------------------------------------------------------------------------------


def value_range(values: Sequence[float], *, outliers: Sequence[float] = ()) -> tuple[float, float]:
    """The lowest and the highest of `values` and of the middle 98 % of `outliers`."""
    ordered = sorted(outliers)
    cut = len(ordered) // 100
    shown = [*values, *ordered[cut : len(ordered) - cut]]
    return (min(shown), max(shown)) if shown else (0.0, 1.0)


def is_wide(low: float, high: float, values: Iterable[float]) -> bool:
    """Whether values are positive and span so much that a logarithmic axis shows them better."""
    return min(values, default=0.0) > 0 and high / low > LOG_FROM


def with_room(low: float, high: float) -> tuple[float, float]:
    """The limits of a linear axis for a range: with zero if that is near, and without magnifying tiny differences."""
    span = max(high - low, 0.02 * abs(high)) or 1.0
    room = 0.55 * span - (high - low) / 2
    is_near_zero = 0 <= low < 0.35 * span  # so near that a reader expects it
    return 0.0 if is_near_zero else low - room, high + room


def _finite(points: Sequence[Point]) -> list[float]:
    return [value for _, value in points if isfinite(value)]


def _columns(points: Sequence[Point]) -> tuple[list[float], list[float]]:
    """Steps and values; infinities become gaps."""
    return [step for step, _ in points], [value if abs(value) < inf else nan for _, value in points]


def _broken(smooth: list[Point], series: Series) -> list[Point]:
    """The smoothed line, with gaps where the series has no finite values."""
    gaps = [(bucket.middle, nan) for bucket in series.buckets if not bucket.count]
    return sorted([*smooth, *gaps], key=lambda point: point[0])
