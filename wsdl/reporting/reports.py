"""Reports of a training's progress, and callbacks, which receive them to show or record them.

    with reporting(Callbacks([JsonLines(folder / "log.jsonl"), Lines(sys.stderr)]), plan) as callback:
        callback.on_step(...)

Nothing here needs NumPy or a runtime.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass


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
    layers: tuple[tuple[str, ...], ...] = ()  # of the model, as a table with its headers first
    totals: str = ""  # of what it stores

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

    def scalars(self) -> dict[str, float]:
        """As trackers show them: `loss/training`, `accuracy/training` and so on, and `lr`."""
        values = {f"{name}/training": value for name, value in self.named().items()}
        return {**values, f"{self.training}.lr" if self.training else "lr": self.lr}


@dataclass(frozen=True)
class EvaluationReport:
    """The report of an evaluation."""

    step: int
    epoch: int
    results: dict[str, float]  # "loss" first, then the metrics; of several trainings as `critic.loss`
    is_best: bool

    def scalars(self) -> dict[str, float]:
        """As trackers show them: `loss/evaluation` and so on."""
        return {f"{name}/evaluation": value for name, value in self.results.items()}


class Callback:
    """Receives the reports of a training: the base of what shows or records one, whose methods do nothing. The first of
    several workers calls them, in the process that has asked for the training. What a method raises ends the training,
    after `on_end`."""

    def on_begin(self, plan: RunPlan) -> None:
        """The training begins, or a run that resumes it."""

    def on_step(self, r: StepReport) -> None:
        """A step is done: that of a batch, or with `hold` one of several on it."""

    def on_eval(self, r: EvaluationReport) -> None:
        """An evaluation is done: after each epoch, if there is data for it."""

    def on_note(self, text: str) -> None:
        """A line of text to show, such as a batch that was skipped."""

    def on_save(self) -> None:
        """A checkpoint is about to be written. What is reported so far has to be on disk, so that a run that resumes
        from it finds every line up to it."""

    def on_end(self) -> None:
        """The training has ended, has failed, or was interrupted. Not called if `on_begin` has failed."""


class Callbacks(Callback):
    """Forwards the reports to several callbacks, in order."""

    def __init__(self, callbacks: Sequence[Callback]) -> None:
        self.callbacks = callbacks
        self._begun = ExitStack()

    def on_begin(self, plan: RunPlan) -> None:
        """If one fails to begin, those before it are ended."""
        with ExitStack() as opened:
            for callback in self.callbacks:
                opened.enter_context(reporting(callback, plan))
            self._begun = opened.pop_all()

    def on_step(self, r: StepReport) -> None:
        for callback in self.callbacks:
            callback.on_step(r)

    def on_eval(self, r: EvaluationReport) -> None:
        for callback in self.callbacks:
            callback.on_eval(r)

    def on_note(self, text: str) -> None:
        for callback in self.callbacks:
            callback.on_note(text)

    def on_save(self) -> None:
        for callback in self.callbacks:
            callback.on_save()

    def on_end(self) -> None:
        """End all in reverse order, even if one fails."""
        self._begun.close()


@contextmanager
def reporting(callback: Callback, plan: RunPlan) -> Iterator[Callback]:
    """A context with a callback that has begun; it is ended in any case, also on exceptions and Ctrl-C."""
    callback.on_begin(plan)
    try:
        yield callback
    finally:
        callback.on_end()
