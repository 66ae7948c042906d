"""Trainings that never were: the reports of one, told to reporters."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from math import exp, nan, sin
from typing import Any

from wsdl.reporting.reports import Callback, EvaluationReport, RunPlan, StepReport, reporting

BATCH = 64


class Clock:
    """A clock that is set by hand."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def plan(steps: int | None = 50, *, per_epoch: int = 10, first_step: int = 0, model: str = "lm") -> RunPlan:
    return RunPlan(
        model=model,
        steps=steps,
        epochs=steps and -(-steps // per_epoch),
        steps_per_epoch=per_epoch,
        batch=BATCH,
        first_step=first_step,
        parameters=61_706,
        parameters_without_sharing=123_412,
    )


def loss_at(step: int, steps: int) -> float:
    return 0.2 + 2.1 * exp(-5 * step / steps) * (1 + 0.1 * sin(step * step))


def reports(
    plan: RunPlan, *, until: int | None = None, evaluate: bool = True, bad: Iterable[int] = (), seconds: float = 0.01
) -> Iterator[StepReport | EvaluationReport]:
    """A loss that goes down, is NaN at `bad` steps, and is evaluated after each epoch."""
    steps, per_epoch, bad = plan.steps or 50, plan.steps_per_epoch or 10, set(bad)
    for step in range(plan.first_step + 1, (steps if until is None else until) + 1):
        epoch, loss = (step - 1) // per_epoch + 1, loss_at(step, steps)
        value = nan if step in bad else loss
        yield StepReport(
            step, epoch, value, {"accuracy": 1 - loss / 4}, 1e-3 * (1 - step / steps / 2), BATCH, step * seconds
        )
        if evaluate and step % per_epoch == 0:
            yield EvaluationReport(step, epoch, {"loss": loss * 1.1, "accuracy": 1 - loss / 3}, epoch != 3)


def tell(reporter: Callback, plan: RunPlan, clock: Clock | None = None, **how: Any) -> None:
    """Run a reporter through a training, from beginning to end."""
    with reporting(reporter, plan):
        for report in reports(plan, **how):
            tell_one(reporter, report, clock)


def tell_one(reporter: Callback, report: StepReport | EvaluationReport, clock: Clock | None = None) -> None:
    if isinstance(report, StepReport):
        if clock:
            clock.now = report.seconds
        reporter.on_step(report)
    else:
        reporter.on_eval(report)
