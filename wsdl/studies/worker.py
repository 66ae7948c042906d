"""A process that runs trials. It reads one per line from stdin and writes lines to stdout: `{"begin": …, "steps": …}`,
`{"step": …, "loss": …}` now and then, `{"run": …}` at the end. It exits when stdin ends, even in the middle of a trial,
so that no process continues after its study was killed.
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
from wsdl.reporting.reports import Callback, RunPlan, StepReport

SEND_SECONDS = 0.1  # between two lines about the steps of a trial
Send = Callable[[dict[str, Any]], None]


class SentProgress(Callback):
    """Sends the progress of a trial."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self._next = 0.0

    def on_begin(self, plan: RunPlan) -> None:
        self._send({"begin": plan.first_step, "steps": plan.steps})

    def on_step(self, r: StepReport) -> None:
        if (now := time.monotonic()) >= self._next:
            self._send({"step": r.step, "loss": r.loss})
            self._next = now + SEND_SECONDS


def main() -> None:
    # Output of libraries must not come between the lines: it goes to stderr.
    lines = os.fdopen(os.dup(1), "w", encoding="utf-8", newline="\n")
    os.dup2(2, 1)
    trials: SimpleQueue[str] = SimpleQueue()
    Thread(target=_read, args=(sys.stdin, trials), daemon=True).start()

    def send(event: dict[str, Any]) -> None:
        lines.write(json.dumps(event) + "\n")
        lines.flush()

    from wsdl.runtime.stopping import Interrupted
    from wsdl.studies.trial import Trial, run

    try:
        while True:
            send({"run": run(Trial.of_json(json.loads(trials.get())), SentProgress(send)).as_json()})
    except (Interrupted, KeyboardInterrupt):  # the trial is saved
        os._exit(INTERRUPTED)


def _read(stream: TextIO, trials: SimpleQueue[str]) -> None:
    for line in stream:
        trials.put(line)
    os._exit(0)
