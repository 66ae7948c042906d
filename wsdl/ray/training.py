"""A training by several workers: each is an actor of Ray that computes its rows of every batch.

Gradients cross by XGBoost's collective, which needs no PyTorch. Where a worker is lost, all begin again from the last
checkpoint, with those that there are by then.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from functools import partial
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from queue import SimpleQueue
from threading import Event
from typing import Any, TypeAlias

from wsdl import distributed
from wsdl.api.training import Trained, TrainingJob
from wsdl.diagnostics import CompileError
from wsdl.diagnostics.figures import count
from wsdl.distributed import Communicator
from wsdl.ray import errors
from wsdl.ray.cluster import Request, connected, require_running
from wsdl.ray.tasks import POLL_SECONDS, RETRIES, Failed
from wsdl.reporting.reports import Callback, EvaluationReport, RunPlan, StepReport
from wsdl.runtime.stopping import Interrupted, Stop
from wsdl.runtime.training_state import LAST

PATIENCE = 60.0  # for workers to start again, or to end where one has failed
ANSWER_SECONDS = 5.0  # for a worker to say that it is there
STOPPED = "E0836"  # what a worker says when another one has failed
Report: TypeAlias = "tuple[str, tuple[Any, ...]]"  # a method of `Callback`, and its arguments


def run_training(workers: Request, job: TrainingJob, callback: Callback, *, resume: bool, replace: bool) -> Trained:
    """Run a job on workers. Raises the `CompileError`s of a worker, `Interrupted` after a signal, and `RunError`
    (E0745) where workers are lost again and again."""
    if workers.count > 1 and find_spec("xgboost") is None:
        raise errors.not_installed("xgboost")
    stop = Stop()
    with connected(workers) as ray, stop.watching():
        return _Training(ray, workers, job, callback, stop).run(resume=resume, replace=replace)


class _Training:
    def __init__(self, ray: Any, workers: Request, job: TrainingJob, callback: Callback, stop: Stop) -> None:
        self.ray, self.workers, self.job, self.stop = ray, workers, job, stop
        self.sent = ray.put(replace(job, threads=workers.threads))  # once, since it may have arrays
        self.cause = ""  # of the last loss
        self.reports = _Forwarded(callback)

    def run(self, *, resume: bool, replace: bool) -> Trained:
        """Run the job, again from the last checkpoint whenever a worker is lost, unless that happens several times
        without a new one."""
        before = last = self._checkpoint()
        losses = 0
        while True:
            is_begun = last != before
            try:
                return self._attempt(resume=resume or is_begun, replace=replace and not is_begun, is_first=not losses)
            except self.ray.exceptions.RayError as error:
                last, previous = self._checkpoint(), last
                losses = losses + 1 if last == previous else 1
                if losses > RETRIES or self.stop.asked:
                    raise errors.lost(error, "a worker of the training") or error from error
            self.reports.note(partial(_goes_on, self.cause))

    def _checkpoint(self) -> tuple[int, int] | None:
        """What identifies the last checkpoint; `None` if there is none."""
        if self.job.plan.folder is None:
            return None
        with suppress(OSError):
            found = os.stat(Path(self.job.plan.folder, LAST))
            return found.st_mtime_ns, found.st_ino
        return None

    def _attempt(self, *, resume: bool, replace: bool, is_first: bool) -> Trained:
        actors, runs = self._actors(is_first), list[Any]()
        try:
            first, size = actors[0], len(actors)
            self.reports.note(lambda _: f"{count(size, 'worker')}, {count(self.workers.threads, 'thread')} each")
            arguments = self.ray.get(first.connect.remote(size)) if size > 1 else None
            runs = [a.train.remote(rank, arguments, resume, replace) for rank, a in enumerate(actors)]
            waiting, results, patience = list(runs), dict[Any, Any](), PATIENCE
            while waiting and patience > 0:
                require_running(self.ray)
                done, waiting = self.ray.wait(waiting, timeout=POLL_SECONDS)
                self.reports.forward(self.ray.get(first.reported.remote(self.stop.asked)))
                results |= {run: self.ray.get(run) for run in done}
                if any(isinstance(result, Failed) for result in results.values()):
                    patience -= POLL_SECONDS  # the others end as well, unless they wait for one that is gone
            self.reports.forward(self.ray.get(first.reported.remote(self.stop.asked)))
            return _result([results[run] for run in runs if run in results])
        except self.ray.exceptions.RayError:
            lost = [rank for rank, actor in enumerate(actors) if not self._answers(actor)]
            self.cause = _lost(lost) if lost else self._failure(runs)
            raise
        finally:
            self.reports.end()
            for actor in actors:
                self.ray.kill(actor)

    def _answers(self, actor: Any) -> bool:
        """Is its process still there?"""
        try:
            self.ray.get(actor.start.remote(), timeout=ANSWER_SECONDS)
        except (self.ray.exceptions.RayActorError, self.ray.exceptions.GetTimeoutError):
            return False
        return True

    def _failure(self, runs: Sequence[Any]) -> str:
        """The worker that has failed, and by what: not one whose exchange broke off since another one failed."""
        failures = {}
        for rank, run in enumerate(runs):
            try:
                self.ray.get(run, timeout=0)
            except self.ray.exceptions.RayTaskError as error:
                failures[rank] = type(error.cause).__name__
            except self.ray.exceptions.GetTimeoutError:
                continue
        for rank, name in sorted(failures.items(), key=lambda failure: failure[1] == "XGBoostError"):
            return f"worker {rank} failed ({name})"
        return _lost([])

    def _actors(self, is_first: bool) -> list[Any]:
        """The workers; after a loss those that start within a minute."""
        device = {"num_gpus": 1} if self.job.device == "cuda" else {}
        actor = self.ray.remote(num_cpus=self.workers.threads, max_concurrency=2, **device)(_Worker)
        actors = [actor.remote([self.sent], os.getcwd()) for _ in range(self.workers.count)]
        started = {a.start.remote(): a for a in actors}
        ready, late = self.ray.wait(list(started), num_returns=len(actors), timeout=None if is_first else PATIENCE)
        if late and not ready:
            ready, late = self.ray.wait(late, num_returns=1)
        for reference in late:
            self.ray.kill(started[reference])
        self.ray.get(ready)
        return [a for reference, a in started.items() if reference in ready]


def _result(results: Sequence[Trained | Failed | str]) -> Trained:
    """The result of the first worker; raises the error of the one that has failed of itself."""
    failures = [result for result in results if isinstance(result, Failed)]
    for failed in sorted(failures, key=lambda failed: failed.diagnostics[0].code == STOPPED):
        raise failed.error
    first = results[0]
    if isinstance(first, str):
        raise Interrupted(first)
    assert isinstance(first, Trained)
    return first


def _lost(ranks: Sequence[int]) -> str:
    """Which workers were lost; it may be unknown."""
    if not ranks:
        return "a worker was lost"
    if len(ranks) == 1:
        return f"worker {ranks[0]} was lost"
    return f"workers {', '.join(map(str, ranks))} were lost"


def _goes_on(cause: str, plan: RunPlan) -> str:
    """A note on a training that has begun again."""
    return f"{cause}: the training {f'goes on from step {plan.first_step}' if plan.first_step else 'begins again'}"


class _Forwarded:
    """Passes reports on to a callback; a training that begins again ends the reports of before."""

    def __init__(self, callback: Callback) -> None:
        self._callback, self._notes = callback, list[Callable[[RunPlan], str]]()
        self._plan: RunPlan | None = None  # of a run that has begun

    def forward(self, reports: Sequence[Report]) -> None:
        for method, arguments in reports:
            getattr(self._callback, method)(*arguments)
            if method in ("on_begin", "on_end"):
                self._plan = arguments[0] if arguments else None
            while self._plan is not None and self._notes:
                self._callback.on_note(self._notes.pop(0)(self._plan))

    def note(self, text: Callable[[RunPlan], str]) -> None:
        """Shown when the training begins: a live view shows nothing before."""
        self._notes.append(text)

    def end(self) -> None:
        if self._plan is not None:
            self.forward([("on_end", ())])


# -- on the worker -----------------------------------------------------------------------------------------------------


class _Worker:
    """An actor. `train` runs beside `reported`, which the driver calls several times a second on the first worker."""

    def __init__(self, sent: list[Any], folder: str) -> None:
        with suppress(OSError):
            os.chdir(folder)  # paths are relative to the folder in which the command runs
        self._job: TrainingJob = import_module("ray").get(sent[0])  # processes of a machine share its arrays
        self._stop, self._reports = Stop(), _Reports()
        self._tracker: Any = None

    def start(self) -> None:
        """Returns when the actor is there."""

    def connect(self, size: int) -> dict[str, Any]:
        """Begin to listen for so many workers; what they need to connect."""
        from ray.util import get_node_ip_address

        tracker = import_module("xgboost.tracker")
        self._tracker = tracker.RabitTracker(size, get_node_ip_address(), sortby="task")
        self._tracker.start()
        arguments: dict[str, Any] = self._tracker.worker_args()
        return arguments

    def train(
        self, rank: int, arguments: Mapping[str, Any] | None, resume: bool, replace: bool
    ) -> Trained | Failed | str:
        """The result of this worker, without its trainer; a message where it was interrupted."""
        try:
            with _connected(arguments, rank) as workers:
                run = self._job.run(self._reports, resume=resume, replace=replace, workers=workers, stop=self._stop)
                return Trained(run.steps, run.progress, run.diagnostics, run.files)
        except CompileError as error:
            return Failed(type(error), error.diagnostics)
        except Interrupted as stopped:
            return stopped.message

    def reported(self, stop: bool) -> list[Report]:
        """The reports since the last call; with `stop` the training stops after its step."""
        self._stop.asked = self._stop.asked or stop
        return self._reports.take()


@contextmanager
def _connected(arguments: Mapping[str, Any] | None, rank: int) -> Iterator[Communicator | None]:
    """The communicator of this worker; none if it is alone."""
    if arguments is None:
        yield None
        return
    context = import_module("xgboost.collective").CommunicatorContext
    with context(**arguments, dmlc_task_id=f"{rank:06}"):
        yield distributed.xgboost()


class _Reports(Callback):
    """A callback that keeps reports until they are taken."""

    def __init__(self) -> None:
        self._waiting: SimpleQueue[Report] = SimpleQueue()
        self._taken = Event()

    def take(self) -> list[Report]:
        reports = [self._waiting.get() for _ in range(self._waiting.qsize())]  # nobody else takes any
        self._taken.set()
        return reports

    def on_begin(self, plan: RunPlan) -> None:
        self._waiting.put(("on_begin", (plan,)))

    def on_step(self, r: StepReport) -> None:
        self._waiting.put(("on_step", (r,)))

    def on_eval(self, r: EvaluationReport) -> None:
        self._waiting.put(("on_eval", (r,)))

    def on_note(self, text: str) -> None:
        self._waiting.put(("on_note", (text,)))

    def on_save(self) -> None:
        """Returns when all reports so far have been taken, so that a log has them before there is a checkpoint."""
        self._taken.clear()
        self._waiting.put(("on_save", ()))
        self._taken.wait(PATIENCE)

    def on_end(self) -> None:
        self._waiting.put(("on_end", ()))
