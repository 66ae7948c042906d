"""Axes: what range a drawing shows, where its ticks are and what stands at them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import ceil, floor, isfinite, log10

LOG_FROM = 30  # the highest of some positive numbers divided by the lowest, above which an axis is logarithmic


@dataclass(frozen=True)
class Axis:
    """From numbers to 0…1, linear or logarithmic."""

    low: float
    high: float
    log: bool = False

    def place(self, value: float) -> float:
        if self.log:
            value = max(value, self.low / 1e3)  # zero and below: far under the edge
            return log10(value / self.low) / log10(self.high / self.low)
        return (value - self.low) / (self.high - self.low)

    def ticks(self, most: int = 5) -> list[float]:
        """Round numbers within the range, at most so many (a few more on a logarithmic axis)."""
        if self.log:
            return _log_ticks(self.low, self.high, most)
        return _linear_ticks(self.low, self.high, most)

    def labels(self, ticks: Sequence[float]) -> list[str]:
        """The ticks as text, with as many digits as tell them apart."""
        if self.log:
            return [short(tick) for tick in ticks]
        step = min((b - a for a, b in pairwise(ticks)), default=self.high - self.low)
        largest = max(map(abs, ticks), default=0.0)
        if largest >= 1e5 or step < 1e-5:
            return [short(tick) for tick in ticks]
        places = next(d for d in range(8) if abs(round(step, d) - step) < 1e-3 * step)
        return [f"{tick + 0.0:,.{places}f}" for tick in ticks]


def value_axis(values: Sequence[float], *, outliers: Sequence[float] = (), may_be_log: bool = False) -> Axis:
    """An axis that shows all values, and of those that may lie outside the middle 98 %.

    Logarithmic, if allowed, where the values are positive and span a wide range.
    """
    ordered = sorted(outliers)
    cut = len(ordered) // 100
    shown = [*values, *ordered[cut : len(ordered) - cut]]
    if not shown:
        return Axis(0.0, 1.0)
    low, high = min(shown), max(shown)
    if may_be_log and low > 0 and high / low > LOG_FROM:
        room = (high / low) ** 0.04
        return Axis(low / room, high * room, log=True)
    span = max(high - low, 0.02 * abs(high)) or 1.0
    room = 0.55 * span - (high - low) / 2
    is_near_zero = 0 <= low < 0.35 * span  # so near that the eye expects it
    return Axis(0.0 if is_near_zero else low - room, high + room)


def _linear_ticks(low: float, high: float, most: int) -> list[float]:
    rough = (high - low) / most
    unit = 10.0 ** floor(log10(rough))
    step = next(unit * m for m in (1, 2, 2.5, 5, 10) if unit * m >= rough * (1 - 1e-9))
    first, last = ceil(low / step - 1e-9), floor(high / step + 1e-9)
    return [round(k * step, 12 - floor(log10(step))) for k in range(first, last + 1)]


def _log_ticks(low: float, high: float, most: int) -> list[float]:
    decades = range(floor(log10(low)), ceil(log10(high)) + 1)
    ticks: list[float] = []
    for multiples in ((1, 2, 5), (1, 3), (1,)):
        ticks = [m * 10.0**d for d in decades for m in multiples if low <= m * 10.0**d <= high]
        if len(ticks) <= most + 1:
            return ticks
    every = ceil(len(ticks) / most)
    return ticks[::every]


def short(value: float) -> str:
    """A number in few characters: `0.0312`, `12,500`, `1.2M`, `3e-4`."""
    size = abs(value)
    if not isfinite(size):
        return str(value)
    for unit, sign in ((1e9, "G"), (1e6, "M"), (1e5, "k")):
        if size >= unit and size < 1e12:
            return f"{value / (1e3 if sign == 'k' else unit):.4g}{sign}"
    if size >= 1000:
        return f"{value:,.0f}" if size < 1e5 else _scientific(value)
    if size and size < 1e-3:
        return _scientific(value)
    return f"{value:.4g}"


def digits(value: float) -> str:
    """A number with four digits, so that those below each other can be compared: `0.4100`, `12.50`."""
    return f"{value:#.4g}" if 1e-3 <= abs(value) < 1000 else short(value)


def _scientific(value: float) -> str:
    mantissa, exponent = f"{value:.3g}".split("e") if "e" in f"{value:.3g}" else f"{value:.2e}".split("e")
    if "." in mantissa:
        mantissa = mantissa.rstrip("0").rstrip(".")
    return f"{mantissa}e{int(exponent)}"
