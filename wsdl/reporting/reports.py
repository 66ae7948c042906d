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
    """What is known before the first step; `None` for unknown numbers."""

    model: str
    steps: int | None  # of the whole training, those of earlier runs included
    epochs: int | None
    steps_per_epoch: int | None
    batch: int  # rows of a full batch
    first_step: int  # steps done by earlier runs; 0 for a fresh one
    parameters: int  # of the model, as stored
    parameters_without_sharing: int
    variant: str = ""  # of the program; empty for the program itself

    @property
    def title(self) -> str:
        """What is trained: `lm`, or `lm (variant tied)`."""
        return f"{self.model} (variant {self.variant})" if self.variant else self.model


@dataclass(frozen=True)
class StepReport:
    """After each step."""

    step: int  # steps done, from 1
    epoch: int  # from 1
    loss: float  # the mean over the batch
    metrics: dict[str, float]  # of the batch
    lr: float
    examples: int  # rows of this step
    seconds: float  # of training so far, earlier runs included


@dataclass(frozen=True)
class EvaluationReport:
    """After each evaluation."""

    step: int
    epoch: int
    results: dict[str, float]  # "loss" first, then the metrics
    is_best: bool


class Reporter(Protocol):
    """Receives the reports of a training, from `begin` to `end`."""

    def begin(self, plan: RunPlan) -> None: ...

    def step(self, r: StepReport) -> None: ...

    def evaluation(self, r: EvaluationReport) -> None: ...

    def note(self, text: str) -> None:
        """Something worth a line of text."""

    def flush(self) -> None:
        """What was told so far must outlive this process; called before a checkpoint is written, so that a run that
        resumes from there finds every line up to it."""

    def end(self) -> None:
        """The training is over, or was broken off."""


class Quiet:
    """Shows nothing; the other reporters say what they do instead."""

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
    """Tells each of some reporters, in their order."""

    def __init__(self, reporters: Sequence[Reporter]) -> None:
        self.reporters = reporters
        self._begun = ExitStack()

    def begin(self, plan: RunPlan) -> None:
        """If one can't begin, those before it are ended."""
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
        """The last first, and all of them even if one fails."""
        self._begun.close()


@contextmanager
def reporting(reporter: Reporter, plan: RunPlan) -> Iterator[Reporter]:
    """A reporter that has begun and is ended in any case: by an exception and Ctrl-C, too."""
    reporter.begin(plan)
    try:
        yield reporter
    finally:
        reporter.end()
