"""`python -m tests.studies.killed`: a study in the folder `killed` that is ended by SIGKILL in the course of a step,
and just before and after a file gets its name, and goes on each time. All in forks of one process, in which everything
is imported."""

from __future__ import annotations

import os
import signal
from collections.abc import Generator, Sequence
from contextlib import AbstractContextManager, ExitStack, nullcontext
from pathlib import Path
from unittest import mock

import wsdl
from wsdl.reporting.reports import Callback, StepReport
from wsdl.studies import compare
from wsdl.studies.processes import Watch
from wsdl.studies.results import Run
from wsdl.studies.trial import Trial, run

KILLS = (
    ("step 3", 1),
    ("before last.safetensors", 1),
    ("after last.safetensors", 1),
    ("after weights.safetensors", 1),
    ("before study.json", 2),  # with the result of the first trial; the first is written when it goes on
    ("after study.json", 2),
    ("step 10", 1),  # of the second trial
)
left = [""]  # events until the end, which is the last


def event(name: str) -> None:
    if name == left[0]:
        left.pop(0)
    if not left:
        os.kill(os.getpid(), signal.SIGKILL)


class Steps(Callback):
    def on_step(self, r: StepReport) -> None:
        event(f"step {r.step}")


class Here:
    """Runs trials in this process, so that it dies with one of them."""

    def __init__(self, count: int, threads: int) -> None:
        self.count, self.threads = 1, threads

    def ready(self) -> AbstractContextManager[object]:
        return nullcontext()

    def run_trials(self, trials: Sequence[Trial], watch: Watch) -> Generator[tuple[Trial, Run], None, None]:
        for trial in trials:
            yield trial, run(trial, Steps())


def renamed(source: str, target: str | Path, replace: object = os.replace) -> None:
    assert callable(replace)
    event(f"before {Path(target).name}")
    replace(source, target)
    event(f"after {Path(target).name}")


def study() -> None:
    patches = ((compare, "Processes", Here), (compare, "is_installed", bool), (os, "replace", renamed))
    with ExitStack() as stack:
        for patch in patches:
            stack.enter_context(mock.patch.object(*patch))
        wsdl.study(
            "classify.wsd",
            "train.npz",
            evaluation="test.npz",
            folder="killed",
            epochs=2,
            batch=16,
            seeds=1,
            constants={"depth": [3, 2]},
            resume=True,
        )


def main() -> None:
    global left
    for name, times in (*KILLS, ("", 1)):
        if not (child := os.fork()):
            left = [name] * times
            study()
            os._exit(0)
        status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        assert status == (-signal.SIGKILL if name else 0), (name, status)


if __name__ == "__main__":
    main()
