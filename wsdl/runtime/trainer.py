"""Training one model: steps, evaluation, state.

    trainer = program.trainer("lm", batch=64, seed=0)
    for batch in batches:                               # any iterable of dicts of arrays
        loss = trainer.step(batch)
    trainer.save("run/")

`fit` in `wsdl/runtime/fit.py` adds epochs, reports and checkpoints.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from itertools import pairwise
from math import isfinite
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from wsdl import options
from wsdl.diagnostics import Diagnostic
from wsdl.diagnostics.run_error import RunError, fail
from wsdl.diagnostics.suggest import nearest
from wsdl.ir.binding import bind_sizes
from wsdl.ir.dtypes import numpy_dtype
from wsdl.ir.step import FIRST, OPTIMIZER, RANDOM_SEED, TOTAL_STEPS, Carried
from wsdl.onnx.index_reads import index_reads
from wsdl.onnx.training import TrainingModels
from wsdl.runtime.arrays import check_inputs, rows_of, type_of
from wsdl.runtime.batches import Batches, batches_of, has_rows
from wsdl.runtime.checkpoint import EVALUATION_SEED, Checkpoint, write_checkpoint
from wsdl.runtime.evaluator import Evaluator
from wsdl.runtime.find_nonfinite import nonfinite_step
from wsdl.runtime.indices import check_indices
from wsdl.runtime.snapshot import Snapshot
from wsdl.runtime.step_session import StepSession

Array = NDArray[Any]
OnNaN = Literal["stop", "skip"]
LAST = "last.safetensors"
CARRIED = OPTIMIZER + "carried/"  # begins the names of carried inputs in checkpoints


@dataclass(frozen=True)
class Settings:
    """How a model is trained, apart from its `train` declaration.

    A step takes `batch` rows, computed in `accumulate` parts of equal size, which needs less memory and gives the same
    result except for the statistics of `BatchNorm` and the masks of dropout. `seed` determines the order of the rows
    and these masks. Each batch is held for `hold` steps.
    """

    batch: int = 64
    accumulate: int = 1
    seed: int = 0
    hold: int = 1

    def __post_init__(self) -> None:
        options.settle(self, batch=options.COUNT, accumulate=options.COUNT, seed=options.SEED, hold=options.COUNT)


@dataclass(frozen=True)
class Step:
    """The result of a step. `is_skipped`: its loss or its gradients were not finite, and it changed nothing."""

    results: dict[str, float]
    gradient_norm: float  # of all gradients together, before they are clipped
    rate: float
    rows: int
    is_skipped: bool = False

    @property
    def loss(self) -> float:
        return self.results["loss"]


class Trainer:
    """A model in training. `header` describes its program in checkpoints; resuming compares it."""

    def __init__(
        self,
        models: TrainingModels,
        header: Mapping[str, str],
        settings: Settings = Settings(),
        *,
        device: str = "cpu",
        threads: int | None = None,
        on_nan: OnNaN = "stop",
    ) -> None:
        self.models, self.header, self.settings = models, dict(header), settings
        if RANDOM_SEED in models.evaluation.variables:
            self.header[EVALUATION_SEED] = str(settings.seed)
        self.device, self.threads, self.on_nan = device, threads, on_nan
        self.batch_types = models.evaluation.batch
        self.rows = rows_of(self.batch_types)
        variables = models.step.variables
        self._averages = {v.of: v.name for v in variables if v.role == "average"}  # by parameter
        inputs, ports = models.step.gradients.graph.inputs, models.step.gradients.inputs
        self._carried_types = {v.name: v.type for v in inputs if isinstance(ports[v.name], Carried)}
        self._carried: dict[str, Array] | None = None  # by the last step; `None` before a batch
        self._indices = index_reads(models.gradients)
        self._total: int | None = None
        self._session = StepSession(models, self._start(), device=device, threads=threads)
        self._evaluator: Evaluator | None = None

    def _start(self) -> dict[str, Array]:
        return self.models.initial_state(self.settings.seed)

    # -- steps ---------------------------------------------------------------------------------------------------------

    def step(self, batch: Mapping[str, Any], *, again: bool = False) -> float:
        """Train on one batch, arrays by the names of inputs and targets. Returns the loss. If it is the batch of the
        step before `again`, carried inputs are what that step made of them."""
        return self.make_step(batch, again=again).loss

    def make_step(self, batch: Mapping[str, Any], *, again: bool = False) -> Step:
        """As `step`; returns the metrics, the learning rate and the number of rows as well."""
        if self.wants_total and self.total_steps is None:
            message = "the learning rate schedule needs the length of the run, which is not known"
            help = "set `trainer.total_steps = 1000`, or write `cosine(1e-3, steps=1000)` in the program"
            raise fail("E0831", message, help=help)
        arrays = check_inputs(self.batch_types, batch)
        if not self._count(arrays):
            raise fail("E0718", "this batch has no rows")
        if self.device != "cpu":  # the CPU looks itself
            check_indices(self._indices, arrays)
        if self._carried_types:
            arrays |= self._carried_into(arrays, again)
        return self._checked_step(arrays)

    def _carried_into(self, arrays: Mapping[str, Array], again: bool) -> dict[str, Array]:
        """The carried inputs of a step. In the first step of a batch they have no values yet."""
        carried = self._carried if again else None
        shapes = [arrays[name].shape for name in self.batch_types]
        sizes = bind_sizes(list(self.batch_types.values()), shapes, list(self.batch_types))
        types = self._carried_types.items()
        zeros = {n: np.zeros([d.evaluate(sizes) for d in t.shape], numpy_dtype(t.dtype)) for n, t in types}
        if carried is not None and any(array.shape != zeros[name].shape for name, array in carried.items()):
            help = "`again=True` continues on the batch of the step before"
            raise fail("E0718", "this batch doesn't have the sizes of the one before", help=help)
        return {**(zeros if carried is None else carried), FIRST.name: np.array(carried is None)}

    def _checked_step(self, arrays: Mapping[str, Array]) -> Step:
        parts = self._parts(arrays)
        rows = self._count(arrays)
        try:
            results = self._session.compute(parts, [self._count(part) / rows for part in parts])
        except RunError:
            check_indices(self._indices, arrays)
            raise
        norm = self._session.gradient_norm
        if not isfinite(results["loss"]) or not isfinite(norm):
            if self.on_nan == "skip":
                return Step(results, norm, float("nan"), rows, is_skipped=True)
            raise nonfinite_step(self.models, self.state, parts, self._session.wholes, results["loss"])
        rate = self._session.commit()
        self._carried = self._session.carried
        return Step(results, norm, rate, rows)

    def _parts(self, arrays: Mapping[str, Array]) -> list[dict[str, Array]]:
        """A batch cut into the parts that it is computed in."""
        if self.settings.accumulate == 1:
            return [{name: np.asarray(array, order="C") for name, array in arrays.items()}]
        rows = self._count(arrays)
        ends = np.linspace(0, rows, min(self.settings.accumulate, rows) + 1).astype(int)
        cut = {name for name in arrays if self._is_cut(name)}
        return [
            {name: np.asarray(a[low:high] if name in cut else a, order="C") for name, a in arrays.items()}
            for low, high in pairwise(ends)
        ]

    def _count(self, arrays: Mapping[str, Array]) -> int:
        return next(len(arrays[name]) for name in self.batch_types if self._is_cut(name))

    def _is_cut(self, name: str) -> bool:
        return name in self._carried_types or (name in self.batch_types and has_rows(self.batch_types[name], self.rows))

    @property
    def wants_total(self) -> bool:
        """Does a schedule need the number of steps of the whole run?"""
        return TOTAL_STEPS in self.models.step.update.inputs.values()

    @property
    def total_steps(self) -> int | None:
        """The number of steps of the whole run, which some learning rate schedules need; `None` if it is not known."""
        return self._total

    @total_steps.setter
    def total_steps(self, steps: int | None) -> None:
        self._total = steps = options.checked("total_steps", options.Optional(options.COUNT), steps)
        if steps is not None:
            self._session.set_total(steps)

    @property
    def steps(self) -> int:
        """The number of steps so far."""
        return self._session.steps

    def batches(self, arrays: Mapping[str, Any], *, shuffle: bool = True) -> Batches:
        """Batches of arrays with many rows. Raises `RunError` if they don't fit the model."""
        batches = batches_of(arrays, self.batch_types, self.settings.batch, seed=self.settings.seed, shuffle=shuffle)
        check_indices(self._indices, batches.arrays)
        return batches

    # -- evaluation ----------------------------------------------------------------------------------------------------

    def evaluate(self, data: Mapping[str, Any] | Iterable[Mapping[str, Any]]) -> dict[str, float]:
        """The loss and the metrics of a data set; they don't depend on the batches that it is split into. With `ema`
        the moving averages of the parameters are evaluated."""
        if isinstance(data, Mapping):
            data = self.batches(data, shuffle=False).epoch(0)
        if self._evaluator is None:
            self._evaluator = Evaluator(self.models.evaluation, device=self.device, threads=self.threads)
        seeds = {RANDOM_SEED.name: np.array(self.settings.seed)}
        variables = [v for v in self.models.evaluation.variables if v.name not in seeds]
        carried = self._session.feeds([self._averages.get(v.of, v.name) for v in variables])
        return self._evaluator.run(data, seeds | dict(zip((v.name for v in variables), carried, strict=True)))

    @property
    def findings(self) -> list[Diagnostic]:
        """Warnings about metrics that depend on how rows were cut into batches."""
        return self.models.step.warnings or (self._evaluator.findings if self._evaluator is not None else [])

    # -- state ---------------------------------------------------------------------------------------------------------

    @property
    def state(self) -> Snapshot:
        """The training state: parameters, running statistics, optimizer state, number of steps. Read-only copies;
        `write` changes the state."""
        return Snapshot(self._session.state())

    @property
    def weights(self) -> Snapshot:
        """Every stored tensor by name, as trained so far; with `ema` the moving averages."""
        state = self._session.state()
        names = {name: self._averages.get(name, name) for name in self.models.values}
        return Snapshot({name: state.get(names[name], array) for name, array in self.models.values.items()})

    def write(self, arrays: Mapping[str, Any]) -> None:
        """Replace arrays of `state`, or of frozen weights, by name. Raises `RunError` if there is no such name, or if
        an array doesn't fit."""
        known = {**self._frozen(), **self._start()}
        for name in arrays.keys() - known.keys():
            close = nearest(name, list(known))
            help = f"did you mean `{close}`?" if close else "`trainer.state` and `trainer.weights` have the names"
            raise fail("E0711", f"there is no `{name}` in this training", help=help)
        types = {name: type_of(known[name]) for name in arrays}
        checked = {name: check_inputs({name: types[name]}, {name: arrays[name]})[name] for name in arrays}
        frozen = checked.keys() & self._frozen().keys()
        if frozen:
            self._begin(self.state, {name: np.array(checked[name]) for name in frozen})
        for name in checked.keys() - frozen:
            self._session.write(name, checked[name])

    def save(self, folder: str | os.PathLike[str]) -> Path:
        """Write the checkpoint `last.safetensors` to a folder, from which a training resumes and a model runs."""
        path = Path(folder, LAST)
        write_checkpoint(path, self.checkpoint())
        return path

    def checkpoint(self, progress: Mapping[str, Any] | None = None) -> Checkpoint:
        """A checkpoint of the current state; `progress` is saved with it."""
        carried = {CARRIED + name: array for name, array in (self._carried or {}).items()}
        return Checkpoint(
            {**self._frozen(), **self.state, **carried}, self.header, asdict(self.settings), dict(progress or {})
        )

    def restore(self, checkpoint: Checkpoint) -> None:
        """Continue from a checkpoint bit for bit: its whole state, frozen tensors included, replaces the current
        one."""
        self._begin(checkpoint.state_for(self._start()), checkpoint.state_for(self._frozen()))
        carried = {name: checkpoint.arrays.get(CARRIED + name) for name in self._carried_types}
        known = {name: array for name, array in carried.items() if array is not None}
        self._carried = known if known and len(known) == len(carried) else None

    def _begin(self, state: Mapping[str, Array], frozen: Mapping[str, Array]) -> None:
        """Continue from another state, with other values for some frozen tensors."""
        values = {**self.models.values, **frozen}
        self.models = replace(self.models, values=values, evaluation=replace(self.models.evaluation, values=values))
        self._evaluator = None
        self._session = StepSession(self.models, state, device=self.device, threads=self.threads)
        if self._total is not None:
            self._session.set_total(self._total)

    def _frozen(self) -> dict[str, Array]:
        """The stored tensors that no step changes."""
        changing = {variable.name for variable in self.models.step.variables}
        return {name: array for name, array in self.models.values.items() if name not in changing}
