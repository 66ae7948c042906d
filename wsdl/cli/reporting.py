"""The reporters of `wsdl train` and `wsdl study`, which show progress and write logs and curves."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path

from wsdl.cli.terminal import Terminal
from wsdl.reporting.curve import Curve
from wsdl.reporting.json_lines import LOG, JsonLines
from wsdl.reporting.lines import Lines
from wsdl.reporting.plot import is_installed
from wsdl.reporting.progress import Progress
from wsdl.reporting.reports import Quiet, Reporter, Reporters, RunPlan
from wsdl.reporting.rows import RowLines, RowProgress, RowReporter
from wsdl.reporting.trials import TrialLines, TrialProgress, TrialReporter

CURVE, TENSORBOARD = "curve.svg", "tensorboard"


def reporting(folder: Path | None, *, tensorboard: bool = False, quiet: bool = False) -> Reporter:
    """The reporters of a training: one shows its progress, the others write into its folder."""
    reporters: list[Reporter] = [Quiet() if quiet else shown()]
    if folder is not None:
        reporters += [JsonLines(folder / LOG), Curve(folder / CURVE) if is_installed() else NoCurve(reporters[0])]
    if folder is not None and tensorboard:
        from wsdl.reporting.tensorboard import TensorBoard

        reporters.append(TensorBoard(folder / TENSORBOARD))
    return Reporters(reporters)


def reported(folder: Path) -> list[Path]:
    """The files that reporters have written to the folder of a training."""
    return [path for name in (LOG, CURVE, TENSORBOARD) if (path := folder / name).exists()]


class NoCurve(Quiet):
    """Reports at the start that no curve will be drawn."""

    def __init__(self, shown: Reporter) -> None:
        self._shown = shown

    def begin(self, plan: RunPlan) -> None:
        self._shown.note(f"no {CURVE}, as matplotlib is not installed: pip install 'wsdl[plot]'")


def shown() -> Reporter:
    """A reporter on stderr: a live view on a terminal, otherwise plain lines."""
    terminal = Terminal.of(sys.stderr)
    return Progress(terminal.stream, color=terminal.color) if _is_live(terminal) else Lines(_line_by_line(terminal))


def trials_shown() -> TrialReporter:
    """A reporter of the trials of a study on stderr."""
    terminal = Terminal.of(sys.stderr)
    write = _line_by_line(terminal)
    return TrialProgress(write, terminal.stream, color=terminal.color) if _is_live(terminal) else TrialLines(write)


def rows_shown() -> RowReporter:
    """A reporter of rows that are run in parts, on stderr."""
    terminal = Terminal.of(sys.stderr)
    write = _line_by_line(terminal)
    return RowProgress(write, terminal.stream, color=terminal.color) if _is_live(terminal) else RowLines(write)


def _is_live(terminal: Terminal) -> bool:
    return terminal.stream.isatty() and terminal.unicode and os.environ.get("TERM") != "dumb"


def _line_by_line(terminal: Terminal) -> Callable[[str], None]:
    def write(line: str) -> None:
        terminal.write(line)
        terminal.stream.flush()

    return write
