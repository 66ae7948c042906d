"""A training as plain lines, for pipes and log files."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable

from wsdl.runtime.reporting.meter import Meter, epoch_text, plan_text, results_text, step_text
from wsdl.runtime.reporting.reports import EvaluationReport, Quiet, RunPlan, StepReport

FIRST, MOST = 5.0, 60.0  # seconds between lines
RARER = 0.05  # of the time so far: a run of hours doesn't need a line every few seconds


class Lines(Quiet):
    """Every evaluation, and of the steps a line every few seconds, later every minute. `write` takes a line with its
    end."""

    def __init__(self, write: Callable[[str], object], *, clock: Callable[[], float] = time.monotonic) -> None:
        self._write = write
        self._clock = clock
        self._meter: Meter | None = None
        self._began = self._next = 0.0
        self._told = 0  # the step of the last line

    def begin(self, plan: RunPlan) -> None:
        self._meter = Meter(plan, self._clock)
        self._began = self._clock()
        self._next = self._began + FIRST
        self._told = plan.first_step
        for line in plan_text(plan):
            self.note(line)

    def step(self, r: StepReport) -> None:
        if self._meter is None:
            return
        self._meter.step(r)
        now = self._clock()
        if now >= self._next:
            self._tell(self._meter)
            self._next = now + min(max(FIRST, RARER * (now - self._began)), MOST)

    def evaluation(self, r: EvaluationReport) -> None:
        if self._meter is not None:
            place = [step_text(self._meter.plan, r.step), epoch_text(self._meter.plan, r.epoch)]
            numbers = [f"{name} {value}" for name, value in results_text(r)]
            self._line(["evaluation", *place, *numbers, *(["best"] if r.is_best else [])])

    def note(self, text: str) -> None:
        self._write(f"{text}\n")

    def end(self) -> None:
        """The last step has a line of its own."""
        if self._meter is not None:
            self._tell(self._meter)

    def _tell(self, meter: Meter) -> None:
        last = meter.last
        if last is None or last.step == self._told:
            return
        self._told = last.step
        place = [step_text(meter.plan, last.step), epoch_text(meter.plan, last.epoch)]
        self._line([*place, *(f"{name} {value}" for name, value in meter.shown()), *meter.pace()])

    def _line(self, words: Iterable[str]) -> None:
        self.note("  ".join(words))
