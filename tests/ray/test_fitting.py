"""`wsdl.ray.fit` without Ray: its workers are threads, and what it can't take is refused before anything starts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import wsdl
from tests.runtime.training import CLASSIFY, data
from wsdl.api.training import Trained, TrainingJob
from wsdl.diagnostics import CompileError
from wsdl.diagnostics.span import Source
from wsdl.distributed import Communicator, in_threads
from wsdl.ray import Workers, fit
from wsdl.reporting.reports import Callback, RunPlan, StepReport

PROGRAM = Source("classify.wsd", CLASSIFY)


class Threads(Workers):
    """Runs a training in threads."""

    def run_training(self, job: TrainingJob, callback: Callback, *, resume: bool, replace: bool) -> Trained:
        def work(own: Communicator) -> Trained:
            return job.run(callback, resume=resume, replace=replace, workers=own)

        return in_threads(self.count, work)[0]


class Steps(Callback):
    def __init__(self) -> None:
        self.of_runs: list[list[int]] = []

    def on_begin(self, plan: RunPlan) -> None:
        self.of_runs.append([])

    def on_step(self, r: StepReport) -> None:
        self.of_runs[-1].append(r.step)


def test_what_one_process_gives(tmp_path: Path) -> None:
    """From arrays, from files, and from both."""
    arrays, held_out = data(), data(50, seed=1)
    trainer = wsdl.compile(PROGRAM, seed=3).trainer(batch=16, seed=3)
    expected = pytest.approx(wsdl.fit(trainer, arrays, epochs=2, evaluation=held_out), rel=1e-5)
    np.savez(tmp_path / "rows.npz", **arrays)
    folder = tmp_path / "run"
    steps = Steps()
    for rows in (arrays, tmp_path / "rows.npz", np.load(tmp_path / "rows.npz")):
        got = fit(PROGRAM, rows, Threads(2), folder=folder, epochs=2, evaluation=held_out, replace=True,
                  batch=16, seed=3, callbacks=[steps])  # fmt: skip
        assert got == expected
    assert steps.of_runs == [list(range(1, trainer.steps + 1))] * 3  # of the first worker alone
    assert wsdl.compile(PROGRAM, weights=folder / "last.safetensors").trainer().evaluate(held_out) == expected


MISTAKES: dict[str, tuple[dict[str, Any], str]] = {
    "batches": ({"data": iter([data()])}, "`data` is a path, or a mapping from names to arrays, not"),
    "evaluation": ({"evaluation": [data()]}, "`evaluation` is a path, or a mapping from names to arrays, or None, not"),
    "a number of workers": ({"workers": 4}, "`workers` is workers, such as `wsdl.ray.Workers(4)`, not 4"),
    "no workers": ({"workers": None}, "`workers` is workers, such as `wsdl.ray.Workers(4)`, not None"),
    "epochs": ({"epochs": 0}, "`epochs` is an integer from 1 to 2147483647, not 0"),
    "folder": ({"folder": None}, "`folder` is a path, not None"),
    "batch": ({"batch": -1}, "`batch` is an integer from 1 to 2147483647, or a mapping from the names of"),
    "names of trainings": (
        {"data": {"classify": data()}},
        "there is one training, `classify`, so its data has no name",
    ),
    "no arrays": ({"data": {}}, "the input `x`, f32[n, 8], is missing"),
    "another array": ({"data": {**data(), "z": np.zeros(100)}}, "`z`"),
    "no rows": ({"data": data(0)}, "the data has no rows"),
    "a callback": (
        {"callbacks": [print]},
        "`callbacks` is a list of callbacks, which have the base `wsdl.Callback`, not",
    ),
    "an option": ({"on_nan": "go"}, "`on_nan` is one of `stop`, `skip`, not 'go'"),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_mistakes(name: str, tmp_path: Path) -> None:
    arguments, said = MISTAKES[name]
    given: dict[str, Any] = {"program": PROGRAM, "data": data(), "workers": Threads(2), "folder": tmp_path / "run"}
    with pytest.raises(CompileError) as caught:
        fit(**{**given, **arguments})
    assert said in caught.value.diagnostics[0].message
    assert not (tmp_path / "run" / "last.safetensors").exists()
