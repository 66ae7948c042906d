"""Trials of a study on workers. Their data and the folder of the study are on storage that all machines have."""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from wsdl.ray.cluster import Request, connected
from wsdl.ray.tasks import Failed, results
from wsdl.studies.processes import Watch
from wsdl.studies.results import Failure, Run
from wsdl.studies.trial import Trial, run
from wsdl.studies.worker import SentProgress


def run_trials(workers: Request, trials: Sequence[Trial], watch: Watch) -> Generator[tuple[Trial, Run], None, None]:
    """Yield the result of each trial, in the order in which they end. One whose worker was lost goes on from its last
    checkpoint on another one."""
    with connected(workers) as ray:
        events = ray.remote(num_cpus=0, max_restarts=-1)(Events).remote()
        by_label = {trial.label: trial for trial in trials}

        def forward() -> None:
            with suppress(ray.exceptions.RayError):  # progress may be lost with a machine
                for label, event in ray.get(events.take.remote()):
                    watch(by_label[label], event)

        done = results(ray, workers, RemoteTrial(events), trials, lambda trial: trial.label, forward)
        try:
            for trial, result in done:
                yield trial, _failure(trial, result) if isinstance(result, Failed) else result
        finally:
            done.close()


def _failure(trial: Trial, failed: Failed) -> Run:
    """The result of a trial without one, which another try may have."""
    [problem, *_] = failed.diagnostics
    return Run(trial.seed, failure=Failure(problem.code, problem.summary(), is_lasting=False))


class Events:
    """An actor that holds the progress of trials until it is shown."""

    def __init__(self) -> None:
        self._events: list[tuple[str, Mapping[str, Any]]] = []

    def add(self, label: str, event: Mapping[str, Any]) -> None:
        self._events.append((label, event))

    def take(self) -> list[tuple[str, Mapping[str, Any]]]:
        """What was added since the last call."""
        events, self._events = self._events, []
        return events


@dataclass(frozen=True)
class RemoteTrial:
    """Runs a trial in the process of a worker; its progress goes to an actor, `Events`."""

    events: Any

    def __call__(self, trial: Trial) -> Run:
        def send(event: dict[str, Any]) -> None:
            self.events.add.remote(trial.label, event)

        return run(trial, SentProgress(send))
