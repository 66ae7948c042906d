"""Training and evaluation of a program on data in files."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from wsdl.api.checking import stored
from wsdl.api.compiling import compile
from wsdl.api.program import Program
from wsdl.api.running import untrained
from wsdl.api.sources import program_in
from wsdl.diagnostics import Diagnostic
from wsdl.diagnostics.span import Source
from wsdl.options import COUNT, DIMS, FLAG, NAME, ON_NAN, PATH, PROGRAM, SEED, SHARE, WEIGHTS, Optional, takes

if TYPE_CHECKING:
    from wsdl.ir.types import TensorType
    from wsdl.reporting.reports import Reporter
    from wsdl.runtime.plan import Plan, Progress
    from wsdl.runtime.trainer import OnNaN, Trainer, Trainers
    from wsdl.weights.weights import Weights

    Paths = str | os.PathLike[str]


@takes(epochs=COUNT, folder=Optional(PATH), replace=FLAG)
def fit(
    trainer: Trainer | Trainers,
    data: Mapping[str, Any] | Iterable[Mapping[str, Any]],
    *,
    epochs: int = 1,
    evaluation: Mapping[str, Any] | Iterable[Mapping[str, Any]] | None = None,
    folder: Paths | None = None,
    replace: bool = False,
) -> dict[str, float]:
    """Train for `epochs`; returns the results of the last evaluation, `{"loss": …, "accuracy": …}`.

    `data` and `evaluation` are arrays with many rows, which are shuffled in each epoch, or an iterable of batches; for
    `Trainers` those of each training by its name, and results are called `critic.loss`.
    The checkpoints that `wsdl train` writes go to `folder`; if it contains a training already, that is an error
    (E0724), unless `replace` overwrites it. Several workers call this together, each with all arrays, or with its own
    rows of each batch.
    """
    from wsdl.runtime.fit import checkpoint_in, fit
    from wsdl.runtime.folder_lock import alone_in
    from wsdl.runtime.plan import Plan

    plan = Plan(epochs, None if folder is None else Path(folder))
    own = plan.folder if trainer.exchange.rank == 0 else None
    with trainer.exchange.entered(alone_in(own)):
        trainer.exchange.agreed(partial(checkpoint_in, own, resume=False, replace=replace))
        return fit(trainer, data, plan, evaluation=evaluation).results


@dataclass(frozen=True)
class Trained:
    """The result of a training: the trainer in its last state, the progress, the diagnostics of the program, and the
    weights that were written: the last, then the best if there was an evaluation."""

    trainer: Trainer | Trainers
    progress: Progress
    diagnostics: list[Diagnostic]
    files: list[Path]


@takes(
    path=PROGRAM,
    model=Optional(NAME),
    weights=Optional(WEIGHTS),
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
)
def train(
    path: Paths | Source,
    data: Paths | Mapping[str, Paths],
    plan: Plan,
    *,
    evaluation: Paths | Mapping[str, Paths] | None = None,
    settings: Mapping[str, int] | None = None,
    model: str | None = None,
    weights: Weights | None = None,
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
    reporter: Reporter | None = None,
) -> Trained:
    """Train a model of a program on data in files, as described by `plan`. Without `model`, trainings that the program
    lets take turns make one run; `data` and `evaluation` are then of all of them, or a file for each by its name.

    `settings` are the fields of `Settings` that differ from the defaults; a resumed training has those of its
    checkpoint. If the folder holds a training, `resume` continues it and `replace` overwrites it; otherwise it is an
    error (E0724). `only_try` runs one step, evaluates one batch, and writes nothing.
    """
    from wsdl.reporting.reports import Quiet
    from wsdl.runtime import fit as training
    from wsdl.runtime.fit import checkpoint_in, weights_in
    from wsdl.runtime.folder_lock import alone_in

    source = program_in(path)
    with alone_in(None if only_try else plan.folder):
        chosen: dict[str, Any] = dict(settings or {})
        checkpoint = None if only_try else checkpoint_in(plan.folder, resume=resume, replace=replace)
        if checkpoint is not None:
            checked = stored(source, dims, import_root, variant).checked
            checkpoint.require_same_program(checked.sources)
            checkpoint.require_same_variant(checked.variant)
            chosen = {**checkpoint.settings, **chosen}
            weights = checkpoint.path
        seed = chosen.get("seed", 0)
        program = compile(
            source, dims=dims, seed=seed, weights=weights, fit=fit, import_root=import_root, variant=variant
        )
        options: dict[str, Any] = {"device": device, "threads": threads, "on_nan": on_nan, **chosen}
        several = model is None and program.turns is not None
        trainer = program.trainers(**options) if several else program.trainer(model, **options)
        arrays = _arrays(trainer, data, first=only_try)
        evaluation_arrays = None if evaluation is None else _arrays(trainer, evaluation, first=only_try)
        if only_try and isinstance(trainer, Mapping):
            progress = _tried(trainer, arrays, evaluation_arrays or {})
        else:
            progress = training.fit(
                trainer,
                arrays,
                plan.tried() if only_try else plan,
                evaluation=evaluation_arrays,
                reporter=reporter or Quiet(),
                resume=checkpoint,
            )
        return Trained(trainer, progress, [*program.diagnostics, *trainer.findings], weights_in(plan, progress))


def rows_in(data: Paths, types: Mapping[str, TensorType]) -> dict[str, Any]:
    """The arrays of a file or folder. Raises `RunError` if it has no rows."""
    from wsdl.diagnostics.run_error import fail
    from wsdl.runtime.arrays import rows_of
    from wsdl.runtime.batches import has_rows
    from wsdl.runtime.data import open_data

    arrays, rows = open_data(data).select(types), rows_of(types)
    if any(array.shape[:1] == (0,) for name, array in arrays.items() if has_rows(types[name], rows)):
        raise fail("E0718", "the data has no rows", file=os.fspath(data))
    return arrays


def _arrays(trainer: Trainer | Trainers, data: Paths | Mapping[str, Paths], *, first: bool) -> dict[str, Any]:
    """The arrays of a training, or those of several by their names; only the `first` batch."""
    from wsdl.diagnostics.run_error import fail
    from wsdl.runtime.trainer import Trainer

    if isinstance(trainer, Trainer):
        if isinstance(data, Mapping):
            message = f"there is one training, `{trainer.name}`, so its data has no name"
            raise fail("E0704", message, help=f"write `--data {next(iter(data.values()), 'FILE')}`")
        arrays = rows_in(data, trainer.batch_types)
        return _first(trainer, arrays) if first else arrays
    files = data if isinstance(data, Mapping) else dict.fromkeys(trainer, data)
    for name in files.keys() - trainer.keys():
        message = f"there is no training `{name}` that takes turns"
        raise fail("E0704", message, help=f"the trainings are {', '.join(f'`{n}`' for n in trainer)}")
    return {name: _arrays(trainer[name], file, first=first) for name, file in files.items()}


def _tried(trainers: Trainers, arrays: Mapping[str, Any], evaluation: Mapping[str, Any]) -> Progress:
    """One step of each of several trainings, and the evaluation of one batch."""
    from wsdl.runtime.plan import Progress

    results: dict[str, float] = {}
    for name, trainer in trainers.items():
        trainer.total_steps = 1
        if name not in arrays:
            continue
        trainer.step(arrays[name])
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
