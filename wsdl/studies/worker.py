"""A process that runs trials. It reads one a line from stdin, and writes lines to stdout: `{"begin": …, "steps": …}`,
`{"step": …, "loss": …}` now and then, `{"run": …}` at the end. When stdin ends, so does it, even in the middle of a
trial: nothing trains on for a study that was killed.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable
from queue import SimpleQueue
from threading import Thread
from typing import Any, TextIO

from wsdl.process import INTERRUPTED
from wsdl.reporting.reports import Quiet, RunPlan, StepReport

TELL_SECONDS = 0.1  # between two lines about the steps of a trial
Tell = Callable[[dict[str, Any]], None]


class Told(Quiet):
    """Writes how far a trial is."""

    def __init__(self, tell: Tell) -> None:
        self._tell = tell
        self._next = 0.0

    def begin(self, plan: RunPlan) -> None:
        self._tell({"begin": plan.first_step, "steps": plan.steps})

    def step(self, r: StepReport) -> None:
        if (now := time.monotonic()) >= self._next:
            self._tell({"step": r.step, "loss": r.loss})
            self._next = now + TELL_SECONDS


def main() -> None:
    # What libraries print must not come between the lines: they get stderr.
    lines = os.fdopen(os.dup(1), "w", encoding="utf-8", newline="\n")
    os.dup2(2, 1)
    trials: SimpleQueue[str] = SimpleQueue()
    Thread(target=_read, args=(sys.stdin, trials), daemon=True).start()

    def tell(event: dict[str, Any]) -> None:
        lines.write(json.dumps(event) + "\n")
        lines.flush()

    from wsdl.runtime.stopping import Interrupted
    from wsdl.studies.trial import Trial, run

    try:
        while True:
            tell({"run": run(Trial.of_json(json.loads(trials.get())), Told(tell)).as_json()})
    except (Interrupted, KeyboardInterrupt):  # saved
        os._exit(INTERRUPTED)


def _read(stream: TextIO, trials: SimpleQueue[str]) -> None:
    for line in stream:
        trials.put(line)
    os._exit(0)
