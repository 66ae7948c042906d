"""Training on arrays, or files, by workers: what `wsdl.fit` is with one process."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from wsdl.api.training import train
from wsdl.diagnostics.span import Source
from wsdl.options import CALLBACKS, COUNT, DATA, FLAG, PATH, PROGRAM, SEED, ForEach, Instance, Optional, takes
from wsdl.ray.workers import Workers
from wsdl.runtime.plan import Plan

if TYPE_CHECKING:
    from wsdl.api.training import Rows
    from wsdl.reporting.reports import Callback

    Number = int | Mapping[str, int]  # of all trainings, or of some by their names


@takes(
    program=PROGRAM,
    data=DATA,
    workers=Instance((Workers,), "workers, such as `wsdl.ray.Workers(4)`"),
    folder=PATH,
    epochs=COUNT,
    evaluation=Optional(DATA),
    replace=FLAG,
    batch=ForEach(COUNT),
    accumulate=ForEach(COUNT),
    hold=ForEach(COUNT),
    seed=SEED,
    callbacks=CALLBACKS,
)
def fit(
    program: str | os.PathLike[str] | Source,
    data: Rows | Mapping[str, Rows],
    workers: Workers,
    *,
    folder: str | os.PathLike[str],
    epochs: int = 1,
    evaluation: Rows | Mapping[str, Rows] | None = None,
    replace: bool = False,
    batch: Number = 64,
    accumulate: Number = 1,
    hold: Number = 1,
    seed: int = 0,
    callbacks: Sequence[Callback] = (),
    **options: Any,
) -> dict[str, float]:
    """Train a program by workers for `epochs`; returns the results of the last evaluation, as `wsdl.fit` does with one.

    `data` and `evaluation` are arrays by name, or a file or folder that all workers see; for trainings that take turns,
    those of each by its name. Arrays are sent once, and are in memory once on each machine. `seed` is also that of the
    initial weights. The trained ones are in `folder`, from whose last checkpoint the training goes on if a worker is
    lost. `callbacks` receive the reports of the training, in this process. `options` are others of `api.train`:
    `model`, `weights`, `fit`, `dims`, `import_root`, `variant`, `on_nan`, `device`.
    """
    settings = {"batch": batch, "accumulate": accumulate, "hold": hold, "seed": seed}
    plan = Plan(epochs, Path(folder))
    trained = train(
        program,
        data,
        plan,
        evaluation=evaluation,
        settings=settings,
        replace=replace,
        workers=workers,
        callbacks=callbacks,
        **options,
    )
    return trained.progress.results
