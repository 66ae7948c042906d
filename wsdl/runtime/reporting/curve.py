"""`curve.svg`: how the loss went down, what the evaluations said, and the learning rate."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from math import inf, isfinite
from pathlib import Path

from wsdl.onnx.atomic import holding, write_file
from wsdl.runtime.reporting.axes import Axis, digits, short, value_axis
from wsdl.runtime.reporting.json_lines import LOG, read_log
from wsdl.runtime.reporting.reports import EvaluationReport, Quiet, RunPlan, StepReport
from wsdl.runtime.reporting.series import Point, Series
from wsdl.runtime.reporting.svg import Line, Panel, counted, picture

MOST_MARKS = 40  # of steps whose loss was not finite


class Curve(Quiet):
    """Draws anew at each evaluation, at most every `seconds`, and at the end. A resumed run reads what came before in
    the log, which lies beside the picture unless it is said where."""

    def __init__(
        self,
        path: str | os.PathLike[str],
        log: str | os.PathLike[str] | None = None,
        *,
        seconds: float = 2.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.path = Path(path)
        self.log = Path(log) if log else self.path.with_name(LOG)
        self._seconds = seconds
        self._clock = clock
        self._drawn = -inf
        self._clear()

    def _clear(self) -> None:
        self._loss, self._lr = Series(), Series()
        self._results: dict[str, Series] = {}
        self._lowest: Point | None = None  # of the losses of evaluations
        self._plan: RunPlan | None = None
        self._epoch = 0

    def begin(self, plan: RunPlan) -> None:
        self._clear()
        self._plan = plan
        for line in read_log(self.log, plan.first_step) if plan.first_step else ():
            if line.results is None:
                self._add(line.step, line.loss, line.lr)
            else:
                self._evaluated(line.step, line.results)

    def step(self, r: StepReport) -> None:
        self._epoch = r.epoch
        self._add(r.step, r.loss, r.lr)

    def evaluation(self, r: EvaluationReport) -> None:
        self._epoch = r.epoch
        self._evaluated(r.step, r.results)
        if self._clock() - self._drawn >= self._seconds:
            self._draw()

    def end(self) -> None:
        self._draw()

    def _add(self, step: int, loss: float, lr: float) -> None:
        self._loss.add(step, loss)
        self._lr.add(step, lr)

    def _evaluated(self, step: int, results: Mapping[str, float]) -> None:
        for name, value in results.items():
            series = self._results.setdefault(name, Series())
            if not series or series.last[0] != step:  # else it is in the log, and done again by a resumed run
                series.add(step, value)
        loss = results.get("loss", inf)
        if isfinite(loss) and (self._lowest is None or loss < self._lowest[1]):
            self._lowest = (step, loss)

    # -- the picture ---------------------------------------------------------------------------------------------------

    def _draw(self) -> None:
        if self._plan and (self._loss or self._results):
            write_file(self.path, holding(self.svg().encode()))
        self._drawn = self._clock()

    def svg(self) -> str:
        """The picture of what was told so far."""
        plan = self._plan
        assert plan is not None, "it has not begun"
        last = max(series.last[0] for series in (self._loss, *self._results.values()))
        panels = [self._loss_panel(), *self._metric_panels()]
        if len({bucket.low for bucket in self._lr.finite()} | {bucket.high for bucket in self._lr.finite()}) > 1:
            panels.append(self._rate_panel())
        return picture(plan.model, self._about(plan, int(last)), Axis(0, max(last, 2)), panels)

    def _about(self, plan: RunPlan, steps: int) -> str:
        words = [counted(steps, "step")]
        if self._epoch:
            words.append(counted(self._epoch, "epoch"))
        words += [f"batch {plan.batch:,}", counted(plan.parameters, "parameter")]
        if plan.parameters_without_sharing != plan.parameters:
            words[-1] += f" ({counted(plan.parameters_without_sharing, 'parameter').split()[0]} without sharing)"
        return " · ".join(words)

    def _loss_panel(self) -> Panel:
        smooth, evaluated = self._loss.smooth(), self._results.get("loss")
        means = evaluated.means() if evaluated else []
        axis = value_axis(_finite(means), outliers=_finite(self._loss.raw()), may_be_log=True)
        lines = [Line("raw", self._loss.raw()), Line("training", _broken(smooth, self._loss))]
        words = [("training-word", f"training {_last(smooth)}")] if self._loss else []
        if evaluated:
            lines.append(Line("evaluation", means, dots=True))
            words.append(("evaluation-word", f"evaluation {digits(evaluated.last[1])}"))
        if self._lowest:
            words.append(("", f"lowest {digits(self._lowest[1])} at step {int(self._lowest[0]):,}"))
        if axis.log:
            words.append(("", "log scale"))
        if self._loss.not_finite:
            words.append(("bad-word", f"{counted(self._loss.not_finite, 'step')} not finite"))
        bad = [bucket.middle for bucket in self._loss.buckets if bucket.not_finite]
        marked = bad[:: -(-len(bad) // MOST_MARKS)] if bad else []
        return Panel("loss", axis, lines, words, self._lowest, marked)

    def _metric_panels(self) -> Iterator[Panel]:
        for name, series in self._results.items():
            if name != "loss":
                line = Line("evaluation", series.means(), dots=True)
                axis = value_axis(_finite(line.points))
                yield Panel(name, axis, [line], [("evaluation-word", digits(series.last[1]))])

    def _rate_panel(self) -> Panel:
        line = Line("rate", self._lr.means())
        axis = value_axis([0.0, *_finite(line.points)])
        return Panel("learning rate", axis, [line], [("rate-word", short(self._lr.last[1]))])


def _finite(points: Sequence[Point]) -> list[float]:
    return [value for _, value in points if isfinite(value)]


def _last(smooth: list[Point]) -> str:
    return digits(smooth[-1][1]) if smooth else "nan"


def _broken(smooth: list[Point], series: Series) -> list[Point]:
    """The smoothed line with gaps where the series has no finite number."""
    gaps = [(bucket.middle, float("nan")) for bucket in series.buckets if not bucket.count]
    return sorted([*smooth, *gaps], key=lambda point: point[0])
