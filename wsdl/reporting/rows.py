"""Progress of rows that are run in parts: plain lines for pipes, and a live view on a terminal."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol, TextIO

from wsdl.diagnostics.figures import count
from wsdl.reporting.lines import FIRST, MOST, RARER
from wsdl.reporting.live import BAR, LiveView, bar
from wsdl.reporting.meter import duration

if TYPE_CHECKING:
    from rich.text import Text


class RowReporter(Protocol):
    """Receives the progress of a run, from `begin` to `end`."""

    def begin(self, rows: int, workers: int) -> None:
        """`rows` is their number in all; there are no `workers` where this process runs them."""

    def done(self, rows: int) -> None:
        """So many more rows are written."""

    def end(self) -> None:
        """All rows are written, or the run has stopped."""


class QuietRows:
    """Shows nothing."""

    def begin(self, rows: int, workers: int) -> None:
        pass

    def done(self, rows: int) -> None:
        pass

    def end(self) -> None:
        pass


class RowLines(QuietRows):
    """A line every few seconds, later every minute. `write` receives lines with their newline."""

    def __init__(self, write: Callable[[str], object], *, clock: Callable[[], float] = time.monotonic) -> None:
        self._write, self._clock = write, clock
        self._rows = self._done = 0
        self._began = self._next = 0.0
        self._first: tuple[float, int] | None = None  # when the first rows were written, and how many

    def begin(self, rows: int, workers: int) -> None:
        self._rows, self._done, self._first = rows, 0, None
        self._began = self._clock()
        self._next = self._began + FIRST
        self._write(count(rows, "row") + (f", {count(workers, 'worker')}" if workers else "") + "\n")

    def done(self, rows: int) -> None:
        self._done += rows
        now = self._clock()
        self._first = self._first or (now, self._done)
        if now >= self._next:
            self._write(f"{self._text()}\n")
            self._next = now + min(max(FIRST, RARER * (now - self._began)), MOST)

    def _text(self) -> str:
        """`412,000/1,000,000 rows  24,812 rows/s  0:24 left`; the speed is that after the first rows, without what
        starting takes."""
        words = [f"{self._done:,}/{self._rows:,} rows"]
        if self._first is not None and self._done > self._first[1]:
            speed = (self._done - self._first[1]) / max(self._clock() - self._first[0], 1e-9)
            words += [f"{speed:,.0f} rows/s", f"{duration((self._rows - self._done) / speed)} left"]
        return "  ".join(words)


class RowProgress(RowLines):
    """A bar with the same figures."""

    def __init__(
        self,
        write: Callable[[str], object],
        stream: TextIO,
        *,
        color: bool = True,
        width: int | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__(write, clock=clock)
        self._view = LiveView(self._drawn, stream, color=color, width=width, clock=clock)

    def begin(self, rows: int, workers: int) -> None:
        super().begin(rows, workers)
        self._view.start()
        self._view.draw()

    def done(self, rows: int) -> None:
        self._done += rows
        self._first = self._first or (self._clock(), self._done)
        self._view.draw_when_due()

    def end(self) -> None:
        self._view.stop()

    def _drawn(self, width: int) -> Text:
        from rich.text import Text

        words = self._text()
        room = max(min(BAR, width - 10 - len(words)), 0)
        view = Text.assemble(("rows ", "bold"), bar(self._done / max(self._rows, 1), room), f" {words}", no_wrap=True)
        view.truncate(width - 1)
        return view
