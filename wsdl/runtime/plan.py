"""How long a training runs, which checkpoints it keeps, and how far it is."""

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
        """`loss` is the lowest, a metric the highest; `error:min` and `error:max` say it."""
        name, _, end = text.partition(":")
        if end not in ("", "min", "max"):
            raise fail("E0704", f"`{text}` is not a metric with `:min` or `:max`", help="write `error:min`")
        return Better(name, end == "max" if end else name != "loss")

    def than(self, result: float, best: float | None) -> bool:
        """Is a result better than the best so far? One that is not finite never is, and any other is better than it."""
        if not isfinite(result):
            return False
        return best is None or not isfinite(best) or (result > best if self.highest else result < best)


@dataclass(frozen=True)
class Plan:
    """How long a training runs and which checkpoints it keeps.

    `folder` gets `last.safetensors` after each epoch and each `save_every` steps, `best.safetensors` with the weights
    that were evaluated best, and the last `keep` checkpoints by their steps. It ends after `epochs`, after
    `limit_steps` steps, or when `patience` evaluations in a row were not the best.
    """

    epochs: int | None = None  # by default as many as a run was begun for, 1 for a new one
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
        """One step of it, of which nothing is kept."""
        return replace(self, epochs=1, folder=None, save_every=None, patience=None, limit_steps=1)


@dataclass
class Progress:
    """How far a training is. `batch` counts those of the epoch so far, `waited` the evaluations since the best one."""

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
