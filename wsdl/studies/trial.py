"""One trial: a configuration trained with one seed and evaluated. `run` is all that a machine has to be able to do for
a study; what it takes and gives is JSON, so that it may be any machine that has the data."""

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
from wsdl.reporting.reports import Reporter, Reporters
from wsdl.runtime.fit import BEST
from wsdl.runtime.plan import Better, Plan
from wsdl.runtime.trainer import LAST
from wsdl.studies.results import Failure, Run
from wsdl.weights.safetensors import save_safetensors

WEIGHTS = "weights.safetensors"
LOCKED = 20.0  # seconds to wait for a folder


@dataclass(frozen=True)
class Training:
    """How every trial of a study trains and is evaluated; `data`, `evaluation` and `select` are paths.

    `select` are the data by which the best epoch is chosen, those of `evaluation` being for reporting alone; without
    them the weights of the last epoch are evaluated. `threads` are those of one trial.
    """

    data: str
    evaluation: str
    select: str | None
    model: str
    epochs: int
    batch: int
    accumulate: int
    best: str  # as `Better.of` reads it
    patience: int | None
    device: str
    threads: int
    dims: Mapping[str, int]
    import_root: str | None


@dataclass(frozen=True)
class Trial:
    """A configuration and a seed. `folder` gets the log, and the weights that were evaluated; while it trains, its
    checkpoints, from which it is resumed."""

    name: str  # of the configuration
    variant: str | None
    path: str
    text: str
    seed: int
    folder: str
    training: Training

    @property
    def label(self) -> str:
        """As a reader is told of it."""
        return f"{self.name}, seed {self.seed}"

    def as_json(self) -> dict[str, Any]:
        return asdict(self)

    @staticmethod
    def of_json(value: Mapping[str, Any]) -> Trial:
        return Trial(**{**value, "training": Training(**value["training"])})


def run(trial: Trial, reporter: Reporter) -> Run:
    """Train and evaluate, from the last checkpoint in the folder on. What is wrong with program, data or course is a
    `Run` with the reason; a signal to stop saves, and raises `Interrupted`."""
    until = monotonic() + LOCKED
    while True:
        try:
            return _trained(trial, reporter)
        except CompileError as error:
            first = next(d for d in error.diagnostics if d.severity == "error")
            if first.code == "E0725" and monotonic() < until:  # the process of a study that was killed is about to end
                sleep(0.1)
                continue
            is_lasting = not first.code.startswith("E07")  # else a matter of files and machines
            return Run(trial.seed, failure=Failure(first.code, first.summary(), is_lasting, first.details))
        except OSError as error:
            reason = (error.strerror or str(error)).lower()
            return Run(trial.seed, failure=Failure("E0703", f"this can't be written: {reason}", is_lasting=False))
        except MemoryError:
            return Run(trial.seed, failure=Failure("E0709", "there is not enough memory for this", is_lasting=False))


def _trained(trial: Trial, reporter: Reporter) -> Run:
    how, folder = trial.training, Path(trial.folder)
    source = Source(trial.path, trial.text)
    trained = api.train(
        source,
        how.data,
        Plan(how.epochs, folder, better=Better.of(how.best), patience=how.patience),
        evaluation=how.select,
        settings={"batch": how.batch, "accumulate": how.accumulate, "seed": trial.seed},
        model=how.model,
        dims=how.dims,
        import_root=how.import_root,
        variant=trial.variant,
        resume=True,
        device=how.device,
        threads=how.threads,
        reporter=Reporters([JsonLines(folder / LOG), reporter]),
    )
    trainer, progress = trained.trainer, trained.progress
    if how.select is None:
        metrics = trainer.evaluate(rows_in(how.evaluation, trainer.batch_types))
        save_safetensors(folder / WEIGHTS, trainer.weights, trainer.header)
    else:
        if not progress.has_best:
            raise fail("E0830", f"no evaluation by which the best epoch is selected gave a finite {how.best}")
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
    wrong = [name for name, value in metrics.items() if not isfinite(value)]
    if wrong:
        raise fail("E0830", f"the evaluation gives {metrics[wrong[0]]} for `{wrong[0]}`")
    best = None if how.select is None else progress.best_step * progress.epoch // trainer.steps
    seconds, step = _times(folder / LOG)
    return Run(trial.seed, metrics, trainer.steps, best, round(1000 * step, 4), round(seconds, 3))


def keep_weights(folder: Path) -> None:
    """Of a finished trial, whose results are recorded, keep the weights that were evaluated and the log alone."""
    with suppress(FileNotFoundError):
        (folder / BEST).replace(folder / WEIGHTS)
    (folder / LAST).unlink(missing_ok=True)


def _times(log: Path) -> tuple[float, float]:
    """The seconds of a training and those of a step, the latter by the median epoch: without evaluations and
    checkpoints, which come between epochs. 0 where the log is gone."""
    lines = [line for line in read_log(log) if line.results is None]
    if not lines:
        return 0.0, 0.0
    epochs = [list(steps) for _, steps in groupby(lines, lambda line: line.epoch)]
    each = [(e[-1].seconds - e[0].seconds) / (len(e) - 1) for e in epochs if len(e) > 1]
    total = lines[-1].seconds
    return total, median(each) if each else total / len(lines)
