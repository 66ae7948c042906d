"""The live view of a training: at the bottom a plot, a progress bar and the current values, redrawn several times per
second; above them the layers of the model, and a table with a row for each epoch."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, TextIO

from wsdl.reporting.braille import SIDES, Curves
from wsdl.reporting.live import BAR, LiveView, bar
from wsdl.reporting.meter import Meter, duration, epoch_text, plan_text, step_text, values_text
from wsdl.reporting.reports import Callback, EvaluationReport, RunPlan, StepReport
from wsdl.reporting.series import Series
from wsdl.reporting.sparkline import sparkline
from wsdl.reporting.table import table

if TYPE_CHECKING:
    from rich.text import Text

SPARK = 30  # columns at most
PLOT, PLOT_ROWS = 60, 6  # columns at most, and rows of the plot of the losses
ROOMY = 66, 20  # columns and lines of a terminal from which on there is a plot in place of a sparkline
EPOCH, COLUMN = 7, 9  # columns of the epoch and of a value in the table
NOT_FINITE = ("nan", "inf", "-inf")


class Progress(Callback):
    """A live view on a terminal with box drawing. However it ends, the cursor is restored and the last view stays."""

    def __init__(
        self,
        stream: TextIO,
        *,
        color: bool = True,
        width: int | None = None,
        height: int | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._view = LiveView(self._drawn, stream, color=color, width=width, height=height, clock=clock)
        self._clock = clock
        self._meter: Meter | None = None
        self._losses, self._evaluations = Series(PLOT), Series(PLOT)
        self._shown = ""  # the training of these losses, where several take turns: the first
        self._columns: list[str] = []  # of the table, once it has a header
        self._epoch = 0  # the last epoch with a row

    def on_begin(self, plan: RunPlan) -> None:
        self._meter = Meter(plan, self._clock)
        self._losses, self._evaluations = Series(PLOT), Series(PLOT)
        self._columns, self._epoch, self._shown = [], 0, ""
        self._view.start()
        if plan.layers and not plan.first_step:
            headers, *rows = plan.layers
            text = [column for column, header in enumerate(headers) if header != "parameters"]
            self._view.print(table(headers, rows, text=text))
            self._view.print(plan.totals, style="dim")
        for line in plan_text(plan):
            self._view.print(line, style="dim")

    def on_step(self, r: StepReport) -> None:
        if self._meter is None:
            return
        if self._meter.last is not None and self._meter.last.epoch != r.epoch:
            self._add_row(self._meter)
        self._meter.step(r)
        self._shown = self._shown or r.training
        if not self._shown or r.training == self._shown:
            self._losses.add(r.step, r.loss)
        self._view.draw_when_due()

    def on_eval(self, r: EvaluationReport) -> None:
        loss = r.results.get(f"{self._shown}.loss" if self._shown else "loss")
        if loss is not None:
            self._evaluations.add(r.step, loss)
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

    def on_note(self, text: str) -> None:
        from rich.text import Text

        self._print(Text(text))

    def _print(self, text: Text, *, cut: bool = False) -> None:
        """Print above the view; text longer than a line is cut or folded."""
        self._view.print(text, no_wrap=cut, overflow="crop" if cut else "fold")

    def on_end(self) -> None:
        try:
            if self._meter is not None:
                self._add_row(self._meter)
        finally:
            self._view.stop()

    # -- the live view -------------------------------------------------------------------------------------------------

    def _drawn(self, width: int) -> Text | None:
        """Two lines: progress with a bar, and values, which fill the width; above them a plot of the losses where there
        is room, otherwise a sparkline beside the values. `None` before the first step."""
        from rich.text import Text

        meter = self._meter
        if meter is None or meter.last is None:
            return None
        last = meter.last
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
        is_roomy, several = width >= ROOMY[0] and self._view.height >= ROOMY[1], len(self._losses.buckets) > 1
        room = min(width - 1 - len(second), SPARK)
        if room >= 5 and several and not is_roomy:
            second.append(sparkline([bucket.mean for bucket in self._losses.buckets], room), "blue")
        for line in (first, second):
            line.rstrip()
            line.truncate(width - 1)
        plot = self._plot(min(width - 1 - SIDES, PLOT)) if is_roomy and several else []
        return Text("\n", no_wrap=True).join([*plot, first, second])

    def _plot(self, columns: int) -> list[Text]:
        """The losses of steps as a line, those of evaluations as points; nothing if none is finite."""
        evaluations = self._evaluations.means()
        legend = [("⠤ loss", "blue"), *([("⠛ eval", "yellow")] if evaluations else [])]
        curves = [("blue", self._losses.means())], [("yellow", evaluations)]
        rows = Curves(columns, PLOT_ROWS).draw(*curves).split()
        for row, (name, style) in zip(rows, legend, strict=False):
            row.append(f"  {name}", style)
        return [*rows]
