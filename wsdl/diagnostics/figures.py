"""Numbers with their units, as messages and tables show them."""

from __future__ import annotations


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


def count(number: int, noun: str, plural: str = "") -> str:
    """`1 tensor`, `12 tensors`, `2,000 batches`."""
    return f"{number:,} {noun if number == 1 else plural or f'{noun}s'}"
