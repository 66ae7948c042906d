"""Numbers of bytes for people."""

from __future__ import annotations


def size(bytes: int) -> str:
    """`812 B`, `41.2 kB`, `4.1 MB`."""
    if bytes < 1000:
        return f"{bytes} B"
    value, units = float(bytes), iter(("kB", "MB", "GB", "TB"))
    unit = ""
    while value >= 999.95 or not unit:
        value, unit = value / 1000, next(units)
    return f"{value:.1f} {unit}"
