"""The progress of a training in a notebook: one output of a cell, which is updated in place."""

from __future__ import annotations

import time
from collections.abc import Callable
from importlib import import_module
from io import StringIO
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from wsdl.diagnostics.run_error import fail
from wsdl.reporting.live import LiveView
from wsdl.reporting.progress import Progress

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

COLUMNS, LINES = 100, 25
SECONDS = 0.25  # between two updates, each of which is a message to the page


class NotebookProgress(Progress):
    """What a terminal shows of a training, for a notebook: `wsdl.fit(…, callbacks=[NotebookProgress()])`."""

    def __init__(self, *, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__(StringIO(), clock=clock)
        self._view = NotebookView(self._drawn, clock)


class NotebookView(LiveView):
    """The lines printed so far, and below them what `drawn` returns, as text with ANSI colors, which notebooks show."""

    def __init__(self, drawn: Callable[[int], Text | None], clock: Callable[[], float]) -> None:
        super().__init__(drawn, StringIO(), color=True, width=COLUMNS, clock=clock)
        self._console: Console | None = None
        self._printed = self._last = ""
        self._shell: Any = None
        self._output = ""  # identifies the output
        self._is_there = False

    @property
    def height(self) -> int:
        return LINES

    @property
    def is_shown(self) -> bool:
        return self._console is not None

    def start(self) -> None:
        """Raises `RunError` where there is no notebook."""
        try:
            self._shell = import_module("IPython").get_ipython()
        except ImportError:
            self._shell = None
        if self._shell is None:
            raise fail("E0704", "there is no notebook that could show progress", help="leave out `NotebookProgress`")
        self._console, self._printed, self._last, self._output = _console(), "", "", uuid4().hex
        self._is_there = False
        self._next = self._clock()

    def draw(self) -> None:
        if self._console is None:
            return
        view = self._drawn(COLUMNS)
        if view is not None:
            self._last = self._text(self._console, view)
        self._publish()
        self._next = self._clock() + SECONDS

    def print(self, text: str | Text | Table, **how: Any) -> None:
        if self._console is not None:
            self._printed += self._text(self._console, text, **how)

    def stop(self) -> None:
        try:
            self.draw()
        finally:
            self._console = None

    @staticmethod
    def _text(console: Console, text: str | Text | Table, **how: Any) -> str:
        with console.capture() as capture:
            console.print(text, **how)
        return capture.get()

    def _publish(self) -> None:
        data = {"text/plain": f"{self._printed}{self._last}".rstrip("\n")}
        self._shell.display_pub.publish(data, transient={"display_id": self._output}, update=self._is_there)
        self._is_there = True


def _console() -> Console:
    """Rich's own output for notebooks is off: it would be one output for each line."""
    from rich.console import Console

    return Console(
        file=StringIO(),
        force_terminal=True,
        force_jupyter=False,
        color_system="standard",
        width=COLUMNS,
        height=LINES,
        highlight=False,
        markup=False,
        emoji=False,
    )
