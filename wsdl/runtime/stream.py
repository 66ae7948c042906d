"""One training with its data: the batches of its steps, epoch after epoch."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from itertools import islice
from typing import Any, TypeAlias

from wsdl.diagnostics.run_error import fail
from wsdl.runtime.batches import Batches
from wsdl.runtime.plan import Better
from wsdl.runtime.single_values import check_batches
from wsdl.runtime.trainer import Trainer

Data: TypeAlias = "Mapping[str, Any] | Iterable[Mapping[str, Any]]"
Held: TypeAlias = "tuple[Mapping[str, Any], bool]"  # a batch, and whether the step before was on it too


class Stream:
    """A training, the batches that it trains on and those of its `evaluation`. `name` is that of the training where a
    run has several; `epoch` counts the epochs that are done, `batch` the steps of this one."""

    def __init__(self, trainer: Trainer, data: Data, evaluation: Data | None, name: str = "") -> None:
        self.trainer, self.name = trainer, name
        self.batches = trainer.batches(data) if isinstance(data, Mapping) else IterableBatches(data)
        self.evaluation = trainer.whole_batches(evaluation) if isinstance(evaluation, Mapping) else evaluation
        self.epoch = self.batch = 0
        self._rest: Iterator[Held] | None = None  # of the epoch

    def take(self) -> Held | None:
        """The batch of the next step; `None` at the end of an epoch."""
        if self._rest is None:
            self._rest = self._held()
        return next(self._rest, None)

    def _held(self) -> Iterator[Held]:
        """The batches of the rest of an epoch, each once for each step on it."""
        hold, done = self.trainer.settings.hold, self.batch
        for batch in self.batches.epoch(self.epoch, done // hold):
            for number in range(done % hold, hold):
                yield batch, number > 0
            done = 0

    def end_epoch(self) -> None:
        """The next batch is the first one again; for a training beside the first one, there has to be one."""
        if self.name and not self.batch:
            raise fail("E0718", "the data has no rows")
        self.epoch, self.batch, self._rest = self.epoch + 1, 0, None

    @property
    def steps_of_epoch(self) -> int | None:
        """`None` if unknown."""
        return None if self.batches.steps is None else self.batches.steps * self.trainer.settings.hold

    @property
    def results(self) -> list[str]:
        """The names of loss and metrics."""
        return self.trainer.models.evaluation.names

    def called(self, result: str) -> str:
        """A result in a run of several trainings: `critic.loss`."""
        return f"{self.name}.{result}" if self.name else result

    def better(self, better: Better) -> Better:
        """What selects the best weights; "loss" is that of this training."""
        return replace(better, name=self.called("loss")) if better.name == "loss" else better

    def evaluate(self) -> dict[str, float]:
        """The results of its evaluation, if it has one."""
        if self.evaluation is None:
            return {}
        batches = self.evaluation.epoch(0) if isinstance(self.evaluation, Batches) else self.evaluation
        return {self.called(name): value for name, value in self.trainer.evaluate(batches).items()}

    def check(self) -> str | None:
        """A note on batches that normalize single values; raises `RunError` where all do. The sizes of batches from
        outside are unknown."""
        if not isinstance(self.batches, Batches):
            return None
        trainer = self.trainer
        parts = trainer.settings.accumulate * trainer.exchange.size
        return check_batches(trainer.models.step.normalized, trainer.batch_types, self.batches, parts)


class IterableBatches:
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
