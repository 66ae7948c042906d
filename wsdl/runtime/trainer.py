"""Training: steps, evaluation, state.

    trainer = program.trainer("lm", batch=64, seed=0)
    for batch in batches:                               # any iterable of dicts of arrays
        loss = trainer.step(batch)
    trainer.save("run/")

    trainers = program.trainer("critic", "maker")       # several trainings of one state
    trainers["critic"].step(batch)

`fit` in `wsdl/runtime/fit.py` adds epochs, reports and checkpoints.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise
from math import isfinite
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from wsdl import options
from wsdl.diagnostics import Diagnostic
from wsdl.diagnostics.run_error import RunError, fail
from wsdl.ir.binding import bind_sizes
from wsdl.ir.dtypes import numpy_dtype
from wsdl.ir.step import FIRST, TOTAL_STEPS, seed_variable
from wsdl.ir.training import Turns
from wsdl.onnx.index_reads import index_reads
from wsdl.onnx.training import TrainingModels
from wsdl.runtime.arrays import check_inputs, rows_of
from wsdl.runtime.batches import Batches, batches_of, has_rows
from wsdl.runtime.evaluator import Evaluator
from wsdl.runtime.find_nonfinite import nonfinite_step
from wsdl.runtime.indices import check_indices
from wsdl.runtime.step_session import StepSession
from wsdl.runtime.training_state import Settings, Stateful, TrainingState
from wsdl.runtime.turns import training_of_step

Array = NDArray[Any]
OnNaN = Literal["stop", "skip"]


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


class Trainer(Stateful):
    """One training, on a state that it may have together with others."""

    def __init__(self, held: TrainingState, name: str, *, on_nan: OnNaN = "stop") -> None:
        super().__init__(held)
        self.name, self.on_nan = name, on_nan
        models = self.models
        self.batch_types = models.evaluation.batch
        self.rows = rows_of(self.batch_types)
        self._carried_types = models.carried
        self._indices = index_reads(models.gradients)
        self._evaluator: tuple[int, Evaluator] | None = None  # with the state for which it was made

    @property
    def settings(self) -> Settings:
        """Batch size, parts of a batch, steps on a batch, seed."""
        return self._held.settings[self.name]

    @property
    def models(self) -> TrainingModels:
        """What it runs."""
        return self._held.trainings[self.name]

    @property
    def _session(self) -> StepSession:
        return self._held.sessions[self.name]

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
        arrays, parts = dict[str, Array](), list[dict[str, Array]]()

        def parts_of() -> list[dict[str, Array]]:
            arrays.update(self._checked(batch, again))
            parts.extend(self._parts(arrays))
            return parts

        try:
            results = self._session.compute(parts_of)
        except RunError:
            check_indices(self._indices, arrays)
            raise
        rows, norm = self._session.rows, self._session.gradient_norm
        if not isfinite(results["loss"]) or not isfinite(norm):
            if self.on_nan == "skip":
                return Step(results, norm, float("nan"), rows, is_skipped=True)
            wholes, loss = self._session.wholes, results["loss"]
            raise nonfinite_step(self.models, self.state, parts, wholes, loss, self.exchange)
        rate = self._session.commit()
        own = {name: arrays[name] for name in self._carried_types}  # where this worker had no rows
        self._held.carried[self.name] = self._session.carried or own
        return Step(results, norm, rate, rows)

    def _checked(self, batch: Mapping[str, Any], again: bool) -> dict[str, Array]:
        """The arrays of a batch, with those that are carried."""
        arrays = check_inputs(self.batch_types, batch)
        if not self._count(arrays) and self.exchange.is_alone:
            raise fail("E0718", "this batch has no rows")
        if self._held.device != "cpu":  # the CPU looks itself
            check_indices(self._indices, arrays)
        return {**arrays, **(self._carried_into(arrays, again) if self._carried_types else {})}

    def _carried_into(self, arrays: Mapping[str, Array], again: bool) -> dict[str, Array]:
        """The carried inputs of a step. In the first step of a batch they have no values yet."""
        carried = self._held.carried[self.name] if again else None
        shapes = [arrays[name].shape for name in self.batch_types]
        sizes = bind_sizes(list(self.batch_types.values()), shapes, list(self.batch_types))
        types = self._carried_types.items()
        zeros = {n: np.zeros([d.evaluate(sizes) for d in t.shape], numpy_dtype(t.dtype)) for n, t in types}
        if carried is not None and any(array.shape != zeros[name].shape for name, array in carried.items()):
            help = "`again=True` continues on the batch of the step before"
            raise fail("E0718", "this batch doesn't have the sizes of the one before", help=help)
        return {**(zeros if carried is None else carried), FIRST.name: np.array(carried is None)}

    def _parts(self, arrays: Mapping[str, Array]) -> list[dict[str, Array]]:
        """The rows of this worker cut into the parts that they are computed in."""
        rows = self._count(arrays)
        if not rows:
            return []
        if self.settings.accumulate == 1:
            return [{name: np.asarray(array, order="C") for name, array in arrays.items()}]
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
        return self._held.totals.get(self.name)

    @total_steps.setter
    def total_steps(self, steps: int | None) -> None:
        steps = options.checked("total_steps", options.Optional(options.COUNT), steps)
        if steps is None:
            self._held.totals.pop(self.name, None)
        else:
            self._held.totals[self.name] = steps
            self._session.set_total(steps)

    @property
    def steps(self) -> int:
        """The number of steps so far."""
        return self._session.steps

    def batches(self, arrays: Mapping[str, Any], *, shuffle: bool = True) -> Batches:
        """Batches of arrays with many rows; of several workers each gets its rows of them. Raises `RunError` if they
        don't fit the model."""
        exchange = self.exchange
        return self._batches(arrays, shuffle=shuffle, worker=(exchange.rank, exchange.size))

    def whole_batches(self, arrays: Mapping[str, Any]) -> Batches:
        """The same in order, with all rows on each worker: for evaluations."""
        return self._batches(arrays, shuffle=False)

    def _batches(self, arrays: Mapping[str, Any], **options: Any) -> Batches:
        batches = batches_of(arrays, self.batch_types, self.settings.batch, seed=self.settings.seed, **options)
        check_indices(self._indices, batches.arrays)
        return batches

    # -- evaluation ----------------------------------------------------------------------------------------------------

    def evaluate(self, data: Mapping[str, Any] | Iterable[Mapping[str, Any]]) -> dict[str, float]:
        """The loss and the metrics of a data set; they don't depend on the batches that it is split into. With `ema`
        the moving averages of the parameters are evaluated. Of several workers each has the whole data set, and
        computes some of the batches."""
        if isinstance(data, Mapping):
            data = self.whole_batches(data).epoch(0)
        if self._evaluator is None or self._evaluator[0] != self._held.began:
            held = self._held
            evaluator = Evaluator(
                self.models.evaluation, device=held.device, threads=held.threads, exchange=held.exchange
            )
            self._evaluator = self._held.began, evaluator
        averages = self._held.averages([self.name])
        current = self._held.buffers.current
        variables = self.models.evaluation.variables
        carried = {v.name: current(averages.get(v.of, v.name)) for v in variables if v.role != "seed"}
        carried[seed_variable().name] = np.array(self.settings.seed)
        return self._evaluator[1].run(data, carried)

    @property
    def findings(self) -> list[Diagnostic]:
        """Warnings about metrics that depend on how rows were cut into batches."""
        return self.models.step.warnings or (self._evaluator[1].findings if self._evaluator is not None else [])


class Trainers(Stateful, Mapping[str, Trainer]):
    """Several trainings that have one state, each a `Trainer` by its name: the same weights, optimizer states for each,
    and a count of steps for each. `turn` is the training of the next step, where the program says how they take turns.
    """

    def __init__(self, held: TrainingState, turns: Turns | None, *, on_nan: OnNaN = "stop") -> None:
        super().__init__(held)
        self._trainers = {name: Trainer(held, name, on_nan=on_nan) for name in held.trainings}
        self.turns = turns

    def __getitem__(self, name: str) -> Trainer:
        return self._trainers[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._trainers)

    def __len__(self) -> int:
        return len(self._trainers)

    @property
    def steps(self) -> int:
        """The number of steps so far, of all trainings together."""
        return sum(trainer.steps for trainer in self.values())

    @property
    def turn(self) -> str | None:
        """The name of the training of the next step; `None` where the program doesn't say."""
        return None if self.turns is None else training_of_step(self.turns, self.seed, self.steps)

    @property
    def findings(self) -> list[Diagnostic]:
        """The warnings of all."""
        return [finding for trainer in self.values() for finding in trainer.findings]
