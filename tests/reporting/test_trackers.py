"""MLflow and Weights & Biases: what their modules and runs would get, from stand-ins that have the same interface."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import pytest

from tests.reporting.reports import plan, tell
from wsdl.diagnostics import CompileError
from wsdl.diagnostics.render import render
from wsdl.reporting.reports import Callback, StepReport
from wsdl.reporting.trackers import MLflow, WeightsAndBiases

PARAMETERS = {"model": "lm", "batch": 64, "parameters": 61_706, "parameters_without_sharing": 123_412}


class Module:
    """As `mlflow` 2.x and 3.x: a parameter keeps its value, a metric has one at each step."""

    def __init__(self) -> None:
        self.params: dict[str, Any] = {}
        self.metrics: dict[int, dict[str, float]] = {}

    def log_params(self, params: dict[str, Any]) -> None:
        assert all(self.params.get(name, value) == value for name, value in params.items()), "MlflowException"
        self.params |= params

    def log_metrics(self, metrics: dict[str, float], step: int | None = None) -> None:
        assert step is not None
        self.metrics.setdefault(step, {}).update(metrics)


class Config(dict[str, Any]):
    def update(self, d: Mapping[str, Any]) -> None:  # type: ignore[override]  # the interface of `wandb.Config`
        assert all(self.get(name, value) == value for name, value in d.items()), "wandb.sdk.lib.config_util.ConfigError"
        super().update(d)


class Run:
    """As `wandb.Run`: values of a step that has passed are dropped."""

    def __init__(self) -> None:
        self.config = Config()
        self.history: dict[int, dict[str, float]] = {}

    def log(self, data: dict[str, Any], step: int | None = None) -> None:
        assert step is not None
        assert step >= max(self.history, default=0)
        self.history.setdefault(step, {}).update(data)


def of_mlflow(every: int) -> tuple[Callback, dict[str, Any], dict[int, dict[str, float]]]:
    module = Module()
    return MLflow(module, every=every), module.params, module.metrics


def of_wandb(every: int) -> tuple[Callback, dict[str, Any], dict[int, dict[str, float]]]:
    run = Run()
    return WeightsAndBiases(run, every=every), run.config, run.history


@pytest.mark.parametrize("make", [of_mlflow, of_wandb])
def test_a_training_and_its_resumption(make: Callable[[int], Any]) -> None:
    callback, parameters, logged = make(3)
    tell(callback, plan(20), until=10)
    tell(callback, plan(30, first_step=10))  # longer than planned
    assert parameters == PARAMETERS
    assert list(logged) == [3, 6, 9, 10, 12, 15, 18, 20, 21, 24, 27, 30]
    assert list(logged[10]) == ["loss/evaluation", "accuracy/evaluation"]
    assert list(logged[30]) == ["loss/training", "accuracy/training", "lr", "loss/evaluation", "accuracy/evaluation"]
    callback.on_step(StepReport(33, 3, 1.0, {}, 0.5, 64, 1.0, training="critic"))
    assert logged[33] == {"critic.loss/training": 1.0, "critic.lr": 0.5}


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (lambda: MLflow(Run()), "`module` is the module `mlflow`, not <"),  # type: ignore[arg-type]  # a mistake
        (lambda: WeightsAndBiases(Module()), "`run` is a run, which `wandb.init()` returns, not <"),  # type: ignore[arg-type]  # a mistake
        (lambda: MLflow(Module(), every=0), "`every` is an integer from 1 to 2147483647, not 0"),
    ],
)
def test_what_they_take(wrong: Callable[[], object], message: str) -> None:
    with pytest.raises(CompileError) as raised:
        wrong()
    assert f"error[E0704]: {message}" in render(raised.value.diagnostics)
