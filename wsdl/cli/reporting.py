"""The reporters of `wsdl train`: what is shown while it runs, and what is written."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from wsdl.cli.terminal import Terminal
from wsdl.reporting.curve import Curve
from wsdl.reporting.json_lines import LOG, JsonLines
from wsdl.reporting.lines import Lines
from wsdl.reporting.plot import is_installed
from wsdl.reporting.progress import Progress
from wsdl.reporting.reports import Quiet, Reporter, Reporters, RunPlan

CURVE = "curve.svg"


def reporting(folder: Path | None, *, tensorboard: bool = False, quiet: bool = False) -> Reporter:
    """What is shown, and what is written into the folder of a training."""
    reporters: list[Reporter] = [Quiet() if quiet else shown()]
    if folder is not None:
        reporters += [JsonLines(folder / LOG), Curve(folder / CURVE) if is_installed() else NoCurve(reporters[0])]
    if folder is not None and tensorboard:
        from wsdl.reporting.tensorboard import TensorBoard

        reporters.append(TensorBoard(folder / "tensorboard"))
    return Reporters(reporters)


class NoCurve(Quiet):
    """Says at the start that there will be no curve."""

    def __init__(self, shown: Reporter) -> None:
        self._shown = shown

    def begin(self, plan: RunPlan) -> None:
        self._shown.note(f"no {CURVE}, as matplotlib is not installed: pip install 'wsdl[plot]'")


def shown() -> Reporter:
    """On stderr: a live view where it is a terminal, else plain lines."""
    terminal = Terminal.of(sys.stderr)
    if terminal.stream.isatty() and terminal.unicode and os.environ.get("TERM") != "dumb":
        return Progress(terminal.stream, color=terminal.color)

    def write(line: str) -> None:
        terminal.write(line)
        terminal.stream.flush()

    return Lines(write)
