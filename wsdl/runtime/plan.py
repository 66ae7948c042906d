"""How long a training runs, which checkpoints it keeps, and its progress."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from math import isfinite
from pathlib import Path

from wsdl.diagnostics.run_error import fail
from wsdl.options import COUNT, NONE_OR_MORE, PATH, Optional, settle


@dataclass(frozen=True)
class Better:
    """Which evaluation is the best one: by the loss or a metric, the lowest or the highest."""

    name: str = "loss"
    highest: bool = False

    @staticmethod
    def of(text: str) -> Better:
        """Parse `loss` (lowest is best), a metric (highest is best), `error:min` or `error:max`."""
        name, _, end = text.partition(":")
        if end not in ("", "min", "max"):
            raise fail("E0704", f"`{text}` is not a metric with `:min` or `:max`", help="write `error:min`")
        return Better(name, end == "max" if end else name != "loss")

    def __str__(self) -> str:
        return f"{self.name}:{'max' if self.highest else 'min'}"

    def than(self, result: float, best: float | None) -> bool:
        """Is a result better than the best so far? A result that is not finite is worse than any other."""
        if not isfinite(result):
            return False
        return best is None or not isfinite(best) or (result > best if self.highest else result < best)


@dataclass(frozen=True)
class Plan:
    """How long a training runs and which checkpoints it keeps.

    `folder` gets `last.safetensors` after each epoch and each `save_every` steps, `best.safetensors` with the weights
    of the best evaluation, and the last `keep` checkpoints, named by their steps. It ends after `epochs`, after
    `limit_steps` steps, or when `patience` evaluations in a row were no improvement.
    """

    epochs: int | None = None  # by default those of the run that is resumed, 1 for a new one
    folder: Path | None = None
    save_every: int | None = None
    keep: int = 0
    better: Better = Better()
    patience: int | None = None
    limit_steps: int | None = None

    def __post_init__(self) -> None:
        settle(
            self,
            epochs=Optional(COUNT),
            folder=Optional(PATH),
            save_every=Optional(COUNT),
            keep=NONE_OR_MORE,
            patience=Optional(COUNT),
            limit_steps=Optional(COUNT),
        )

    def tried(self) -> Plan:
        """The plan for one step, of which nothing is kept."""
        return replace(self, epochs=1, folder=None, save_every=None, patience=None, limit_steps=1)


@dataclass
class Progress:
    """The progress of a training. `batch` counts the steps of the epoch so far, `waited` the evaluations since the
    best one."""

    epoch: int = 0
    batch: int = 0
    best: float | None = None
    best_step: int = 0
    waited: int = 0
    rows: int | None = None
    skipped: int = 0
    results: dict[str, float] = field(default_factory=dict)  # of the last evaluation

    @property
    def has_best(self) -> bool:
        """Was there an evaluation with a finite result?"""
        return self.best is not None and isfinite(self.best)
