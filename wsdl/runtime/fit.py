"""A whole training: epochs, evaluation, checkpoints, early stopping, resuming."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, replace
from functools import partial
from math import isfinite
from pathlib import Path
from time import monotonic
from typing import Any

from wsdl.atomic import remove_leftovers
from wsdl.diagnostics.run_error import fail
from wsdl.reporting.json_lines import LOG, seconds_until
from wsdl.reporting.reports import Callback, EvaluationReport, RunPlan, StepReport, reporting
from wsdl.runtime.checkpoint import Checkpoint, read_checkpoint, write_checkpoint
from wsdl.runtime.plan import Plan, Progress
from wsdl.runtime.stopping import Interrupted, Stop
from wsdl.runtime.stream import Data, Stream
from wsdl.runtime.trainer import Step, Trainer, Trainers
from wsdl.runtime.training_state import LAST
from wsdl.runtime.turns import steps_until
from wsdl.weights.metadata import VARIANT
from wsdl.weights.safetensors import save_safetensors

BEST = "best.safetensors"
SKIPPED = 20  # consecutive batches skipped before the training gives up
SAME_DATA = "a run resumes only with the same data, in the same order"


def fit(
    trainer: Trainer | Trainers,
    data: Data | Mapping[str, Data],
    plan: Plan | None = None,
    *,
    evaluation: Data | Mapping[str, Data] | None = None,
    callback: Callback | None = None,
    resume: Checkpoint | None = None,
    stop: Stop | None = None,
) -> Progress:
    """Train on `data`; `resume` is a checkpoint to resume from, bit for bit.

    `data` are arrays of many rows by name, which are reshuffled in each epoch, or an iterable of the batches of an
    epoch. For several trainings it has those of each, by the name of the training. An epoch is then one of the first
    training; it ends where this would begin its next one. A signal to stop (Ctrl-C) saves first, and raises
    `Interrupted`.

    `stop` is what such a signal sets, where others may set it.

    Several workers call this alike: each with all arrays, or with its own rows of each batch, and as many batches as
    the others; what is evaluated is whole on each. The first one writes files and reports; a signal to one stops all.
    """
    callback = callback if callback is not None and trainer.exchange.rank == 0 else Callback()
    return _Run(trainer, _streams(trainer, data, evaluation), plan or Plan(), callback, stop or Stop()).run(resume)


def _streams(trainer: Trainer | Trainers, data: Any, evaluation: Any) -> dict[str, Stream]:
    """The trainings with their data; one alone has no name."""
    if isinstance(trainer, Trainer):
        return {"": Stream(trainer, data, evaluation)}
    if trainer.turns is None:
        message = "the program doesn't say how these trainings take turns"
        names = ", ".join(f"{name} 1" for name in trainer)
        raise fail("E0705", message, help=f"write `turns {{ {names} }}`, or make the steps yourself")
    missing = [name for name in trainer if name not in data]
    if missing:
        raise fail("E0704", f"the training `{missing[0]}` has no data", help=f"`--data {missing[0]}=…` names its data")
    order = [name for name in trainer.turns.counts if name in trainer]
    return {name: Stream(trainer[name], data[name], (evaluation or {}).get(name), name) for name in order}


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
        trainer: Trainer | Trainers,
        streams: dict[str, Stream],
        plan: Plan,
        callback: Callback,
        stop: Stop,
    ) -> None:
        self.trainer, self.streams, self.callback, self.exchange = trainer, streams, callback, trainer.exchange
        self.first = next(iter(streams.values()))
        evaluated = next((s for s in streams.values() if s.evaluation is not None), self.first)
        self.plan = replace(plan, better=evaluated.better(plan.better))
        self.progress = Progress(rows=self._of_each(lambda stream: stream.batches.rows))
        self.epochs = plan.epochs or 1
        self.stop = stop
        self.start = monotonic()
        self.saved_at = -1
        self.bad_in_a_row = 0

    def _of_each(self, figure: Callable[[Stream], Any]) -> Any:
        """A figure of the only training, or those of several by their names."""
        return {n: figure(s) for n, s in self.streams.items()} if len(self.streams) > 1 else figure(self.first)

    # -- the loop ------------------------------------------------------------------------------------------------------

    def run(self, resume: Checkpoint | None) -> Progress:
        trainer = self.trainer
        self._check_names()
        said = [note for stream in self.streams.values() if (note := stream.check())]
        if resume is not None:
            self._resume(resume)
        self._set_totals()
        with self.stop.watching(), reporting(self.callback, self._run_plan()):
            for note in said:
                self.callback.on_note(note)
            while self.progress.epoch < self.epochs and not self._is_over():
                self._epoch()
                if self._stops():
                    self._interrupt()
            if self.saved_at != trainer.steps:
                self._save()
        return self.progress

    def _epoch(self) -> None:
        progress, first = self.progress, self.first
        is_done = False
        while not self._is_over():
            stream = self._in_turn()
            taken = stream.take()
            if taken is None:
                stream.end_epoch()
                if stream is first:
                    is_done = True
                    break
                continue
            self.exchange.wants_stop = self.stop.asked
            step = stream.trainer.make_step(taken[0], again=taken[1])
            stream.batch += 1
            self.bad_in_a_row = self.bad_in_a_row + 1 if step.is_skipped else 0
            self._report(stream, step)
            if self._stops():
                self._interrupt()
            if self._is_over():
                break
            if self.plan.save_every and not step.is_skipped and self.trainer.steps % self.plan.save_every == 0:
                self._save()
        if not is_done and len(self.streams) == 1 and first.steps_of_epoch == first.batch:
            first.end_epoch()
            is_done = True
        progress.epoch = first.epoch
        if any(stream.evaluation is not None for stream in self.streams.values()):
            self._evaluate(first.epoch if is_done else first.epoch + 1)
        self._save()

    def _stops(self) -> bool:
        """Was this process asked to stop, or have several workers agreed to?"""
        return self.stop.asked if self.exchange.is_alone else self.exchange.stops

    def _in_turn(self) -> Stream:
        """The training of the next step."""
        return self.first if isinstance(self.trainer, Trainer) else self.streams[self.trainer.turn or ""]

    def _is_over(self) -> bool:
        plan, progress = self.plan, self.progress
        is_long = plan.limit_steps is not None and self.trainer.steps >= plan.limit_steps
        return is_long or (plan.patience is not None and progress.waited >= plan.patience)

    def _set_totals(self) -> None:
        """Set the length of the run for schedules, which early stopping and limits don't change."""
        wanting = [s.trainer for s in self.streams.values() if s.trainer.wants_total and s.trainer.total_steps is None]
        planned = self._planned_steps() if wanting else None
        if wanting and planned is None:
            message = "the learning rate schedule needs the length of the run, which is not known"
            help = "set `trainer.total_steps = 1000`, or write `cosine(1e-3, steps=1000)` in the program"
            raise fail("E0831", message, help=help)
        for trainer in wanting:
            assert planned is not None
            trainer.total_steps = max(1, planned[trainer.name])

    def _planned_steps(self) -> Mapping[str, int] | None:
        """The steps of each training in the whole run; `None` if unknown."""
        steps = self.first.steps_of_epoch
        if steps is None:
            return None
        if isinstance(self.trainer, Trainer) or self.trainer.turns is None:
            return {self.first.trainer.name: steps * self.epochs}
        seed = self.trainer.seed
        return steps_until(self.trainer.turns, seed, self.first.name, steps * self.epochs)

    def _check_names(self) -> None:
        names = [stream.called(name) for stream in self.streams.values() for name in stream.results]
        if self.plan.better.name not in names:
            listed = ", ".join(f"`{name}`" for name in names)
            message = f"there is no metric `{self.plan.better.name}` to select the best weights by"
            raise fail("E0704", message, help=f"there are {listed}")

    # -- reports -------------------------------------------------------------------------------------------------------

    def _run_plan(self) -> RunPlan:
        trainer, planned = self.trainer, self._planned_steps()
        total = None if planned is None else sum(planned.values())
        if self.plan.limit_steps is not None:
            total = min(self.plan.limit_steps, total if total is not None else self.plan.limit_steps)
        summary = self.first.trainer.models.summary
        return RunPlan(
            ", ".join(stream.trainer.models.name for stream in self.streams.values()),
            total,
            self.epochs,
            self.first.steps_of_epoch,
            self.first.trainer.settings.batch,
            trainer.steps,
            summary.sizes.parameters,
            summary.sizes.parameters_without_sharing,
            trainer.header.get(VARIANT, ""),
            tuple(summary.cells()),
            summary.totals(),
        )

    def _report(self, stream: Stream, step: Step) -> None:
        if step.is_skipped:
            self.progress.skipped += 1
            reason = "its gradients are not finite" if isfinite(step.loss) else f"its loss is {step.loss:g}"
            text = f"skipped a batch after step {self.trainer.steps}: {reason}"
            self.callback.on_note(text)
            if self.bad_in_a_row >= SKIPPED:
                message = f"the losses or gradients of {SKIPPED} batches in a row are not finite"
                raise fail(
                    "E0830", message, help="the weights may not be finite either; resume from an earlier checkpoint"
                )
            return
        metrics = {name: value for name, value in step.results.items() if name != "loss"}
        report = StepReport(
            self.trainer.steps,
            self.first.epoch + 1,
            step.loss,
            metrics,
            step.rate,
            step.rows,
            self._seconds(),
            stream.name,
        )
        self.callback.on_step(report)

    def _seconds(self) -> float:
        return monotonic() - self.start

    # -- evaluation and checkpoints ------------------------------------------------------------------------------------

    def _evaluate(self, epoch: int) -> None:
        progress, better = self.progress, self.plan.better
        progress.results = {n: value for stream in self.streams.values() for n, value in stream.evaluate().items()}
        is_best = better.name in progress.results and better.than(progress.results[better.name], progress.best)
        progress.waited = 0 if is_best else progress.waited + 1
        if is_best:
            progress.best, progress.best_step = progress.results[better.name], self.trainer.steps
            if self.plan.folder is not None:
                self.exchange.agreed(partial(self._write_best, self.plan.folder / BEST))
        report = EvaluationReport(self.trainer.steps, epoch, progress.results, is_best)
        self.callback.on_eval(report)

    def _write_best(self, path: Path) -> None:
        if self.exchange.rank == 0:
            save_safetensors(path, self.trainer.weights, self.trainer.header)

    def _save(self) -> None:
        folder, self.saved_at = self.plan.folder, self.trainer.steps
        if folder is None:
            return
        self.callback.on_save()
        checkpoint = self.trainer.checkpoint(
            {
                **asdict(self.progress),
                "batch": self.first.batch,
                "others": {s.name: [s.epoch, s.batch] for s in self.streams.values() if s is not self.first},
                "epochs": self.epochs,
                "data": self._of_each(lambda stream: stream.batches.fingerprint),
            }
        )
        self.exchange.agreed(partial(self._write, folder, checkpoint))

    def _write(self, folder: Path, checkpoint: Checkpoint) -> None:
        if self.exchange.rank:
            return
        write_checkpoint(folder / LAST, checkpoint)
        if self.plan.keep:
            write_checkpoint(folder / f"step-{self.trainer.steps:08}.safetensors", checkpoint)
            for old in sorted(folder.glob("step-*.safetensors"))[: -self.plan.keep]:
                old.unlink(missing_ok=True)

    def _resume(self, checkpoint: Checkpoint) -> None:
        checkpoint.require_same_settings(self.trainer.written_settings)
        self._require_same_data(checkpoint)
        self.trainer.restore(checkpoint)
        self.progress = Progress(
            **{name: checkpoint.recorded(name, int) for name in ("epoch", "batch", "best_step", "waited", "skipped")},
            best=checkpoint.recorded("best", float, int, type(None)),
            rows=checkpoint.recorded("rows", int, dict, type(None)),
            results=checkpoint.recorded("results", dict),
        )
        self.first.epoch, self.first.batch = self.progress.epoch, self.progress.batch
        for name, (epoch, batch) in checkpoint.progress.get("others", {}).items():
            self.streams[name].epoch, self.streams[name].batch = epoch, batch
        self.saved_at = self.trainer.steps
        if self.plan.folder is not None:
            self.start -= seconds_until(self.plan.folder / LOG, self.trainer.steps)

    def _require_same_data(self, checkpoint: Checkpoint) -> None:
        rows, epochs = checkpoint.recorded("rows", int, dict, type(None)), checkpoint.recorded("epochs", int)
        self.epochs = self.plan.epochs or epochs
        if rows != self.progress.rows:
            message = (
                f"this training was started on data with {_rows(rows)}, but this data has {_rows(self.progress.rows)}"
            )
            raise fail("E0723", message.removesuffix(" rows"), file=checkpoint.path, help=SAME_DATA)
        data = checkpoint.recorded("data", str, dict, type(None))
        if data != self._of_each(lambda stream: stream.batches.fingerprint):
            message = "this training was started on other data, with the same number of rows"
            raise fail("E0723", message, file=checkpoint.path, help=SAME_DATA)
        if any(s.trainer.wants_total for s in self.streams.values()) and epochs != self.epochs:
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


def _rows(rows: Any) -> str:
    """The number of rows of the data of one training, or of several."""
    return (
        " and ".join(f"{count} ({name})" for name, count in rows.items()) if isinstance(rows, dict) else f"{rows} rows"
    )
