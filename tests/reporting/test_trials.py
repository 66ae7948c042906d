"""The trials of a study on a terminal and in a pipe."""

from __future__ import annotations

from io import StringIO
from pathlib import Path

import pytest

from tests.golden import Golden
from tests.reporting.reports import Clock
from tests.reporting.screen import Screen
from wsdl.reporting.trials import TrialLines, TrialProgress

GOLDEN = Path(__file__).parent / "golden"


def tell(reporter: TrialLines, clock: Clock, *, broken_off: bool = False) -> None:
    """Four trials, of which one was done before, two run at a time, and one fails."""
    reporter.begin(4, 1, 2)
    reporter.step("base, seed 1", 0, 40, None)
    for step in range(1, 41):
        clock.now += 0.5
        reporter.step("base, seed 1", step, 40, 2 / step)
        reporter.step("pairs rank=4, seed 0", 10 * step, 2000, 3 / step)
    reporter.finished("base, seed 1", {"loss": 0.05, "accuracy": 0.975}, None)
    if not broken_off:
        reporter.finished("pairs rank=4, seed 0", {}, "the loss of step 400 is nan")
        reporter.finished("pairs rank=4, seed 1", {"loss": 0.07, "accuracy": 0.97}, None)
        reporter.end()


@pytest.mark.parametrize(("name", "broken_off"), [("trials", False), ("trials_running", True)])
def test_a_terminal(name: str, broken_off: bool, golden: Golden) -> None:
    stream, clock = StringIO(), Clock()
    tell(TrialProgress(stream.write, stream, width=70, clock=clock), clock, broken_off=broken_off)
    screen = Screen(stream.getvalue())
    assert screen.cursor != broken_off
    golden(GOLDEN / f"{name}.txt", str(screen))


@pytest.mark.parametrize("width", [8, 20, 40])
def test_nothing_that_changes_is_wider_than_the_terminal(width: int) -> None:
    stream, clock = StringIO(), Clock()
    progress = TrialProgress(stream.write, stream, width=width, clock=clock)
    progress.begin(30, 0, 2)
    progress.step("a variant with a long name, seed 0", 1, 100, 0.5)
    assert max(map(len, Screen(stream.getvalue()).lines[1:])) <= width


def test_a_pipe(golden: Golden) -> None:
    stream, clock = StringIO(), Clock()
    tell(TrialLines(stream.write, clock=clock), clock)
    golden(GOLDEN / "trials_piped.txt", stream.getvalue())
