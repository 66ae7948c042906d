"""Callbacks that log a training to MLflow or to Weights & Biases, through the user's own module or run.

Neither package is imported here, and neither is a dependency.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from wsdl.options import COUNT, Having, takes
from wsdl.reporting.reports import Callback, EvaluationReport, RunPlan, StepReport


class _Module(Protocol):
    """What is used of the module `mlflow`, in 2.x and 3.x."""

    def log_params(self, params: dict[str, Any]) -> object: ...

    def log_metrics(self, metrics: dict[str, float], step: int | None = None) -> object: ...


class _Config(Protocol):
    def update(self, d: Mapping[str, Any]) -> object: ...


class _Run(Protocol):
    """What is used of a `wandb.Run`, from 0.13."""

    @property
    def config(self) -> _Config: ...

    def log(self, data: dict[str, Any], step: int | None = None) -> object: ...


class MLflow(Callback):
    """Logs a training to the active run of MLflow: loss and metrics as `loss/training`, `loss/evaluation` and so on,
    and the learning rate as `lr`; as parameters the model, its size and the batch.

    `module` is `mlflow`. Its run is the user's, who starts and ends it; without one MLflow starts it with the first
    value. Every `every`th step is logged, and each evaluation: where the server is far away, a call takes longer than
    many a step.
    """

    @takes(module=Having(("log_params", "log_metrics"), "the module `mlflow`"), every=COUNT)
    def __init__(self, module: _Module, *, every: int = 1) -> None:
        self._module, self._every = module, every

    def on_begin(self, plan: RunPlan) -> None:
        self._module.log_params(_parameters(plan))

    def on_step(self, r: StepReport) -> None:
        if r.step % self._every == 0:
            self._module.log_metrics(r.scalars(), step=r.step)

    def on_eval(self, r: EvaluationReport) -> None:
        self._module.log_metrics(r.scalars(), step=r.step)


class WeightsAndBiases(Callback):
    """Logs a training to a run of Weights & Biases: loss and metrics as `loss/training`, `loss/evaluation` and so on,
    and the learning rate as `lr`; the model, its size and the batch go to its configuration.

    `run` is what `wandb.init` returns; the user ends it. Every `every`th step is logged, and each evaluation.
    """

    @takes(run=Having(("log", "config"), "a run, which `wandb.init()` returns"), every=COUNT)
    def __init__(self, run: _Run, *, every: int = 1) -> None:
        self._run, self._every = run, every

    def on_begin(self, plan: RunPlan) -> None:
        self._run.config.update(_parameters(plan))

    def on_step(self, r: StepReport) -> None:
        if r.step % self._every == 0:
            self._run.log(r.scalars(), step=r.step)

    def on_eval(self, r: EvaluationReport) -> None:
        self._run.log(r.scalars(), step=r.step)


def _parameters(plan: RunPlan) -> dict[str, Any]:
    """What is the same in a run that resumes: MLflow and Weights & Biases refuse other values for what they have."""
    parameters = {
        "model": plan.model,
        "variant": plan.variant,
        "batch": plan.batch,
        "parameters": plan.parameters,
        "parameters_without_sharing": plan.parameters_without_sharing,
    }
    return {name: value for name, value in parameters.items() if value != ""}
