"""A view at the bottom of a terminal that is redrawn in place, below the lines that are printed."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TextIO

if TYPE_CHECKING:
    from rich.live import Live
    from rich.table import Table
    from rich.text import Text

DRAW_SECONDS = 0.1  # between two drawings
DRAW_SHARE = 0.03  # the largest share of time for drawing; if drawing is slow, it is done less often
BAR = 40  # columns at most


class LiveView:
    """What `drawn` returns for a number of columns; `None` leaves the view as it is. However a command ends, `stop`
    restores the cursor and leaves the last view. Before `start` and after `stop` the other methods do nothing."""

    def __init__(
        self,
        drawn: Callable[[int], Text | None],
        stream: TextIO,
        *,
        color: bool,
        width: int | None,
        height: int | None = None,
        clock: Callable[[], float],
    ) -> None:
        self._drawn, self._clock = drawn, clock
        self._stream, self._color, self._size = stream, color, (width, height)
        self._live: Live | None = None
        self._next = 0.0

    @property
    def height(self) -> int:
        """The lines of the terminal; 0 before `start`."""
        return self._live.console.height if self._live is not None else 0

    @property
    def is_shown(self) -> bool:
        return self._live is not None

    def start(self) -> None:
        self._live = _live(self._stream, color=self._color, size=self._size)
        self._live.start()
        self._next = self._clock()

    def draw_when_due(self) -> None:
        if self._clock() >= self._next:
            self.draw()

    def draw(self) -> None:
        if self._live is None:
            return
        began = self._clock()
        view = self._drawn(self._live.console.width)
        if view is not None:
            self._live.update(view, refresh=True)
        ended = self._clock()
        self._next = ended + max(DRAW_SECONDS, (ended - began) / DRAW_SHARE)

    def print(self, text: str | Text | Table, **how: Any) -> None:
        """Print above the view, with the arguments of Rich's `print`."""
        if self._live is not None:
            self._live.console.print(text, **how)

    def stop(self) -> None:
        """Draw it once more, and end it."""
        try:
            self.draw()
        finally:
            if self._live is not None:
                self._live.stop()
                self._live = None


def _live(stream: TextIO, *, color: bool, size: tuple[int | None, int | None]) -> Live:
    """Other output to stderr is shown above it. It has no automatic refresh, whose thread would draw during a step."""
    from rich.console import Console
    from rich.live import Live

    console = Console(
        file=stream,
        force_terminal=True,
        color_system="standard" if color else None,
        no_color=not color,
        width=size[0],
        height=size[1],
        highlight=False,
        markup=False,
        emoji=False,
    )
    return Live(console=console, auto_refresh=False, redirect_stdout=False, vertical_overflow="crop")


def bar(done: float, width: int) -> Text:
    """A progress bar of `width` columns; `done` is from 0 to 1."""
    from rich.text import Text

    full = round(min(max(done, 0.0), 1.0) * width)
    return Text("━" * full, "blue").append("─" * (width - full), "dim")
