"""The most memory that something takes, beyond what the process had with its libraries loaded."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

STATUS = Path("/proc/self/status")


def growth(make: Callable[[], Callable[[Any], object]], batches: list[Any], rounds: int = 3) -> float:
    """In MB, from before `make` to the end of some rounds over the batches."""
    before = _of_status("VmRSS")
    Path("/proc/self/clear_refs").write_text("5")  # the peak counts from here on
    take = make()
    for _ in range(rounds):
        for batch in batches:
            take(batch)
    return (_of_status("VmHWM") - before) / 1000


def _of_status(name: str) -> int:
    """In kB."""
    line = next(line for line in STATUS.read_text().splitlines() if line.startswith(name))
    return int(line.split()[1])
