"""Training and evaluation of a program on arrays, or on data in files."""

from __future__ import annotations

import functools
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from wsdl.api.checking import stored
from wsdl.api.compiling import compile
from wsdl.api.program import Program
from wsdl.api.running import untrained
from wsdl.api.sources import program_in
from wsdl.diagnostics import Diagnostic
from wsdl.diagnostics.span import Source
from wsdl.options import (
    CALLBACKS,
    COUNT,
    DATA,
    DIMS,
    FLAG,
    NAME,
    ON_NAN,
    PATH,
    PROGRAM,
    SEED,
    SHARE,
    WEIGHTS,
    Optional,
    takes,
)

if TYPE_CHECKING:
    from wsdl.distributed import Communicator
    from wsdl.ir.types import TensorType
    from wsdl.reporting.reports import Callback
    from wsdl.runtime.checkpoint import Checkpoint
    from wsdl.runtime.plan import Plan, Progress
    from wsdl.runtime.stopping import Stop
    from wsdl.runtime.trainer import OnNaN, Trainer, Trainers
    from wsdl.weights.weights import Weights

    Paths = str | os.PathLike[str]
    Rows = Paths | Mapping[str, Any]  # a file or folder, or arrays by name


@takes(epochs=COUNT, folder=Optional(PATH), replace=FLAG, callbacks=CALLBACKS)
def fit(
    trainer: Trainer | Trainers,
    data: Mapping[str, Any] | Iterable[Mapping[str, Any]],
    *,
    epochs: int = 1,
    evaluation: Mapping[str, Any] | Iterable[Mapping[str, Any]] | None = None,
    folder: Paths | None = None,
    replace: bool = False,
    callbacks: Sequence[Callback] = (),
) -> dict[str, float]:
    """Train for `epochs`; returns the results of the last evaluation, `{"loss": …, "accuracy": …}`.

    `data` and `evaluation` are arrays with many rows, which are shuffled in each epoch, or an iterable of batches; for
    `Trainers` those of each training by its name, and results are called `critic.loss`.
    The checkpoints that `wsdl train` writes go to `folder`; if it contains a training already, that is an error
    (E0724), unless `replace` overwrites it. `callbacks` receive the reports of the training. Several workers call this
    together, each with all arrays, or with its own rows of each batch, and as many batches as the others.
    """
    from wsdl.reporting.reports import Callbacks
    from wsdl.runtime.fit import checkpoint_in, fit
    from wsdl.runtime.folder_lock import alone_in
    from wsdl.runtime.plan import Plan

    plan = Plan(epochs, None if folder is None else Path(folder))
    own = plan.folder if trainer.exchange.rank == 0 else None
    with trainer.exchange.entered(alone_in(own)):
        trainer.exchange.agreed(functools.partial(checkpoint_in, own, resume=False, replace=replace))
        return fit(trainer, data, plan, evaluation=evaluation, callback=Callbacks(callbacks)).results


@dataclass(frozen=True)
class Trained:
    """The result of a training: the steps of each training by its name, the progress, the diagnostics of the program,
    and the weights that were written: the last, then the best if there was an evaluation. `trainer` is in its last
    state; there is none where other processes have trained."""

    steps: Mapping[str, int]
    progress: Progress
    diagnostics: list[Diagnostic]
    files: list[Path]
    trainer: Trainer | Trainers | None = None


@dataclass(frozen=True)
class TrainingJob:
    """All that a training needs, for this process or for others: the arguments of `train`."""

    source: Source
    data: Rows | Mapping[str, Rows]
    plan: Plan
    evaluation: Rows | Mapping[str, Rows] | None
    settings: Mapping[str, int | Mapping[str, int]]
    model: str | None
    weights: Weights | None
    partial: bool
    fit: float | None
    dims: Mapping[str, int] | None
    import_root: str | None
    variant: str | None
    only_try: bool
    on_nan: OnNaN
    device: str
    threads: int | None

    def run(
        self,
        callback: Callback,
        *,
        resume: bool,
        replace: bool,
        workers: Communicator | None = None,
        stop: Stop | None = None,
    ) -> Trained:
        """Train, in this process, or with the communicator of one of several workers, which all run the same job. The
        first one has the folder and reports."""
        from wsdl.runtime.exchange import Exchange
        from wsdl.runtime.fit import checkpoint_in, fit, weights_in
        from wsdl.runtime.folder_lock import alone_in
        from wsdl.runtime.trainer import Trainers

        folder, exchange = None if self.only_try else self.plan.folder, Exchange(workers)
        with exchange.entered(alone_in(folder if exchange.rank == 0 else None)):
            checkpoint = exchange.agreed(functools.partial(checkpoint_in, folder, resume=resume, replace=replace))
            program, settings = exchange.agreed(functools.partial(self._program, checkpoint))
            several = self.model is None and program.turns is not None
            make = program.trainers if several else functools.partial(program.trainer, self.model)
            trainer = make(device=self.device, threads=self.threads, on_nan=self.on_nan, workers=workers, **settings)
            arrays, evaluation = exchange.agreed(functools.partial(self._rows, trainer))
            if self.only_try and isinstance(trainer, Trainers):
                progress = _tried(trainer, arrays, evaluation or {})
            else:
                plan = self.plan.tried() if self.only_try else self.plan
                progress = fit(
                    trainer, arrays, plan, evaluation=evaluation, callback=callback, resume=checkpoint, stop=stop
                )
            each = trainer if isinstance(trainer, Trainers) else {trainer.name: trainer}
            steps = {name: own.steps for name, own in each.items()}
            diagnostics = [*program.diagnostics, *trainer.findings]
            return Trained(steps, progress, diagnostics, weights_in(self.plan, progress), trainer)

    def _program(self, checkpoint: Checkpoint | None) -> tuple[Program, dict[str, Any]]:
        """The program with its weights, and the settings of the run."""
        from wsdl.diagnostics.run_error import fail

        settings: dict[str, Any] = dict(self.settings)
        dims, import_root, variant, weights = self.dims, self.import_root, self.variant, self.weights
        if checkpoint is not None:
            checked = stored(self.source, dims, import_root, variant).checked
            checkpoint.require_same_program(checked.sources)
            checkpoint.require_same_variant(checked.variant)
            settings = {**checkpoint.settings, **settings}
            weights = checkpoint.path
        program = compile(
            self.source,
            dims=dims,
            seed=settings.get("seed", 0),
            weights=weights,
            partial=self.partial and checkpoint is None,
            fit=self.fit,
            import_root=import_root,
            variant=variant,
        )
        named = next((option for option, value in settings.items() if isinstance(value, Mapping)), None)
        if named is not None and (self.model is not None or program.turns is None):
            raise fail("E0704", f"there is one training, so its `{named}` has no name", help=f"write `--{named} N`")
        return program, settings

    def _rows(self, trainer: Trainer | Trainers) -> tuple[dict[str, Any], dict[str, Any] | None]:
        """The arrays to train on and to evaluate."""
        arrays = _arrays(trainer, self.data, first=self.only_try)
        return arrays, None if self.evaluation is None else _arrays(trainer, self.evaluation, first=self.only_try)


class TrainingRunner(Protocol):
    """Runs a training in other processes: `wsdl.ray.Workers`."""

    def run_training(self, job: TrainingJob, callback: Callback, *, resume: bool, replace: bool) -> Trained: ...


@takes(
    path=PROGRAM,
    data=DATA,
    evaluation=Optional(DATA),
    model=Optional(NAME),
    weights=Optional(WEIGHTS),
    partial=FLAG,
    fit=Optional(SHARE),
    dims=Optional(DIMS),
    import_root=Optional(PATH),
    variant=Optional(NAME),
    resume=FLAG,
    replace=FLAG,
    only_try=FLAG,
    on_nan=ON_NAN,
    device=NAME,
    threads=Optional(COUNT),
    callbacks=CALLBACKS,
)
def train(
    path: Paths | Source,
    data: Rows | Mapping[str, Rows],
    plan: Plan,
    *,
    evaluation: Rows | Mapping[str, Rows] | None = None,
    settings: Mapping[str, int | Mapping[str, int]] | None = None,
    model: str | None = None,
    weights: Weights | None = None,
    partial: bool = False,
    fit: float | None = None,
    dims: Mapping[str, int] | None = None,
    import_root: str | None = None,
    variant: str | None = None,
    resume: bool = False,
    replace: bool = False,
    only_try: bool = False,
    on_nan: OnNaN = "stop",
    device: str = "cpu",
    threads: int | None = None,
    workers: TrainingRunner | None = None,
    callbacks: Sequence[Callback] = (),
) -> Trained:
    """Train a model of a program as described by `plan`. `data` and `evaluation` are files, folders, or arrays by name.
    Without `model`, trainings that the program lets take turns make one run; `data` and `evaluation` are then a file of
    all of them, or a file or arrays for each by its name. `weights` are what the training starts with: all of them, or
    with `partial` some, and the others as the program initializes them.

    `settings` are the fields of `Settings` that differ from the defaults, of all trainings or of some by their names; a
    resumed training has those of its checkpoint. If the folder holds a training, `resume` continues it and `replace`
    overwrites it; otherwise it is an error (E0724). `only_try` runs one step, evaluates one batch, and writes nothing.
    With `workers`, as `wsdl.ray.Workers(4)`, other processes train, which see the same files. `callbacks` receive the
    reports of the training, in this process.
    """
    from wsdl.reporting.reports import Callbacks

    job = TrainingJob(
        program_in(path),
        _held(data),
        plan,
        _held(evaluation),
        dict(settings or {}),
        model,
        weights,
        partial,
        fit,
        dims,
        import_root,
        variant,
        only_try,
        on_nan,
        device,
        threads,
    )
    run = job.run if workers is None else functools.partial(workers.run_training, job)
    return run(Callbacks(callbacks), resume=resume, replace=replace)


def _held(data: Any) -> Any:
    """Data with arrays in memory where they came from an open file, so that they can be sent to other processes."""
    return {name: _held(rows) for name, rows in data.items()} if isinstance(data, Mapping) else data


def rows_in(data: Paths, types: Mapping[str, TensorType]) -> dict[str, Any]:
    """The arrays of a file or folder. Raises `RunError` if it has no rows."""
    from wsdl.diagnostics.run_error import fail
    from wsdl.runtime.arrays import rows_of
    from wsdl.runtime.batches import has_rows
    from wsdl.runtime.data import open_data

    arrays, rows = open_data(data).fitting(types), rows_of(types)
    if any(array.shape[:1] == (0,) for name, array in arrays.items() if has_rows(types[name], rows)):
        raise fail("E0718", "the data has no rows", file=os.fspath(data))
    return arrays


def _arrays(trainer: Trainer | Trainers, data: Rows | Mapping[str, Rows], *, first: bool) -> dict[str, Any]:
    """The arrays of a training, or those of several by their names; only the `first` batch."""
    from wsdl.diagnostics.run_error import fail
    from wsdl.runtime.trainer import Trainer

    each = _by_training(data)
    if isinstance(trainer, Trainer):
        if each is not None:
            rows = next(iter(each.values()))
            message = f"there is one training, `{trainer.name}`, so its data has no name"
            help = None if isinstance(rows, Mapping) else f"write `--data {rows}`"
            raise fail("E0704", message, help=help)
        arrays = dict(data) if isinstance(data, Mapping) else rows_in(data, trainer.batch_types)
        return _first(trainer, arrays) if first else arrays
    if each is None:
        each = dict.fromkeys(trainer, data)
    for name in each.keys() - trainer.keys():
        message = f"there is no training `{name}` that takes turns"
        raise fail("E0704", message, help=f"the trainings are {', '.join(f'`{n}`' for n in trainer)}")
    return {name: _arrays(trainer[name], rows, first=first) for name, rows in each.items()}


def _by_training(data: Rows | Mapping[str, Rows]) -> Mapping[str, Rows] | None:
    """The data of each of several trainings; `None` if all have the same."""
    if not isinstance(data, Mapping) or not data:
        return None
    return data if all(isinstance(rows, str | os.PathLike | Mapping) for rows in data.values()) else None


def _tried(trainers: Trainers, arrays: Mapping[str, Any], evaluation: Mapping[str, Any]) -> Progress:
    """One step of each of several trainings, and the evaluation of one batch."""
    from wsdl.runtime.plan import Progress

    results: dict[str, float] = {}
    for name, trainer in trainers.items():
        trainer.total_steps = 1
        if name not in arrays:
            continue
        trainer.step(next(iter(trainer.batches(arrays[name], shuffle=False).epoch(0))))
        if name in evaluation:
            results |= {f"{name}.{result}": value for result, value in trainer.evaluate(evaluation[name]).items()}
    return Progress(results=results)


def _first(trainer: Trainer, arrays: Mapping[str, Any]) -> dict[str, Any]:
    """The first batch."""
    return next(iter(trainer.whole_batches(arrays).epoch(0)))


@takes(
    path=PROGRAM,
    data=PATH,
    model=Optional(NAME),
    weights=Optional(WEIGHTS),
    fit=Optional(SHARE),
    batch=COUNT,
    seed=Optional(SEED),
    dims=Optional(DIMS),
    import_root=Optional(PATH),
    variant=Optional(NAME),
    device=NAME,
    threads=Optional(COUNT),
)
def evaluate(
    path: Paths | Source,
    data: Paths,
    *,
    model: str | None = None,
    weights: Weights | None = None,
    fit: float | None = None,
    batch: int = 256,
    seed: int | None = None,
    dims: Mapping[str, int] | None = None,
    import_root: str | None = None,
    variant: str | None = None,
    device: str = "cpu",
    threads: int | None = None,
) -> tuple[dict[str, float], list[Diagnostic]]:
    """The loss and the metrics of a model's `train` on data in a file, and the diagnostics of the program. `seed` is
    that of random numbers, by default that of the training which wrote the weights, or 0."""
    import numpy as np

    from wsdl.ir.step import seed_variable
    from wsdl.runtime.batches import batches_of
    from wsdl.runtime.checkpoint import seed_of
    from wsdl.runtime.indices import check_indices

    program = compile(program_in(path), dims=dims, weights=weights, fit=fit, import_root=import_root, variant=variant)
    evaluator = program.evaluator(model, device=device, threads=threads)
    types = evaluator.model.batch
    batches = batches_of(rows_in(data, types), types, batch, shuffle=False)
    check_indices(evaluator.indices, batches.arrays)
    carried = {v.name: program.stored[v.of] for v in evaluator.model.variables if v.of}
    notes = []
    if seed_variable() in evaluator.model.variables:
        if seed is None:
            seed = (None if weights is None or isinstance(weights, Mapping) else seed_of(weights)) or 0
        carried[seed_variable().name] = np.array(seed)
        notes.append(_sampled(program, seed))
    results = evaluator.run(batches.epoch(0), carried)
    return results, [*program.diagnostics, *evaluator.findings, *notes, *untrained(program)]


def _sampled(program: Program, seed: int) -> Diagnostic:
    """A note that results depend on random numbers."""
    message = f"loss and metrics are computed with random numbers, of the seed {seed}"
    help = "another `--seed` shows how much they depend on it"
    return Diagnostic("N0803", message, file=program.source.path, help=help, severity="note")
