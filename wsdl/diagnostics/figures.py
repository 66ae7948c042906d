"""Numbers with their units, and lists that may be long, as messages and tables show them."""

from __future__ import annotations

from collections.abc import Sequence

MOST_LISTED = 20


def size(bytes: int) -> str:
    """`812 B`, `41.2 kB`, `4.1 MB`, `-41.2 kB`."""
    if bytes < 0:
        return f"-{size(-bytes)}"
    if bytes < 1000:
        return f"{bytes} B"
    for power, unit in enumerate(("kB", "MB", "GB", "TB", "PB"), 1):
        value = bytes / 1000**power
        if value < 999.95:
            return f"{value:.1f} {unit}"
    return f"{bytes // 1000**6:,} EB"


def rounded(number: int) -> str:
    """`812`, `41.2 k`, `5.9 M`: an amount where there is no room for all digits."""
    return str(number) if number < 1000 else size(number).removesuffix("B")


def count(number: int, noun: str, plural: str = "") -> str:
    """`1 tensor`, `12 tensors`, `2,000 batches`."""
    return f"{number:,} {noun if number == 1 else plural or f'{noun}s'}"


def listed(lines: Sequence[str]) -> list[str]:
    """At most `MOST_LISTED` lines, then the number of the others."""
    more = len(lines) - MOST_LISTED
    return [*lines[:MOST_LISTED], *([f"and {more} more"] if more > 0 else [])]
