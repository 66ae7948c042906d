"""What of a training is shown while it runs, by what the reader's side can show."""

from __future__ import annotations

import os
import sys

from wsdl.cli.terminal import Terminal
from wsdl.runtime.reporting.lines import Lines
from wsdl.runtime.reporting.progress import Progress
from wsdl.runtime.reporting.reports import Reporter


def shown() -> Reporter:
    """On stderr: a live view where it is a terminal, else plain lines."""
    terminal = Terminal.of(sys.stderr)
    if terminal.stream.isatty() and terminal.unicode and os.environ.get("TERM") != "dumb":
        return Progress(terminal.stream, color=terminal.color)

    def write(line: str) -> None:
        terminal.write(line)
        terminal.stream.flush()

    return Lines(write)
