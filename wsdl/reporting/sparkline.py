"""Sparklines: small bars in a line of text."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from math import isfinite, log

from wsdl.reporting.numbers import LOG_FROM

BARS = "▁▂▃▄▅▆▇█"


def sparkline(values: Sequence[float], width: int) -> str:
    """At most `width` bars from the lowest to the highest value, each the mean of equally many neighbors; a space if
    none is finite. Values that span decades are shown by their logarithm, as in `curve.svg`."""
    if not values or width <= 0:
        return ""
    count = min(width, len(values))
    edges = [len(values) * k // count for k in range(count + 1)]
    means = [_mean(values[a:b]) for a, b in pairwise(edges)]
    finite = [mean for mean in means if mean is not None]
    if not finite:
        return " " * count
    if min(finite) > 0 and max(finite) / min(finite) > LOG_FROM:
        means = [None if mean is None else log(mean) for mean in means]
        finite = [log(mean) for mean in finite]
    low = min(finite)
    span = max(finite) - low or 1.0
    top = len(BARS) - 1
    return "".join(" " if mean is None else BARS[round(top * (mean - low) / span)] for mean in means)


def _mean(values: Sequence[float]) -> float | None:
    finite = [value for value in values if isfinite(value)]
    return sum(finite) / len(finite) if finite else None
