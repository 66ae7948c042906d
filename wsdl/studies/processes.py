"""Runs trials in parallel, in processes on this machine."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext, suppress
from dataclasses import dataclass
from queue import Empty, SimpleQueue
from threading import Thread
from typing import IO, Any, Protocol, TypeAlias

from wsdl.studies.results import Failure, Run
from wsdl.studies.trial import Trial

Watch: TypeAlias = Callable[[Trial, Mapping[str, Any]], None]  # receives the events of a trial
THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "VECLIB_MAXIMUM_THREADS")
WORKER = "from wsdl.studies.worker import main; main()"
LAST_LINES = 3  # of the stderr of a process that died, for the message


class TrialRunner(Protocol):
    """Runs the trials of a study, `count` at a time, each with `threads` threads."""

    @property
    def count(self) -> int: ...

    @property
    def threads(self) -> int: ...

    def ready(self) -> AbstractContextManager[object]:
        """A context in which trials can run. Raises `CompileError` if they can't, before anything is written."""

    def run_trials(self, trials: Sequence[Trial], watch: Watch) -> Generator[tuple[Trial, Run], None, None]:
        """Yield the result of each trial, in the order in which they end. Closing the generator stops running ones."""


@dataclass(frozen=True)
class Processes:
    """Processes on this machine. Results don't depend on `count`."""

    count: int
    threads: int

    def ready(self) -> AbstractContextManager[object]:
        return nullcontext()

    def run_trials(self, trials: Sequence[Trial], watch: Watch) -> Generator[tuple[Trial, Run], None, None]:
        waiting: SimpleQueue[Trial] = SimpleQueue()
        events: SimpleQueue[tuple[Trial, Mapping[str, Any]]] = SimpleQueue()
        for trial in trials:
            waiting.put(trial)
        workers = [_Worker(self.threads, waiting, events) for _ in range(min(self.count, len(trials)))]
        remaining = len(trials)
        try:
            for worker in workers:
                worker.start()
            while remaining:
                trial, event = events.get()
                if "run" in event:
                    remaining -= 1
                    yield trial, Run.of_json(event["run"])
                else:
                    watch(trial, event)
        finally:
            for worker in workers:
                worker.stop()
            for worker in workers:
                worker.join()


class _Worker(Thread):
    """Runs trials one after another in its own process, which is restarted if it dies."""

    def __init__(
        self, threads: int, waiting: SimpleQueue[Trial], events: SimpleQueue[tuple[Trial, Mapping[str, Any]]]
    ) -> None:
        super().__init__(daemon=True)
        self._threads, self._waiting, self._events = threads, waiting, events
        self._process: subprocess.Popen[str] | None = None
        self._errors: IO[str] = tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace")  # noqa: SIM115 - closed by `run`
        self._is_stopped = False

    def stop(self) -> None:
        """Ask the process to end; it saves its training first."""
        self._is_stopped = True
        if self._process is not None:
            with suppress(OSError):
                self._process.terminate()

    def run(self) -> None:
        with self._errors, suppress(Empty):
            while not self._is_stopped:
                trial = self._waiting.get_nowait()
                try:
                    process = self._process = self._process or self._begin()
                except OSError as error:  # too many processes, or out of memory
                    self._fail(trial, f"the process of this trial can't be started: {error.strerror}")
                    continue
                if self._is_stopped:
                    process.terminate()
                self._run_in(process, trial)
        if self._process is not None:
            self._close(self._process)

    def _begin(self) -> subprocess.Popen[str]:
        code = f"import sys; sys.path[:] = {sys.path!r}; {WORKER}"
        return subprocess.Popen(
            [sys.executable, "-P", "-c", code],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            encoding="utf-8",
            env={**os.environ, **dict.fromkeys(THREADS, str(self._threads))},
            start_new_session=True,  # Ctrl-C reaches only the parent, which then stops the others
        )

    def _run_in(self, process: subprocess.Popen[str], trial: Trial) -> None:
        """Run a trial in a process, and forward its events."""
        assert process.stdin
        assert process.stdout
        with suppress(OSError):
            process.stdin.write(json.dumps(trial.as_json()) + "\n")
            process.stdin.flush()
        for line in process.stdout:
            event = json.loads(line)
            self._events.put((trial, event))
            if "run" in event:
                return
        self._process = None
        code = self._close(process)
        if not self._is_stopped:
            self._fail(trial, self._death(code))

    def _fail(self, trial: Trial, message: str) -> None:
        """Report that a trial has no result; a retry may have one."""
        failure = Failure("E0731", message, is_lasting=False)
        self._events.put((trial, {"run": Run(trial.seed, failure=failure).as_json()}))

    def _close(self, process: subprocess.Popen[str]) -> int:
        """Close the streams of a process, which makes it end; returns its exit code."""
        for stream in (process.stdin, process.stdout):
            assert stream
            with suppress(OSError):
                stream.close()
        return process.wait()

    def _death(self, code: int) -> str:
        ended = f"was killed by {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"
        self._errors.seek(0)
        lines = self._errors.read().strip().splitlines()[-LAST_LINES:]
        why = "; memory may have run out" if ended.endswith("SIGKILL") else "".join(f"; {line}" for line in lines)
        return f"the process of this trial {ended}{why}"
