"""A view at the bottom of a terminal that is redrawn in place, below the lines that are printed."""

from __future__ import annotations

from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    from rich.live import Live
    from rich.text import Text

DRAW_SECONDS = 0.1  # between two drawings
BAR = 40  # columns at most


def live_view(stream: TextIO, *, color: bool, width: int | None) -> Live:
    """A view that is not started yet. Lines are printed by its `console`; other output to stderr is shown above it.

    It has no automatic refresh, whose thread would draw during a step: call `update(…, refresh=True)`.
    """
    from rich.console import Console
    from rich.live import Live

    console = Console(
        file=stream,
        force_terminal=True,
        color_system="standard" if color else None,
        no_color=not color,
        width=width,
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
