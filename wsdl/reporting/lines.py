"""A training as plain lines, for pipes and log files."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable

from wsdl.reporting.meter import Meter, epoch_text, plan_text, step_text, values_text
from wsdl.reporting.reports import Callback, EvaluationReport, RunPlan, StepReport

FIRST, MOST = 5.0, 60.0  # seconds between lines
RARER = 0.05  # of the time so far: in a run of hours, lines are less frequent


class Lines(Callback):
    """A line for each epoch, training and evaluation side by side; in between a line every few seconds, later every
    minute. `write` receives lines with their newline."""

    def __init__(self, write: Callable[[str], object], *, clock: Callable[[], float] = time.monotonic) -> None:
        self._write = write
        self._clock = clock
        self._meter: Meter | None = None
        self._began = self._next = 0.0
        self._epoch = 0  # the last epoch with a line

    def on_begin(self, plan: RunPlan) -> None:
        self._meter = Meter(plan, self._clock)
        self._began = self._clock()
        self._next = self._began + FIRST
        self._epoch = 0
        for line in plan_text(plan):
            self.on_note(line)

    def on_step(self, r: StepReport) -> None:
        meter = self._meter
        if meter is None:
            return
        if meter.last is not None and meter.last.epoch != r.epoch:
            self._tell_epoch(meter)
        meter.step(r)
        now = self._clock()
        if now >= self._next:
            fields = [epoch_text(meter.plan, r.epoch), step_text(meter.plan, r.step)]
            self._line([*fields, *(f"{name} {value}" for name, value in meter.shown()), *meter.pace()])
            self._next = now + min(max(FIRST, RARER * (now - self._began)), MOST)

    def on_eval(self, r: EvaluationReport) -> None:
        if self._meter is not None:
            self._tell_epoch(self._meter, r)

    def on_note(self, text: str) -> None:
        self._write(f"{text}\n")

    def on_end(self) -> None:
        if self._meter is not None:
            self._tell_epoch(self._meter)

    def _tell_epoch(self, meter: Meter, evaluation: EvaluationReport | None = None) -> None:
        last = meter.last
        if last is None or last.epoch == self._epoch:
            return
        self._epoch = last.epoch
        words = [epoch_text(meter.plan, last.epoch), step_text(meter.plan, last.step)]
        words += ["train", *(f"{name} {value}" for name, value in values_text(meter.epoch.values).items())]
        if evaluation is not None:
            words += ["|  eval", *(f"{name} {value}" for name, value in values_text(evaluation.results).items())]
            words += ["best"] if evaluation.is_best else []
        self._line(words)

    def _line(self, words: Iterable[str]) -> None:
        self.on_note("  ".join(words))
