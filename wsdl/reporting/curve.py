"""`curve.svg`: the loss, the evaluations and the learning rate over the steps."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping
from math import inf, isfinite
from pathlib import Path

from wsdl.atomic import holding, write_file
from wsdl.diagnostics.figures import count
from wsdl.reporting.json_lines import LOG, read_log
from wsdl.reporting.plot import Curves, as_svg, figure
from wsdl.reporting.reports import Callback, EvaluationReport, RunPlan, StepReport
from wsdl.reporting.series import Point, Series

DRAWING = 50  # a picture is redrawn after this multiple of the time that drawing it took


class Curve(Callback):
    """Draws at evaluations, at most every `seconds` and for at most a small part of the time, and at the end. A resumed
    run reads the previous values from the `log`, by default the one beside the picture. Needs matplotlib."""

    def __init__(
        self,
        path: str | os.PathLike[str],
        log: str | os.PathLike[str] | None = None,
        *,
        seconds: float = 10.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.path = Path(path)
        self.log = Path(log) if log else self.path.with_name(LOG)
        self._seconds = self._pause = seconds
        self._clock = clock
        self._drawn = clock()
        self._clear()

    def _clear(self) -> None:
        self._losses: dict[str, Series] = {}  # by training, whose name is empty where there is one
        self._lr = Series()
        self._results: dict[str, Series] = {}
        self._lowest: Point | None = None  # of the losses of evaluations
        self._plan: RunPlan | None = None
        self._epoch = 0

    def on_begin(self, plan: RunPlan) -> None:
        self._clear()
        self._plan = plan
        for line in read_log(self.log, plan.first_step) if plan.first_step else ():
            if line.results is None:
                self._add(line.step, line.loss, line.lr, line.training)
            else:
                self._evaluated(line.step, line.results)

    def on_step(self, r: StepReport) -> None:
        self._epoch = r.epoch
        self._add(r.step, r.loss, r.lr, r.training)

    def on_eval(self, r: EvaluationReport) -> None:
        self._epoch = r.epoch
        self._evaluated(r.step, r.results)
        if self._clock() - self._drawn >= self._pause:
            self._draw()

    def on_end(self) -> None:
        self._draw()

    def _add(self, step: int, loss: float, lr: float, training: str) -> None:
        self._losses.setdefault(training, Series()).add(step, loss)
        if training == next(iter(self._losses)):
            self._lr.add(step, lr)

    def _evaluated(self, step: int, results: Mapping[str, float]) -> None:
        for name, value in results.items():
            series = self._results.setdefault(name, Series())
            if not series or series.last[0] != step:  # else already read from the log: a resumed run repeats it
                series.add(step, value)
        loss = results.get("loss", inf)
        if isfinite(loss) and (self._lowest is None or loss < self._lowest[1]):
            self._lowest = (step, loss)

    # -- the picture ---------------------------------------------------------------------------------------------------

    def _draw(self) -> None:
        if self._plan and (self._losses or self._results):
            began = self._clock()
            write_file(self.path, holding(as_svg(figure(self.curves(self._plan)))))
            self._pause = max(self._seconds, DRAWING * (self._clock() - began))
        self._drawn = self._clock()

    def curves(self, plan: RunPlan) -> Curves:
        """The data reported so far."""
        last = max(series.last[0] for series in (*self._losses.values(), *self._results.values()))
        words = [count(int(last), "step")]
        if self._epoch:
            words.append(count(self._epoch, "epoch"))
        words += [f"batch {plan.batch:,}", count(plan.parameters, "parameter")]
        if plan.parameters_without_sharing != plan.parameters:
            words[-1] += f" ({plan.parameters_without_sharing:,} without sharing)"
        losses = {f"{name}.loss" if name else "loss": series for name, series in self._losses.items()}
        return Curves(plan.title, ", ".join(words), losses, self._lr, self._results, self._lowest)
