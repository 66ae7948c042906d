"""The results of a study: typed, as JSON, and compared."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from math import isfinite
from pathlib import Path
from statistics import median
from typing import Any

from wsdl.diagnostics import Diagnostic
from wsdl.runtime.plan import Better
from wsdl.studies.significance import LEVEL, Spread, adjusted, paired_p


@dataclass(frozen=True)
class Failure:
    """Why a trial has no results. A lasting failure follows from program, data and seed: a retry would fail again."""

    code: str
    message: str
    is_lasting: bool
    details: tuple[str, ...] = ()


@dataclass(frozen=True)
class Run:
    """One trial: the results of its evaluation, or the reason why there are none.

    `step_ms` is the time of a step in milliseconds, `seconds` that of the whole training. `best_epoch` is the epoch
    whose weights were evaluated, if one was selected.
    """

    seed: int
    metrics: Mapping[str, float] = field(default_factory=dict)
    steps: int = 0
    best_epoch: int | None = None
    step_ms: float = 0.0
    seconds: float = 0.0
    failure: Failure | None = None

    def as_json(self) -> dict[str, Any]:
        if self.failure is not None:
            return {"seed": self.seed, "failure": {**vars(self.failure), "details": list(self.failure.details)}}
        best = {} if self.best_epoch is None else {"best_epoch": self.best_epoch}
        times = {"step_ms": self.step_ms, "seconds": self.seconds}
        return {"seed": self.seed, "metrics": dict(self.metrics), "steps": self.steps, **best, **times}

    @staticmethod
    def of_json(value: Mapping[str, Any]) -> Run:
        """Raises `TypeError`, `KeyError` or `ValueError` if the value is not valid."""
        failure = value.get("failure")
        if failure is not None:
            details = tuple(map(str, failure["details"]))
            return Run(
                int(value["seed"]),
                failure=Failure(str(failure["code"]), str(failure["message"]), bool(failure["is_lasting"]), details),
            )
        metrics = {str(name): float(result) for name, result in value["metrics"].items()}
        times = float(value["step_ms"]), float(value["seconds"])
        if not metrics or not all(map(isfinite, (*metrics.values(), *times))):
            raise ValueError
        best = value.get("best_epoch")
        return Run(int(value["seed"]), metrics, int(value["steps"]), None if best is None else int(best), *times)


@dataclass(frozen=True)
class Difference:
    """A result minus that of the base, over the seeds that both have. `p` is the p value of the paired t-test, adjusted
    for the number of variants (`significance`); `None` if the test doesn't apply."""

    mean: float
    std: float | None
    seeds: int
    p: float | None

    @property
    def is_noise(self) -> bool | None:
        """Whether it is within the noise; `None` if the test doesn't apply."""
        return None if self.p is None else self.p >= LEVEL


@dataclass(frozen=True)
class Variant:
    """A configuration with its trials. `parameters` and `bytes` count what its model stores, each tensor once; `base`
    is the name of the variant that it is compared with."""

    name: str
    variant: str | None
    constants: Mapping[str, str]
    base: str
    parameters: int
    bytes: int
    sha256: str  # of its program
    runs: Sequence[Run] = ()

    @property
    def done(self) -> list[Run]:
        """The runs that have results."""
        return [run for run in self.runs if run.failure is None]

    @cached_property
    def metrics(self) -> dict[str, Spread]:
        """The loss and each metric over the seeds; empty without results."""
        names = self.done[0].metrics if self.done else ()
        return {name: Spread.of([run.metrics[name] for run in self.done]) for name in names}

    @property
    def step_ms(self) -> float | None:
        """The median over the seeds."""
        return round(median(run.step_ms for run in self.done), 4) if self.done else None

    def as_json(self, differences: Mapping[str, Difference]) -> dict[str, Any]:
        return {
            "name": self.name,
            "variant": self.variant,
            "constants": dict(self.constants),
            "base": self.base,
            "parameters": self.parameters,
            "bytes": self.bytes,
            "sha256": self.sha256,
            "step_ms": self.step_ms,
            "metrics": {name: vars(spread) for name, spread in self.metrics.items()},
            "differences": {n: {**vars(d), "is_noise": d.is_noise} for n, d in differences.items()},
            "runs": [run.as_json() for run in self.runs],
        }


@dataclass(frozen=True)
class Study:
    """A study: `study["pairs"]` is a variant with its results. `best` is the metric that the picture shows."""

    program: Mapping[str, str]  # the text of each source file
    setup: Mapping[str, Any]
    seeds: int
    best: Better
    variants: Sequence[Variant]
    diagnostics: Sequence[Diagnostic] = ()  # warnings about the program, and the trials that failed
    files: Sequence[Path] = ()  # written

    def with_run(self, name: str, run: Run) -> Study:
        """The study with one more result, in the order of the seeds."""
        variants = [
            replace(v, runs=sorted([*v.runs, run], key=lambda r: r.seed)) if v.name == name else v
            for v in self.variants
        ]
        return replace(self, variants=variants)

    def __getitem__(self, name: str) -> Variant:
        """A variant by its name; raises `KeyError`."""
        return {variant.name: variant for variant in self.variants}[name]

    @cached_property
    def differences(self) -> dict[str, dict[str, Difference]]:
        """The differences from the base, by the names of the variant and of the metric. Bases have none, and variants
        that have no seed in common with their base."""
        differences: dict[str, dict[str, Difference]] = {variant.name: {} for variant in self.variants}
        for metric in dict.fromkeys(name for variant in self.variants for name in variant.metrics):
            pairs = {v.name: self._differences(v, metric) for v in self.variants if v.base != v.name}
            compared = {name: values for name, values in pairs.items() if values}
            ps = adjusted([paired_p(values) for values in compared.values()])
            for (name, values), p in zip(compared.items(), ps, strict=True):
                spread = Spread.of(values)
                differences[name][metric] = Difference(spread.mean, spread.std, len(values), p)
        return differences

    def _differences(self, variant: Variant, metric: str) -> list[float]:
        """The difference for each seed that both have. If the auxiliary losses are not the same, `loss` is a different
        sum, and isn't compared."""
        base = self[variant.base]
        if metric not in base.metrics or (metric == "loss" and variant.metrics.keys() != base.metrics.keys()):
            return []
        results = {run.seed: run.metrics[metric] for run in base.done}
        runs = [run for run in variant.done if metric in run.metrics]
        return [run.metrics[metric] - results[run.seed] for run in runs if run.seed in results]

    def as_json(self) -> dict[str, Any]:
        return {
            "program": dict(self.program),
            "setup": dict(self.setup),
            "seeds": self.seeds,
            "variants": [variant.as_json(self.differences[variant.name]) for variant in self.variants],
        }
