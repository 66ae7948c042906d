"""Event files for TensorBoard, written by the package tensorboardX (the extra `tensorboard`)."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from wsdl.diagnostics.run_error import fail
from wsdl.reporting.reports import Callback, EvaluationReport, RunPlan, StepReport

if TYPE_CHECKING:
    from tensorboardX import SummaryWriter

ALL = 1000  # number of first steps that are all written
REST_SECONDS = 0.1  # then at most one step in this time: an event takes 0.1 ms, and TensorBoard shows a sample of 1,000


class TensorBoard(Callback):
    """Loss and metrics as `loss/training`, `loss/evaluation` and so on, and the learning rate as `lr`."""

    def __init__(self, folder: str | os.PathLike[str], *, clock: Callable[[], float] = time.monotonic) -> None:
        try:
            import tensorboardX  # noqa: F401 - so that it is reported first if it is missing
        except ImportError as error:
            raise fail(
                "E0781",
                "writing for TensorBoard requires the package tensorboardX, which is not installed",
                help="`pip install 'wsdl[tensorboard]'` installs it; `log.jsonl` has the same values",
            ) from error
        self._folder = os.fspath(folder)
        self._clock = clock
        self._writer: SummaryWriter | None = None
        self._all_until = 0
        self._next = 0.0

    def on_begin(self, plan: RunPlan) -> None:
        """Open the files. Events of earlier runs in this folder after the first step are purged."""
        from tensorboardX import SummaryWriter

        logging.getLogger("tensorboardX.x2num").setLevel(
            logging.ERROR
        )  # it warns about each NaN, which other callbacks show
        self._writer = SummaryWriter(self._folder, purge_step=plan.first_step + 1, flush_secs=10)
        self._all_until = plan.first_step + ALL

    def on_step(self, r: StepReport) -> None:
        if self._writer is None or (r.step > self._all_until and self._clock() < self._next):
            return
        self._next = self._clock() + REST_SECONDS
        self._write(r)

    def on_eval(self, r: EvaluationReport) -> None:
        self._write(r)

    def _write(self, r: StepReport | EvaluationReport) -> None:
        if self._writer is not None:
            for name, value in r.scalars().items():
                self._writer.add_scalar(name, value, r.step)

    def on_save(self) -> None:
        if self._writer is not None:
            self._writer.flush()

    def on_end(self) -> None:
        if self._writer is not None:
            self._writer.close()
            self._writer = None
