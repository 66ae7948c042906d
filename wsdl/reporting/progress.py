"""The live view of a training: at the bottom a progress bar and the current values, redrawn several times per second;
above them a table with a row for each epoch."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, TextIO

from wsdl.reporting.live import BAR, DRAW_SECONDS, bar, live_view
from wsdl.reporting.meter import Meter, duration, epoch_text, plan_text, step_text, values_text
from wsdl.reporting.reports import EvaluationReport, Quiet, RunPlan, StepReport
from wsdl.reporting.series import Series
from wsdl.reporting.sparkline import sparkline

if TYPE_CHECKING:
    from rich.live import Live
    from rich.text import Text

DRAW_SHARE = 0.03  # the largest share of time for drawing; if drawing is slow, it is done less often
SPARK = 30  # columns at most
EPOCH, COLUMN = 7, 9  # columns of the epoch and of a value in the table
NOT_FINITE = ("nan", "inf", "-inf")


class Progress(Quiet):
    """A live view on a terminal with box drawing. However it ends, the cursor is restored and the last view stays."""

    def __init__(
        self,
        stream: TextIO,
        *,
        color: bool = True,
        width: int | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._stream, self._color, self._width = stream, color, width
        self._clock = clock
        self._meter: Meter | None = None
        self._losses = Series(SPARK)
        self._shown = ""  # the training of these losses, where several take turns: the first
        self._live: Live | None = None
        self._next = 0.0
        self._columns: list[str] = []  # of the table, once it has a header
        self._epoch = 0  # the last epoch with a row

    def begin(self, plan: RunPlan) -> None:
        self._meter = Meter(plan, self._clock)
        self._losses, self._columns, self._epoch, self._shown = Series(SPARK), [], 0, ""
        self._next = self._clock()
        self._live = live_view(self._stream, color=self._color, width=self._width)
        for line in plan_text(plan):
            self._live.console.print(line, style="dim")
        self._live.start()

    def step(self, r: StepReport) -> None:
        if self._meter is None:
            return
        if self._meter.last is not None and self._meter.last.epoch != r.epoch:
            self._add_row(self._meter)
        self._meter.step(r)
        self._shown = self._shown or r.training
        if not self._shown or r.training == self._shown:
            self._losses.add(r.step, r.loss)
        now = self._clock()
        if now >= self._next:
            self._draw()
            finished = self._clock()
            self._next = finished + max(DRAW_SECONDS, (finished - now) / DRAW_SHARE)

    def evaluation(self, r: EvaluationReport) -> None:
        if self._meter is not None:
            self._add_row(self._meter, r)

    def _add_row(self, meter: Meter, r: EvaluationReport | None = None) -> None:
        """A row of the table for the last epoch; training and evaluation side by side, if there are both."""
        last = meter.last
        if last is None or last.epoch == self._epoch:
            return
        self._epoch = last.epoch
        cells = values_text(meter.epoch.values)
        if r is not None:
            cells |= {f"eval {name}": value for name, value in values_text(r.results).items()}
        if not cells.keys() <= set(self._columns):
            self._columns = list(cells)
            self._print(self._row(["epoch", *cells, "time", ""], "bold"), cut=True)
        values = [cells.get(name, "") for name in self._columns]
        is_best = r is not None and r.is_best
        row = [f"{last.epoch:,}", *values, duration(last.seconds), "best" if is_best else ""]
        self._print(self._row(row, "green" if is_best else ""), cut=True)

    def _row(self, cells: Sequence[str], style: str) -> Text:
        """Values right-aligned below the names of their columns."""
        from rich.text import Text

        widths = [EPOCH, *(max(COLUMN, len(name)) for name in self._columns), COLUMN, 0]
        row = "  ".join(cell.rjust(width) for cell, width in zip(cells, widths, strict=True))
        return Text(row.rstrip(), style)

    def note(self, text: str) -> None:
        from rich.text import Text

        self._print(Text(text))

    def _print(self, text: Text, *, cut: bool = False) -> None:
        """Print above the view; text longer than a line is cut or folded."""
        if self._live is not None:
            self._live.console.print(text, no_wrap=cut, overflow="crop" if cut else "fold")

    def end(self) -> None:
        if self._live is not None:
            try:
                if self._meter is not None:
                    self._add_row(self._meter)
                self._draw()
            finally:
                self._live.stop()
                self._live = None

    # -- the live view -------------------------------------------------------------------------------------------------

    def _draw(self) -> None:
        if self._live is not None and self._meter is not None and self._meter.last is not None:
            self._live.update(self._view(self._meter, self._live.console.width), refresh=True)

    def _view(self, meter: Meter, width: int) -> Text:
        """Two lines: progress with a bar, and values with a sparkline, which fill the width."""
        from rich.text import Text

        last = meter.last
        assert last is not None
        position = Text(epoch_text(meter.plan, last.epoch), "bold")
        pace = list(meter.pace())
        rest = Text("  ".join([step_text(meter.plan, last.step), *pace]))
        room = min(width - 1 - len(position) - len(rest) - 4, BAR)
        if meter.plan.steps and room >= 5:
            first = Text("  ").join([position, bar(last.step / meter.plan.steps, room), rest])
        else:
            first = Text("  ").join([position, rest])
        second = Text()
        for name, value in meter.shown():
            style = "bold" if name.rpartition(".")[2] == "loss" else ""
            second.append(f"{name} ", "dim").append(value, "bold red" if value in NOT_FINITE else style).append("  ")
        room = min(width - 1 - len(second), SPARK)
        if room >= 5 and len(self._losses.buckets) > 1:
            second.append(sparkline([bucket.mean for bucket in self._losses.buckets], room), "blue")
        for line in (first, second):
            line.rstrip()
            line.truncate(width - 1)
        return Text("\n", no_wrap=True).join([first, second])
