"""A whole training: epochs, evaluation, checkpoints, early stopping, resuming."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict
from itertools import islice
from math import isfinite
from pathlib import Path
from time import monotonic
from typing import Any

from wsdl.atomic import remove_leftovers
from wsdl.diagnostics.run_error import fail
from wsdl.reporting.json_lines import LOG, seconds_until
from wsdl.reporting.reports import EvaluationReport, Quiet, Reporter, RunPlan, StepReport, reporting
from wsdl.runtime.batches import Batches
from wsdl.runtime.checkpoint import Checkpoint, read_checkpoint, write_checkpoint
from wsdl.runtime.plan import Plan, Progress
from wsdl.runtime.single_values import check_batches
from wsdl.runtime.stopping import Interrupted, Stop
from wsdl.runtime.trainer import LAST, Step, Trainer
from wsdl.weights.metadata import VARIANT
from wsdl.weights.safetensors import save_safetensors

BEST = "best.safetensors"
SKIPPED = 20  # consecutive batches skipped before the training gives up
SAME_DATA = "a run resumes only with the same data, in the same order"
Data = Mapping[str, Any] | Iterable[Mapping[str, Any]]


def fit(
    trainer: Trainer,
    data: Data,
    plan: Plan | None = None,
    *,
    evaluation: Data | None = None,
    reporter: Reporter | None = None,
    resume: Checkpoint | None = None,
) -> Progress:
    """Train on `data`; `resume` is a checkpoint to resume from, bit for bit.

    `data` are arrays of many rows by name, which are reshuffled in each epoch, or an iterable of the batches of an
    epoch. A signal to stop (Ctrl-C) saves first, and raises `Interrupted`.
    """
    return _Run(trainer, data, plan or Plan(), evaluation, reporter or Quiet()).run(resume)


def checkpoint_in(folder: Path | None, *, resume: bool, replace: bool) -> Checkpoint | None:
    """The checkpoint to resume from, if `resume` and there is one. Raises `RunError` (E0724) if the folder holds a
    training and neither `resume` nor `replace` is set."""
    if folder is None:
        return None
    remove_leftovers(folder)
    if replace or not (folder / LAST).exists():
        return None
    if resume:
        return read_checkpoint(folder / LAST)
    help = "`--resume` continues it, `--replace` overwrites it"
    raise fail("E0724", "this folder holds a training already", file=str(folder), help=help)


def weights_in(plan: Plan, progress: Progress) -> list[Path]:
    """The files of weights that a training leaves in its folder: the last, then the best if there is one."""
    names = [LAST, *([BEST] if progress.has_best else [])]
    return [] if plan.folder is None else [plan.folder / name for name in names]


class _Run:
    def __init__(
        self,
        trainer: Trainer,
        data: Data,
        plan: Plan,
        evaluation: Data | None,
        reporter: Reporter,
    ) -> None:
        self.trainer, self.plan, self.reporter = trainer, plan, reporter
        self.batches = trainer.batches(data) if isinstance(data, Mapping) else _IterableBatches(data)
        self.evaluation = trainer.batches(evaluation, shuffle=False) if isinstance(evaluation, Mapping) else evaluation
        self.progress = Progress(rows=self.batches.rows)
        self.epochs = plan.epochs or 1
        self.stop = Stop()
        self.start = monotonic()
        self.saved_at = -1
        self.bad_in_a_row = 0

    # -- the loop ------------------------------------------------------------------------------------------------------

    def run(self, resume: Checkpoint | None) -> Progress:
        trainer = self.trainer
        self._check_names()
        said = self._check_batches()
        if resume is not None:
            self._resume(resume)
        if trainer.wants_total and trainer.total_steps is None:
            trainer.total_steps = self._planned_steps()
        with self.stop.watching(), reporting(self.reporter, self._run_plan()):
            if said:
                self.reporter.note(said)
            while self.progress.epoch < self.epochs and not self._is_over():
                self._epoch()
                if self.stop.asked:
                    self._interrupt()
            if self.saved_at != trainer.steps:
                self._save()
        return self.progress

    def _epoch(self) -> None:
        progress = self.progress
        for batch, again in self._held():
            step = self.trainer.make_step(batch, again=again)
            progress.batch += 1
            self.bad_in_a_row = self.bad_in_a_row + 1 if step.is_skipped else 0
            self._report(step)
            if self.stop.asked:
                self._interrupt()
            if self._is_over():
                break
            if self.plan.save_every and not step.is_skipped and self.trainer.steps % self.plan.save_every == 0:
                self._save()
        is_done = not self._is_over() or self._steps_of_epoch() == progress.batch
        if is_done:
            progress.epoch, progress.batch = progress.epoch + 1, 0
        if self.evaluation is not None:
            self._evaluate(progress.epoch if is_done else progress.epoch + 1)
        self._save()

    def _held(self) -> Iterator[tuple[Mapping[str, Any], bool]]:
        """The batches of the rest of an epoch, each once for each step on it, and whether that isn't its first."""
        hold, done = self.trainer.settings.hold, self.progress.batch
        for batch in self.batches.epoch(self.progress.epoch, done // hold):
            for number in range(done % hold, hold):
                yield batch, number > 0
            done = 0

    def _steps_of_epoch(self) -> int | None:
        batches = self.batches.steps
        return None if batches is None else batches * self.trainer.settings.hold

    def _is_over(self) -> bool:
        plan, progress = self.plan, self.progress
        is_long = plan.limit_steps is not None and self.trainer.steps >= plan.limit_steps
        return is_long or (plan.patience is not None and progress.waited >= plan.patience)

    def _planned_steps(self) -> int | None:
        """The length of the run for schedules, which early stopping and limits don't change."""
        steps = self._steps_of_epoch()
        if steps is None:
            message = "the learning rate schedule needs the length of the run, which is not known"
            help = "set `trainer.total_steps = 1000`, or write `cosine(1e-3, steps=1000)` in the program"
            raise fail("E0831", message, help=help)
        return steps * self.epochs

    def _check_names(self) -> None:
        names = self.trainer.models.evaluation.names
        if self.plan.better.name not in names:
            listed = ", ".join(f"`{name}`" for name in names)
            message = f"there is no metric `{self.plan.better.name}` to select the best weights by"
            raise fail("E0704", message, help=f"there are {listed}")

    def _check_batches(self) -> str | None:
        trainer = self.trainer
        if not isinstance(self.batches, Batches):
            return None  # the sizes of batches from outside are unknown
        layers, accumulate = trainer.models.step.normalized, trainer.settings.accumulate
        return check_batches(layers, trainer.batch_types, self.batches, accumulate)

    # -- reports -------------------------------------------------------------------------------------------------------

    def _run_plan(self) -> RunPlan:
        trainer, steps = self.trainer, self._steps_of_epoch()
        total = None if steps is None else steps * self.epochs
        if self.plan.limit_steps is not None:
            total = min(self.plan.limit_steps, total if total is not None else self.plan.limit_steps)
        stored, unshared = trainer.models.parameters
        return RunPlan(
            trainer.models.name,
            total,
            self.epochs,
            steps,
            trainer.settings.batch,
            trainer.steps,
            stored,
            unshared,
            trainer.header.get(VARIANT, ""),
        )

    def _report(self, step: Step) -> None:
        if step.is_skipped:
            self.progress.skipped += 1
            reason = "its gradients are not finite" if isfinite(step.loss) else f"its loss is {step.loss:g}"
            text = f"skipped a batch after step {self.trainer.steps}: {reason}"
            self.reporter.note(text)
            if self.bad_in_a_row >= SKIPPED:
                message = f"the losses or gradients of {SKIPPED} batches in a row are not finite"
                raise fail(
                    "E0830", message, help="the weights may not be finite either; resume from an earlier checkpoint"
                )
            return
        metrics = {name: value for name, value in step.results.items() if name != "loss"}
        report = StepReport(
            self.trainer.steps, self.progress.epoch + 1, step.loss, metrics, step.rate, step.rows, self._seconds()
        )
        self.reporter.step(report)

    def _seconds(self) -> float:
        return monotonic() - self.start

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
                save_safetensors(self.plan.folder / BEST, self.trainer.weights, self.trainer.header)
        report = EvaluationReport(self.trainer.steps, epoch, progress.results, is_best)
        self.reporter.evaluation(report)

    def _save(self) -> None:
        folder, steps = self.plan.folder, self.trainer.steps
        self.saved_at = steps
        if folder is None:
            return
        self.reporter.flush()
        checkpoint = self.trainer.checkpoint(
            {**asdict(self.progress), "epochs": self.epochs, "data": self.batches.fingerprint}
        )
        write_checkpoint(folder / LAST, checkpoint)
        if self.plan.keep:
            write_checkpoint(folder / f"step-{steps:08}.safetensors", checkpoint)
            for old in sorted(folder.glob("step-*.safetensors"))[: -self.plan.keep]:
                old.unlink(missing_ok=True)

    def _resume(self, checkpoint: Checkpoint) -> None:
        checkpoint.require_same_settings(asdict(self.trainer.settings))
        self._require_same_data(checkpoint)
        self.trainer.restore(checkpoint)
        self.progress = Progress(
            **{name: checkpoint.recorded(name, int) for name in ("epoch", "batch", "best_step", "waited", "skipped")},
            best=checkpoint.recorded("best", float, int, type(None)),
            rows=checkpoint.recorded("rows", int, type(None)),
            results=checkpoint.recorded("results", dict),
        )
        self.saved_at = self.trainer.steps
        if self.plan.folder is not None:
            self.start -= seconds_until(self.plan.folder / LOG, self.trainer.steps)

    def _require_same_data(self, checkpoint: Checkpoint) -> None:
        rows, epochs = checkpoint.recorded("rows", int, type(None)), checkpoint.recorded("epochs", int)
        self.epochs = self.plan.epochs or epochs
        if rows != self.batches.rows:
            message = f"this training was started on data with {rows} rows, but this data has {self.batches.rows}"
            raise fail("E0723", message, file=checkpoint.path, help=SAME_DATA)
        if checkpoint.recorded("data", str, type(None)) != self.batches.fingerprint:
            message = "this training was started on other data, with the same number of rows"
            raise fail("E0723", message, file=checkpoint.path, help=SAME_DATA)
        if self.trainer.wants_total and epochs != self.epochs:
            message = f"this training was started for {epochs} epochs, on which its learning rates depend"
            raise fail("E0723", message, file=checkpoint.path, help=f"continue with `--epochs {epochs}`")

    def _interrupt(self) -> None:
        self._save()
        steps = self.trainer.steps
        if self.plan.folder is None:
            raise Interrupted(f"stopped after step {steps}")
        raise Interrupted(
            f"stopped after step {steps}, which is saved in {self.plan.folder / LAST}; --resume continues it"
        )


class _IterableBatches:
    """Batches from outside, iterated once per epoch."""

    rows: int | None = None
    steps: int | None = None
    fingerprint: str | None = None

    def __init__(self, data: Iterable[Mapping[str, Any]]) -> None:
        self.data, self.used = data, False

    def epoch(self, number: int, start: int = 0) -> Iterator[Mapping[str, Any]]:
        if self.used and iter(self.data) is self.data:
            message = "these batches can be iterated only once"
            raise fail("E0718", message, help="pass a list instead of a generator to train for several epochs")
        self.used = True
        return islice(iter(self.data), start, None)
