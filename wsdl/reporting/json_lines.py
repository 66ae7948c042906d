"""`log.jsonl`: one JSON object a line, for scripts.

    {"step": 1, "epoch": 1, "loss": 2.31, "lr": 0.001, "seconds": 0.004}
    {"step": 2, "epoch": 1, "train": "critic", "loss": 2.31, …}         where several trainings take turns
    {"step": 938, "epoch": 1, "eval": {"loss": 0.41, "accuracy": 0.85}}

Losses that are not finite are `null`: JSON has no NaN, and readers treat `null` as a missing value.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from math import isfinite, nan
from pathlib import Path
from typing import BinaryIO, TextIO

from wsdl.atomic import holding, write_file
from wsdl.reporting.reports import Callback, EvaluationReport, RunPlan, StepReport

LOG = "log.jsonl"
FLUSH_SECONDS = 1.0  # of entries that a killed process may lose


@dataclass(frozen=True)
class LogEntry:
    """A parsed line: of a step, with `loss` and `lr`, or of an evaluation, with `results`."""

    text: str
    step: int
    epoch: int
    loss: float = nan
    lr: float = nan
    seconds: float = 0.0
    results: Mapping[str, float] | None = None
    training: str = ""


class JsonLines(Callback):
    """Writes the log. A fresh run replaces the file, a resumed one appends after the step it resumes from."""

    def __init__(self, path: str | os.PathLike[str], *, clock: Callable[[], float] = time.monotonic) -> None:
        self.path = Path(path)
        self._clock = clock
        self._file: TextIO | None = None
        self._lines: list[str] = []
        self._flushed = 0.0
        self._evaluated = -1  # the step of the last evaluation

    def on_begin(self, plan: RunPlan) -> None:
        """Open the log. Lines after the step from which a run resumes are removed, since their steps will be repeated;
        so is an incomplete line."""
        self._evaluated = -1

        def write(file: BinaryIO) -> None:
            for line in read_log(self.path, plan.first_step):
                file.write(f"{line.text}\n".encode())
                if line.results is not None:
                    self._evaluated = line.step

        write_file(self.path, write if plan.first_step else holding(b""))
        self._file = open(self.path, "a", encoding="utf-8", newline="\n")  # noqa: SIM115 - open until the end
        self._flushed = self._clock()

    def on_step(self, r: StepReport) -> None:
        # Formatted here, since `json.dumps` takes three times as long. `float`, since NumPy's scalars print their type.
        loss = repr(float(r.loss)) if isfinite(r.loss) else "null"
        lr = repr(float(r.lr)) if isfinite(r.lr) else "null"
        own = f' "train": {json.dumps(r.training)},' if r.training else ""
        seconds = round(r.seconds, 4)
        self._add(f'{{"step": {r.step}, "epoch": {r.epoch},{own} "loss": {loss}, "lr": {lr}, "seconds": {seconds}}}\n')

    def on_eval(self, r: EvaluationReport) -> None:
        if r.step == self._evaluated:
            return  # already in the log: the run resumes from a checkpoint at this step, before its evaluation
        self._evaluated = r.step
        results = {name: value if isfinite(value) else None for name, value in r.results.items()}
        line = {"step": r.step, "epoch": r.epoch, "eval": results}
        self._add(json.dumps(line, ensure_ascii=False, allow_nan=False) + "\n")

    def _add(self, line: str) -> None:
        self._lines.append(line)
        if self._clock() - self._flushed >= FLUSH_SECONDS:
            self._write()

    def _write(self) -> None:
        if self._file and self._lines:
            lines, self._lines = self._lines, []
            self._file.write("".join(lines))
            self._file.flush()
        self._flushed = self._clock()

    def on_save(self) -> None:
        self._write()
        if self._file:
            os.fsync(self._file.fileno())

    def on_end(self) -> None:
        if self._file:
            try:
                self._write()
            finally:
                self._file.close()
                self._file = None


def read_log(path: str | os.PathLike[str], last_step: int | None = None) -> Iterator[LogEntry]:
    """The lines of a log up to a step; none if there is no file. Invalid lines are skipped."""
    if not os.path.isfile(path):
        return
    with open(path, encoding="utf-8", errors="replace") as file:
        for text in file:
            line = _logged(text)
            if line and (last_step is None or line.step <= last_step):
                yield line


def seconds_until(path: str | os.PathLike[str], step: int) -> float:
    """The seconds of training until a step, from its log; 0 if unknown."""
    return max((line.seconds for line in read_log(path, step)), default=0.0)


def _logged(text: str) -> LogEntry | None:
    if not text.endswith("\n"):
        return None  # incomplete, even if it can be parsed: `1` of `12`
    try:
        entry = json.loads(text)
        step, epoch = int(entry["step"]), int(entry["epoch"])
        if "eval" in entry:
            return LogEntry(text[:-1], step, epoch, results={name: _number(v) for name, v in entry["eval"].items()})
        loss, lr, seconds = _number(entry["loss"]), _number(entry["lr"]), float(entry["seconds"])
        return LogEntry(text[:-1], step, epoch, loss, lr, seconds, training=str(entry.get("train", "")))
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError):
        return None


def _number(value: float | None) -> float:
    return nan if value is None else float(value)
