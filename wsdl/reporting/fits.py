"""Progress of the fit of stored tensors to weights, which takes minutes for large ones."""

from __future__ import annotations

import time
from collections.abc import Callable

SECONDS = 2.0  # until the first line, and between two


class FitLines:
    """A line from time to time, for a terminal and for a pipe. `write` receives lines without their newline."""

    def __init__(self, write: Callable[[str], object], *, clock: Callable[[], float] = time.monotonic) -> None:
        self._write, self._clock = write, clock
        self._next: float | None = None

    def __call__(self, group: int, groups: int, error: float) -> None:
        """A round has ended for one of several groups of tensors; `error` is the share of the norm that is lost."""
        now = self._clock()
        if self._next is None:
            self._next = now + SECONDS
        if now >= self._next:
            self._next = now + SECONDS
            self._write(f"fitting weights: group {group} of {groups}, {100 * error:.3g} % lost so far")
