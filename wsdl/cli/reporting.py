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
from wsdl.reporting.reports import Callback, RunPlan
from wsdl.reporting.rows import RowLines, RowProgress, RowReporter
from wsdl.reporting.trials import TrialLines, TrialProgress, TrialReporter

CURVE, TENSORBOARD = "curve.svg", "tensorboard"


def reporting(folder: Path | None, *, tensorboard: bool = False, quiet: bool = False) -> list[Callback]:
    """The callbacks of a training: one shows its progress, the others write into its folder."""
    callbacks = [Callback() if quiet else shown()]
    if folder is not None:
        callbacks += [JsonLines(folder / LOG), Curve(folder / CURVE) if is_installed() else NoCurve(callbacks[0])]
    if folder is not None and tensorboard:
        from wsdl.reporting.tensorboard import TensorBoard

        callbacks.append(TensorBoard(folder / TENSORBOARD))
    return callbacks


def reported(folder: Path) -> list[Path]:
    """The files that callbacks have written to the folder of a training."""
    return [path for name in (LOG, CURVE, TENSORBOARD) if (path := folder / name).exists()]


class NoCurve(Callback):
    """Reports at the start that no curve will be drawn."""

    def __init__(self, shown: Callback) -> None:
        self._shown = shown

    def on_begin(self, plan: RunPlan) -> None:
        self._shown.on_note(f"no {CURVE}, as matplotlib is not installed: pip install 'wsdl[plot]'")


def shown() -> Callback:
    """A callback that writes to stderr: a live view on a terminal, otherwise plain lines."""
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
