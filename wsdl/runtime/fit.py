"""A whole training: epochs over some data, evaluation, checkpoints, early stopping, going on where it was stopped."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, field
from itertools import islice
from pathlib import Path
from time import monotonic
from typing import Any

from wsdl.onnx.safetensors import save_safetensors
from wsdl.runtime.batches import Batches
from wsdl.runtime.checkpoint import (
    Checkpoint,
    read_checkpoint,
    require_same_program,
    require_same_settings,
    write_checkpoint,
)
from wsdl.runtime.errors import fail
from wsdl.runtime.reporting.reports import EvaluationReport, Reporter, RunPlan, StepReport
from wsdl.runtime.trainer import LAST, Step, Trainer

BEST = "best.safetensors"
SKIPPED = 20  # steps in a row without a finite loss, after which leaving them out is no use
Data = Mapping[str, Any] | Iterable[Mapping[str, Any]]


@dataclass(frozen=True)
class Better:
    """Which evaluation is the best one: by the loss or a metric, the lowest or the highest."""

    name: str = "loss"
    highest: bool = False

    def than(self, result: float, best: float | None) -> bool:
        return best is None or (result > best if self.highest else result < best)


@dataclass(frozen=True)
class Plan:
    """How long a training goes on and what is kept of it.

    `folder` gets `last.safetensors` after each epoch and each `save_every` steps, `best.safetensors` with the weights
    that were evaluated best, and the last `keep` checkpoints by their steps. It ends after `epochs`, after
    `limit_steps` steps, or when `patience` evaluations in a row were not the best.
    """

    epochs: int = 1
    folder: Path | None = None
    save_every: int | None = None
    keep: int = 0
    better: Better = Better()
    patience: int | None = None
    limit_steps: int | None = None


@dataclass
class Progress:
    """How far a training is: `batch` counts those of the epoch that were used, `waited` the evaluations since the best."""

    epoch: int = 0
    batch: int = 0
    best: float | None = None
    best_step: int = 0
    waited: int = 0
    rows: int | None = None
    skipped: int = 0
    results: dict[str, float] = field(default_factory=dict)  # of the last evaluation


class Interrupted(KeyboardInterrupt):
    """A training that was asked to stop, and has saved; `message` says how to go on."""

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


def fit(
    trainer: Trainer,
    data: Data,
    plan: Plan = Plan(),
    *,
    evaluation: Data | None = None,
    reporters: Sequence[Reporter] = (),
    resume: bool = False,
    seconds: float = 0.0,
) -> Progress:
    """Train on `data`; `resume` goes on from the checkpoint in the folder, if there is one.

    `data` are arrays of many rows by name, which are shuffled anew in each epoch, or something that gives the batches
    of an epoch each time it is gone through. A signal to stop (Ctrl-C) saves first, and raises `Interrupted`.
    """
    return _Run(trainer, data, plan, evaluation, reporters, seconds).run(resume)


class _Run:
    def __init__(
        self,
        trainer: Trainer,
        data: Data,
        plan: Plan,
        evaluation: Data | None,
        reporters: Sequence[Reporter],
        seconds: float,
    ) -> None:
        self.trainer, self.plan, self.reporters = trainer, plan, reporters
        self.batches = trainer.batches(data) if isinstance(data, Mapping) else _Given(data)
        self.evaluation = trainer.batches(evaluation, shuffle=False) if isinstance(evaluation, Mapping) else evaluation
        self.progress = Progress(rows=self.batches.rows)
        self.stop = _Stop()
        self.start, self.before = monotonic(), seconds
        self.saved_at = -1

    # -- the whole -----------------------------------------------------------------------------------------------------

    def run(self, resume: bool) -> Progress:
        trainer, plan = self.trainer, self.plan
        self._check_names()
        if resume:
            self._resume()
        if trainer.wants_total and trainer.total_steps is None:
            trainer.total_steps = self._planned_steps()
        with ExitStack() as stack:
            stack.enter_context(self.stop.watching())
            for reporter in self.reporters:
                stack.callback(reporter.end)
                reporter.begin(self._run_plan())
            while self.progress.epoch < plan.epochs and not self._is_over():
                self._epoch()
            if self.saved_at != trainer.steps:
                self._save()
        return self.progress

    def _epoch(self) -> None:
        progress = self.progress
        batches = self.batches.epoch(progress.epoch, progress.batch)
        in_a_row = 0
        for batch in batches:
            step = self.trainer.make_step(batch)
            progress.batch += 1
            in_a_row = in_a_row + 1 if step.is_skipped else 0
            self._report(step, in_a_row)
            if self.stop.asked:
                self._interrupt()
            if self._is_over():
                break
            if self.plan.save_every and not step.is_skipped and self.trainer.steps % self.plan.save_every == 0:
                self._save()
        is_done = not self._is_over() or self.batches.steps == progress.batch
        if is_done:
            progress.epoch, progress.batch = progress.epoch + 1, 0
        if self.evaluation is not None:
            self._evaluate(progress.epoch if is_done else progress.epoch + 1)
        self._save()

    def _is_over(self) -> bool:
        plan, progress = self.plan, self.progress
        is_long = plan.limit_steps is not None and self.trainer.steps >= plan.limit_steps
        return is_long or (plan.patience is not None and progress.waited >= plan.patience)

    def _planned_steps(self) -> int | None:
        """The length of the run, as schedules want to know it. Early stopping and limits don't bend their course."""
        if self.batches.steps is None:
            message = "the learning rate follows a course over the whole run, whose length is not known"
            help = "`trainer.total_steps = 1000` says it, or `cosine(1e-3, steps=1000)` in the program"
            raise fail("E0831", message, help=help)
        return self.batches.steps * self.plan.epochs

    def _check_names(self) -> None:
        names = self.trainer.models.evaluation.names
        if self.plan.better.name not in names:
            listed = ", ".join(f"`{name}`" for name in names)
            message = f"there is no metric `{self.plan.better.name}` to find the best by"
            raise fail("E0704", message, help=f"there are {listed}")

    # -- what is told --------------------------------------------------------------------------------------------------

    def _run_plan(self) -> RunPlan:
        trainer, steps = self.trainer, self.batches.steps
        total = None if steps is None else steps * self.plan.epochs
        if self.plan.limit_steps is not None:
            total = min(self.plan.limit_steps, total if total is not None else self.plan.limit_steps)
        sizes = trainer.sizes
        return RunPlan(
            model=trainer.name, steps=total, epochs=self.plan.epochs, steps_per_epoch=steps,
            batch=trainer.settings.batch, first_step=trainer.steps, parameters=sizes[0],
            parameters_without_sharing=sizes[1],
        )  # fmt: skip

    def _report(self, step: Step, in_a_row: int) -> None:
        if step.is_skipped:
            self.progress.skipped += 1
            text = f"left out a batch after step {self.trainer.steps}: its loss is {step.loss:g}"
            for reporter in self.reporters:
                reporter.note(text)
            if in_a_row >= SKIPPED:
                message = f"the losses of {in_a_row} batches in a row are not finite"
                raise fail("E0830", message, help="the weights themselves may be; go on from an earlier checkpoint")
            return
        metrics = {name: value for name, value in step.results.items() if name != "loss"}
        report = StepReport(
            self.trainer.steps, self.progress.epoch + 1, step.loss, metrics, step.rate, step.rows, self._seconds()
        )
        for reporter in self.reporters:
            reporter.step(report)

    def _seconds(self) -> float:
        return self.before + monotonic() - self.start

    # -- evaluation and checkpoints ------------------------------------------------------------------------------------

    def _evaluate(self, epoch: int) -> None:
        assert self.evaluation is not None
        progress, better = self.progress, self.plan.better
        batches = self.evaluation.epoch(0) if isinstance(self.evaluation, Batches) else self.evaluation
        progress.results = self.trainer.evaluate(batches)
        is_best = better.than(progress.results[better.name], progress.best)
        progress.waited = 0 if is_best else progress.waited + 1
        if is_best:
            progress.best, progress.best_step = progress.results[better.name], self.trainer.steps
            if self.plan.folder is not None:
                save_safetensors(self.plan.folder / BEST, self.trainer.weights, self.trainer.identity)
        report = EvaluationReport(self.trainer.steps, epoch, progress.results, is_best)
        for reporter in self.reporters:
            reporter.evaluation(report)

    def _save(self) -> None:
        folder, steps = self.plan.folder, self.trainer.steps
        self.saved_at = steps
        if folder is None:
            return
        checkpoint = self.trainer.checkpoint({**asdict(self.progress), "epochs": self.plan.epochs})
        write_checkpoint(folder / LAST, checkpoint)
        if self.plan.keep:
            write_checkpoint(folder / f"step-{steps:08}.safetensors", checkpoint)
            for old in sorted(folder.glob("step-*.safetensors"))[: -self.plan.keep]:
                old.unlink(missing_ok=True)

    def _resume(self) -> None:
        assert self.plan.folder is not None
        path = self.plan.folder / LAST
        if not path.exists():
            return
        checkpoint = read_checkpoint(path)
        require_same_program(checkpoint, self.trainer.identity)
        require_same_settings(checkpoint, asdict(self.trainer.settings))
        self._require_same_data(checkpoint)
        self.trainer.restore(checkpoint)
        known = Progress.__dataclass_fields__
        self.progress = Progress(**{n: v for n, v in checkpoint.progress.items() if n in known})
        self.saved_at = self.trainer.steps

    def _require_same_data(self, checkpoint: Checkpoint) -> None:
        rows, epochs = checkpoint.progress.get("rows"), checkpoint.progress.get("epochs")
        if rows != self.batches.rows:
            message = f"this training was begun with {rows} rows of data, and now there are {self.batches.rows}"
            raise fail("E0723", message, file=checkpoint.path, help="a run goes on bit for bit only with the same data")
        if self.trainer.wants_total and epochs != self.plan.epochs:
            message = f"this training was begun for {epochs} epochs, on which its learning rates depend, and not for {self.plan.epochs}"
            raise fail("E0723", message, file=checkpoint.path, help=f"go on with `--epochs {epochs}`")

    def _interrupt(self) -> None:
        self._save()
        steps = self.trainer.steps
        if self.plan.folder is None:
            raise Interrupted(f"stopped after step {steps}")
        raise Interrupted(f"stopped after step {steps}, which is saved in {self.plan.folder / LAST}; --resume goes on")


class _Given:
    """Batches that come from outside, gone through once an epoch."""

    rows: int | None = None
    steps: int | None = None

    def __init__(self, data: Iterable[Mapping[str, Any]]) -> None:
        self.data, self.used = data, False

    def epoch(self, number: int, start: int = 0) -> Iterator[Mapping[str, Any]]:
        if self.used and iter(self.data) is self.data:
            message = "these batches can be gone through once only"
            raise fail(
                "E0718", message, help="a list, or an object whose `__iter__` begins anew, serves several epochs"
            )
        self.used = True
        return islice(iter(self.data), start, None)


class _Stop:
    """Was the process asked to stop? A second time stops it at once."""

    def __init__(self) -> None:
        self.asked = False

    @contextmanager
    def watching(self) -> Iterator[None]:
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        signals = [signal.SIGINT, signal.SIGTERM]
        before = {number: signal.signal(number, self._ask) for number in signals}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _ask(self, *_: object) -> None:
        if self.asked:
            raise KeyboardInterrupt
        self.asked = True
