"""One trial: a configuration trained with one seed and evaluated. `run` is all that a worker does for a study; its
argument and result convert to JSON, so that it may run on any machine that has the data."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from itertools import groupby
from math import isfinite
from pathlib import Path
from statistics import median
from time import monotonic, sleep
from typing import Any

from wsdl import api
from wsdl.api.training import rows_in
from wsdl.diagnostics import CompileError
from wsdl.diagnostics.run_error import fail
from wsdl.diagnostics.span import Source
from wsdl.reporting.json_lines import LOG, JsonLines, read_log
from wsdl.reporting.reports import Callback
from wsdl.runtime.fit import BEST
from wsdl.runtime.plan import Better, Plan
from wsdl.runtime.trainer import Trainer
from wsdl.runtime.training_state import LAST
from wsdl.studies.results import Failure, Run
from wsdl.weights.safetensors import save_safetensors

WEIGHTS = "weights.safetensors"
LOCKED = 20.0  # seconds to wait for a locked folder


@dataclass(frozen=True)
class Training:
    """How every trial of a study trains and is evaluated; `data`, `evaluation` and `select` are paths.

    `select` holds the data by which the best epoch is chosen; `evaluation` is only for reporting. Without `select` the
    weights of the last epoch are evaluated. `threads` is the number of threads of one trial.
    """

    data: str
    evaluation: str
    select: str | None
    model: str
    epochs: int
    batch: int
    accumulate: int
    hold: int
    best: str  # as `Better.of` reads it
    patience: int | None
    device: str
    threads: int
    dims: Mapping[str, int]
    import_root: str | None


@dataclass(frozen=True)
class Trial:
    """A configuration and a seed. `folder` receives the log and the evaluated weights and, during the training, the
    checkpoints from which it resumes."""

    name: str  # of the configuration
    variant: str | None
    path: str
    text: str
    seed: int
    folder: str
    training: Training

    @property
    def label(self) -> str:
        """Its name in output."""
        return f"{self.name}, seed {self.seed}"

    def as_json(self) -> dict[str, Any]:
        return asdict(self)

    @staticmethod
    def of_json(value: Mapping[str, Any]) -> Trial:
        return Trial(**{**value, "training": Training(**value["training"])})


def run(trial: Trial, callback: Callback) -> Run:
    """Train and evaluate; resumes from a checkpoint in the folder. On errors in the program, the data or the training
    returns a `Run` with the reason; a signal to stop saves, and raises `Interrupted`."""
    until = monotonic() + LOCKED
    while True:
        try:
            return _trained(trial, callback)
        except CompileError as error:
            first = next(d for d in error.diagnostics if d.severity == "error")
            if first.code == "E0725" and monotonic() < until:  # the process of a study that was killed is about to end
                sleep(0.1)
                continue
            is_lasting = not first.code.startswith("E07")  # E07: errors of files and machines
            return Run(trial.seed, failure=Failure(first.code, first.summary(), is_lasting, first.details))
        except OSError as error:
            reason = (error.strerror or str(error)).lower()
            return Run(trial.seed, failure=Failure("E0703", f"this can't be written: {reason}", is_lasting=False))
        except MemoryError:
            return Run(trial.seed, failure=Failure("E0709", "not enough memory", is_lasting=False))


def _trained(trial: Trial, callback: Callback) -> Run:
    how, folder = trial.training, Path(trial.folder)
    source = Source(trial.path, trial.text)
    trained = api.train(
        source,
        how.data,
        Plan(how.epochs, folder, better=Better.of(how.best), patience=how.patience),
        evaluation=how.select,
        settings={"batch": how.batch, "accumulate": how.accumulate, "hold": how.hold, "seed": trial.seed},
        model=how.model,
        dims=how.dims,
        import_root=how.import_root,
        variant=trial.variant,
        resume=True,
        device=how.device,
        threads=how.threads,
        callbacks=[JsonLines(folder / LOG), callback],
    )
    trainer, progress = trained.trainer, trained.progress
    assert isinstance(trainer, Trainer), "a study is of one training, which `compare` chooses"
    if how.select is None:
        metrics = trainer.evaluate(rows_in(how.evaluation, trainer.batch_types))
        save_safetensors(folder / WEIGHTS, trainer.weights, trainer.header)
    else:
        if not progress.has_best:
            raise fail("E0830", f"`{how.best}` on the data of `select` was not finite in any epoch")
        metrics, _ = api.evaluate(
            source,
            how.evaluation,
            model=how.model,
            weights=folder / BEST,
            batch=how.batch,
            dims=how.dims,
            import_root=how.import_root,
            variant=trial.variant,
            device=how.device,
            threads=how.threads,
        )
    not_finite = [name for name, value in metrics.items() if not isfinite(value)]
    if not_finite:
        raise fail("E0830", f"the evaluation gives {metrics[not_finite[0]]} for `{not_finite[0]}`")
    best = None if how.select is None else progress.best_step * progress.epoch // trainer.steps
    seconds, step = _times(folder / LOG)
    return Run(trial.seed, metrics, trainer.steps, best, round(1000 * step, 4), round(seconds, 3))


def keep_weights(folder: Path) -> None:
    """Delete the checkpoints of a finished trial whose results are recorded, except the evaluated weights."""
    with suppress(FileNotFoundError):
        (folder / BEST).replace(folder / WEIGHTS)
    (folder / LAST).unlink(missing_ok=True)


def _times(log: Path) -> tuple[float, float]:
    """The seconds of a training and of a step. The latter is that of the median epoch, so that evaluations and
    checkpoints, which come between epochs, don't count. 0 without a log."""
    lines = [line for line in read_log(log) if line.results is None]
    if not lines:
        return 0.0, 0.0
    epochs = [list(steps) for _, steps in groupby(lines, lambda line: line.epoch)]
    each = [(e[-1].seconds - e[0].seconds) / (len(e) - 1) for e in epochs if len(e) > 1]
    total = lines[-1].seconds
    return total, median(each) if each else total / len(lines)
