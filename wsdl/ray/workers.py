"""What callers say about workers: how many, with how many CPUs, and where."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass

from wsdl.api.training import Trained, TrainingJob
from wsdl.ray.cluster import Request, connected
from wsdl.ray.rows import run_parts
from wsdl.ray.training import run_training
from wsdl.ray.trials import run_trials
from wsdl.reporting.reports import Callback
from wsdl.runtime.parts import Part, RowJob
from wsdl.studies.processes import Watch
from wsdl.studies.results import Run
from wsdl.studies.trial import Trial


@dataclass(frozen=True)
class Workers(Request):
    """`count` workers with `threads` CPUs each: on the Ray cluster at `cluster` (`"host:6379"`, or `"auto"` for the one
    that this machine belongs to), by default that of the environment variable `RAY_ADDRESS`; without it, on this
    machine. In a process that has called `ray.init`, they run on the cluster it is connected to."""

    def run_parts(self, job: RowJob, parts: Sequence[Part]) -> Generator[Part, None, None]:
        """Run the parts of a job; yields each when its file is written."""
        return run_parts(self, job, parts)

    def ready(self) -> AbstractContextManager[object]:
        """Connected to the cluster."""
        return connected(self)

    def run_trials(self, trials: Sequence[Trial], watch: Watch) -> Generator[tuple[Trial, Run], None, None]:
        """Run the trials of a study; yields the result of each, in the order in which they end."""
        return run_trials(self, trials, watch)

    def run_training(self, job: TrainingJob, callback: Callback, *, resume: bool, replace: bool) -> Trained:
        """Train by workers that each compute their rows of every batch."""
        return run_training(self, job, callback, resume=resume, replace=replace)
