"""Progress figures computed from the reports of single steps: smoothed losses, means of an epoch, examples per second,
time left."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from math import isfinite, nan

from wsdl.diagnostics.figures import count
from wsdl.reporting.numbers import digits, short
from wsdl.reporting.reports import RunPlan, StepReport

WINDOW = 30  # steps of the moving average, in a run of 50 times as many or more
SPEED_SECONDS = 3.0  # window of the speed


class MovingAverage:
    """An exponential moving average with bias correction, as in Adam; values that are not finite are skipped."""

    __slots__ = ("_keep", "_total", "_weight")

    def __init__(self, window: float) -> None:
        """`window` is in steps, at least one."""
        self._keep = 1 - 1 / window
        self._total = self._weight = 0.0

    def add(self, value: float) -> None:
        if isfinite(value):
            self._total = self._keep * self._total + value
            self._weight = self._keep * self._weight + 1

    @property
    def value(self) -> float:
        return self._total / self._weight if self._weight else nan


class EpochMeans:
    """The losses and the metrics of one epoch so far: means over its rows, weighted by the size of each batch."""

    def __init__(self) -> None:
        self.epoch = 0
        self._rows: dict[str, int] = {}
        self._sums: dict[str, float] = {}

    def add(self, r: StepReport) -> None:
        if r.epoch != self.epoch:
            self.epoch, self._rows, self._sums = r.epoch, {}, {}
        for name, value in r.named().items():
            self._rows[name] = self._rows.get(name, 0) + r.examples
            self._sums[name] = self._sums.get(name, 0.0) + r.examples * value

    @property
    def values(self) -> dict[str, float]:
        """By name, "loss" first; empty before the first step."""
        return {name: total / self._rows[name] for name, total in self._sums.items()}


class Meter:
    """Accumulates every step, which is cheap; formats values only when they are shown."""

    def __init__(self, plan: RunPlan, clock: Callable[[], float] = time.monotonic) -> None:
        self.plan = plan
        self.last: StepReport | None = None
        self._window = max(1.0, min(WINDOW, plan.steps / 50 if plan.steps else WINDOW))
        self.values: dict[str, MovingAverage] = {}  # losses and metrics
        self.epoch = EpochMeans()
        self._clock = clock
        self._examples = 0
        self._started: tuple[float, int] | None = (
            None  # time and number of the first step, which is slow and not counted
        )
        self._speed = nan  # examples a second
        self._measured = (0.0, 0)  # seconds of training and examples at the last measurement

    def step(self, r: StepReport) -> None:
        if self._started is None:
            self._started = (self._clock(), r.step)
            self._measured = (r.seconds, r.examples)
        self.last = r
        self._examples += r.examples
        self.epoch.add(r)
        for name, value in r.named().items():
            if name not in self.values:
                self.values[name] = MovingAverage(self._window)
            self.values[name].add(value)

    # -- as numbers ----------------------------------------------------------------------------------------------------

    def speed(self) -> float:
        """Examples per second of training, over the last `SPEED_SECONDS`; NaN before the second step."""
        if self.last is None:
            return nan
        seconds, examples = self.last.seconds, self._examples
        passed, done = seconds - self._measured[0], examples - self._measured[1]
        if passed > 0 and done > 0:
            keep = 0.5 ** (passed / SPEED_SECONDS) if isfinite(self._speed) else 0.0
            self._speed = keep * (self._speed if keep else 0.0) + (1 - keep) * done / passed
            self._measured = (seconds, examples)
        return self._speed

    def seconds_left(self) -> float | None:
        """At the pace of this run so far, with evaluations; `None` while unknown."""
        if self.plan.steps is None or self.last is None or self._started is None:
            return None
        began, first = self._started
        done = self.last.step - first
        return (self._clock() - began) / done * (self.plan.steps - self.last.step) if done else None

    # -- as text -------------------------------------------------------------------------------------------------------

    def shown(self) -> Iterator[tuple[str, str]]:
        """Names and values of the last step to show: smoothed, except a loss that is not finite."""
        if self.last is None:
            return
        loss = next(iter(self.last.named()))
        for name, smoothed in self.values.items():
            broken = name == loss and not isfinite(self.last.loss)
            yield name, digits(self.last.loss if broken else smoothed.value)
        yield "lr", short(self.last.lr)

    def pace(self) -> Iterator[str]:
        """`24,812 examples/s` and `1:12 left`, if they are known."""
        speed = self.speed()
        if isfinite(speed):
            yield f"{speed:,.0f} examples/s" if speed >= 10 else f"{speed:.2g} examples/s"
        left = self.seconds_left()
        if left:
            yield f"{duration(left)} left"


def epoch_text(plan: RunPlan, epoch: int) -> str:
    """`epoch 3/20`."""
    return f"epoch {epoch:,}" + (f"/{plan.epochs:,}" if plan.epochs else "")


def step_text(plan: RunPlan, step: int) -> str:
    """`step 1,204/4,690`."""
    return f"step {step:,}" + (f"/{plan.steps:,}" if plan.steps else "")


def plan_text(plan: RunPlan) -> Iterator[str]:
    """The size and the length of a run in one line, and the step from which it resumes."""
    words = [f"{plan.title}: {plan.parameters:,} parameters"]
    if plan.parameters_without_sharing != plan.parameters:
        words[0] += f" ({plan.parameters_without_sharing:,} without sharing)"
    if plan.steps:
        words.append(count(plan.steps, "step"))
    if plan.epochs:
        words.append(count(plan.epochs, "epoch"))
    yield ", ".join([*words, f"batch {plan.batch:,}"])
    if plan.first_step:
        yield f"resumes after step {plan.first_step:,}"


def values_text(values: Mapping[str, float]) -> dict[str, str]:
    """`{"loss": "0.3120", "accuracy": "0.9050"}`."""
    return {name: digits(value) for name, value in values.items()}


def duration(seconds: float) -> str:
    """`0:07`, `12:30`, `3:05:00`, `2 days`."""
    whole = round(seconds)
    if whole >= 48 * 3600:
        return f"{whole / 86400:.0f} days"
    hours, minutes, rest = whole // 3600, whole // 60 % 60, whole % 60
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
