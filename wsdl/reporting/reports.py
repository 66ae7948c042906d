"""Reports of a training's progress, and the interface of reporters, which show or record them.

    with reporting(Reporters([JsonLines(folder / "log.jsonl"), Lines(sys.stderr)]), plan) as reporter:
        reporter.step(...)

Nothing here needs NumPy or a runtime.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True)
class RunPlan:
    """The size and the length of a run, known before the first step; `None` if unknown."""

    model: str
    steps: int | None  # of the whole training, those of earlier runs included
    epochs: int | None
    steps_per_epoch: int | None
    batch: int  # rows of a full batch
    first_step: int  # steps done by earlier runs; 0 for a fresh one
    parameters: int  # of the model, as stored
    parameters_without_sharing: int
    variant: str = ""  # name of the variant; empty for the program itself

    @property
    def title(self) -> str:
        """`lm`, or `lm (variant tied)`."""
        return f"{self.model} (variant {self.variant})" if self.variant else self.model


@dataclass(frozen=True)
class StepReport:
    """The report of a step."""

    step: int  # steps done, from 1
    epoch: int  # from 1
    loss: float  # the mean over the batch
    metrics: dict[str, float]  # of the batch
    lr: float
    examples: int  # rows of this step
    seconds: float  # of training so far, earlier runs included
    training: str = ""  # its name, where several take turns

    def named(self) -> dict[str, float]:
        """The loss and the metrics; where several trainings take turns, as `critic.loss`."""
        values = {"loss": self.loss, **self.metrics}
        return {f"{self.training}.{name}": v for name, v in values.items()} if self.training else values


@dataclass(frozen=True)
class EvaluationReport:
    """The report of an evaluation."""

    step: int
    epoch: int
    results: dict[str, float]  # "loss" first, then the metrics; of several trainings as `critic.loss`
    is_best: bool


class Reporter(Protocol):
    """Receives the reports of a training, from `begin` to `end`."""

    def begin(self, plan: RunPlan) -> None: ...

    def step(self, r: StepReport) -> None: ...

    def evaluation(self, r: EvaluationReport) -> None: ...

    def note(self, text: str) -> None:
        """A line of text to show."""

    def flush(self) -> None:
        """Write everything reported so far to disk. Called before a checkpoint is written, so that a run that resumes
        from it finds every line up to it."""

    def end(self) -> None:
        """The training has ended or was interrupted."""


class Quiet:
    """Shows nothing; the base of other reporters."""

    def begin(self, plan: RunPlan) -> None:
        pass

    def step(self, r: StepReport) -> None:
        pass

    def evaluation(self, r: EvaluationReport) -> None:
        pass

    def note(self, text: str) -> None:
        pass

    def flush(self) -> None:
        pass

    def end(self) -> None:
        pass


class Reporters:
    """Forwards the reports to several reporters, in order."""

    def __init__(self, reporters: Sequence[Reporter]) -> None:
        self.reporters = reporters
        self._begun = ExitStack()

    def begin(self, plan: RunPlan) -> None:
        """If one fails to begin, those before it are ended."""
        with ExitStack() as opened:
            for reporter in self.reporters:
                opened.enter_context(reporting(reporter, plan))
            self._begun = opened.pop_all()

    def step(self, r: StepReport) -> None:
        for reporter in self.reporters:
            reporter.step(r)

    def evaluation(self, r: EvaluationReport) -> None:
        for reporter in self.reporters:
            reporter.evaluation(r)

    def note(self, text: str) -> None:
        for reporter in self.reporters:
            reporter.note(text)

    def flush(self) -> None:
        for reporter in self.reporters:
            reporter.flush()

    def end(self) -> None:
        """End all in reverse order, even if one fails."""
        self._begun.close()


@contextmanager
def reporting(reporter: Reporter, plan: RunPlan) -> Iterator[Reporter]:
    """A context with a reporter that has begun; it is ended in any case, also on exceptions and Ctrl-C."""
    reporter.begin(plan)
    try:
        yield reporter
    finally:
        reporter.end()
