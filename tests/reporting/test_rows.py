"""The rows of a run on a terminal and in a pipe."""

from __future__ import annotations

from io import StringIO
from pathlib import Path

import pytest

from tests.golden import Golden
from tests.reporting.reports import Clock
from tests.reporting.screen import Screen
from wsdl.reporting.rows import RowLines, RowProgress

GOLDEN = Path(__file__).parent / "golden"


def tell(reporter: RowLines, clock: Clock, *, is_broken_off: bool = False) -> None:
    """A million rows in parts of 16,384, by two workers that need 20 seconds to start."""
    reporter.begin(1_000_000, 2)
    clock.now += 20
    for part in range(30 if is_broken_off else 62):
        clock.now += 0.4
        reporter.done(min(16_384, 1_000_000 - 16_384 * part))
    if not is_broken_off:
        reporter.end()


@pytest.mark.parametrize(("name", "is_broken_off"), [("rows", False), ("rows_running", True)])
def test_a_terminal(name: str, is_broken_off: bool, golden: Golden) -> None:
    stream, clock = StringIO(), Clock()
    tell(RowProgress(stream.write, stream, width=90, clock=clock), clock, is_broken_off=is_broken_off)
    golden(GOLDEN / f"{name}.txt", str(Screen(stream.getvalue())))


def test_a_pipe(golden: Golden) -> None:
    stream, clock = StringIO(), Clock()
    tell(RowLines(stream.write, clock=clock), clock)
    golden(GOLDEN / "rows_piped.txt", stream.getvalue())


def test_no_rows() -> None:
    stream = StringIO()
    reporter = RowProgress(stream.write, stream, width=20)
    reporter.begin(0, 0)
    reporter.done(0)
    reporter.end()
    assert Screen(stream.getvalue()).cursor
