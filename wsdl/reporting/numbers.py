"""Formats of numbers, and the choice of a logarithmic scale, for progress and pictures."""

from __future__ import annotations

from math import isfinite

LOG_FROM = 30  # the ratio of the highest to the lowest of positive values above which an axis is logarithmic


def short(value: float) -> str:
    """A short form of a number: `0.0312`, `12,500`, `1.2M`, `3e-4`."""
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
    """A number with four significant digits, trailing zeros included, for columns: `0.4100`, `12.50`."""
    return f"{value:#.4g}" if 1e-3 <= abs(value) < 1000 else short(value)


def _scientific(value: float) -> str:
    mantissa, exponent = f"{value:.3g}".split("e") if "e" in f"{value:.3g}" else f"{value:.2e}".split("e")
    if "." in mantissa:
        mantissa = mantissa.rstrip("0").rstrip(".")
    return f"{mantissa}e{int(exponent)}"
