"""Progress of the trials of a study: plain lines for pipes, and a live view on a terminal."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Protocol, TextIO

from wsdl.diagnostics.figures import count
from wsdl.reporting.live import BAR, LiveView, bar
from wsdl.reporting.meter import duration
from wsdl.reporting.numbers import digits

if TYPE_CHECKING:
    from rich.text import Text


class TrialReporter(Protocol):
    """Receives the progress of the trials of a study, by their labels, from `begin` to `end`."""

    def begin(self, trials: int, done: int, jobs: int) -> None:
        """`trials` is the number of trials of the study, of which `done` were finished by earlier runs."""

    def step(self, label: str, step: int, steps: int | None, loss: float | None) -> None:
        """The progress of a trial; no loss before its first step."""

    def finished(self, label: str, results: Mapping[str, float], failure: str | None) -> None:
        """A trial has ended, with results or with the reason for its failure."""

    def end(self) -> None:
        """No more trials run: all are finished, or the study was interrupted."""


class QuietTrials:
    """Shows nothing."""

    def begin(self, trials: int, done: int, jobs: int) -> None:
        pass

    def step(self, label: str, step: int, steps: int | None, loss: float | None) -> None:
        pass

    def finished(self, label: str, results: Mapping[str, float], failure: str | None) -> None:
        pass

    def end(self) -> None:
        pass


class TrialLines(QuietTrials):
    """A line for each trial that ends. `write` receives lines with their newline."""

    def __init__(self, write: Callable[[str], object], *, clock: Callable[[], float] = time.monotonic) -> None:
        self._write, self._clock = write, clock
        self.trials = self.done = 0  # total, and ended
        self._first = 0  # ended in earlier runs
        self._began = 0.0

    def begin(self, trials: int, done: int, jobs: int) -> None:
        self.trials, self.done, self._first, self._began = trials, done, done, self._clock()
        at_once = f", {jobs} at a time" if jobs > 1 else ""
        self.note(f"{count(trials, 'trial')}{at_once}{f'; {done} done' if done else ''}")

    def finished(self, label: str, results: Mapping[str, float], failure: str | None) -> None:
        self.done += 1
        values = "  ".join(f"{name} {digits(value)}" for name, value in results.items())
        self.note(f"{self.done}/{self.trials}  {label}: {values if failure is None else f'failed: {failure}'}")

    def note(self, text: str) -> None:
        self._write(f"{text}\n")

    def seconds_left(self) -> float | None:
        """At the pace of this run so far; `None` before its first trial has ended."""
        ended = self.done - self._first
        return (self._clock() - self._began) / ended * (self.trials - self.done) if ended else None


class TrialProgress(TrialLines):
    """The same lines above a live view: a bar, and a line for each trial that runs."""

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
        self._running: dict[str, str] = {}  # by label: its progress

    def begin(self, trials: int, done: int, jobs: int) -> None:
        super().begin(trials, done, jobs)
        self._view.start()
        self._view.draw()

    def step(self, label: str, step: int, steps: int | None, loss: float | None) -> None:
        words = [f"{label}:", f"step {step:,}" + (f"/{steps:,}" if steps else "")]
        self._running[label] = "  ".join([*words, *([] if loss is None else [f"loss {digits(loss)}"])])
        self._view.draw_when_due()

    def finished(self, label: str, results: Mapping[str, float], failure: str | None) -> None:
        self._running.pop(label, None)
        super().finished(label, results, failure)
        self._view.draw()

    def note(self, text: str) -> None:
        if self._view.is_shown:
            self._view.print(text, soft_wrap=True)
        else:
            super().note(text)

    def end(self) -> None:
        self._running.clear()
        self._view.stop()

    def _drawn(self, width: int) -> Text:
        from rich.text import Text

        left = self.seconds_left()
        words = f"{self.done}/{self.trials}" + (f"  {duration(left)} left" if left else "")
        room = max(min(BAR, width - 10 - len(words)), 0)
        head = Text.assemble(("trials ", "bold"), bar(self.done / self.trials, room), f" {words}")
        lines = [head, *(Text(f"  {line}", "dim") for line in self._running.values())]
        for line in lines:
            line.truncate(width - 1)
        return Text("\n", no_wrap=True).join(lines)
