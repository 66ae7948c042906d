"""Plots of braille characters, as they are on a screen."""

from __future__ import annotations

from math import nan

import pytest

from wsdl.reporting.braille import Curves
from wsdl.reporting.series import Point

RISE = [(0, 0.0), (19, 11.0)]


@pytest.mark.parametrize(
    ("line", "points", "shown"),
    [
        (RISE, [], ["     11       ⢀⡠⠔⠊", "           ⢀⠤⠒⠁", "      0 ⡠⠔⠊⠁"]),
        (RISE, [(0, 11.0)], ["     11 ⠛     ⢀⡠⠔⠊", "           ⢀⠤⠒⠁", "      0 ⡠⠔⠊⠁"]),
        ([(0, 2.0), (9, 2.0), (10, nan), (19, 2.0)], [], ["", "      2 ⠤⠤⠤⠤⠤    ⠠", ""]),
        ([(0, 1000.0), (10, 1.0), (19, 1e-3)], [], ["  1,000 ⠑⠢⢄", "           ⠉⠒⢄⡀", "  0.001       ⠈⠑⠢⢄"]),
        ([(3, 5.0)], [], ["", "      5 ⠄", ""]),
        ([(0, nan)], [], [""]),
        ([], [], [""]),
    ],
)  # fmt: skip
def test_plots(line: list[Point], points: list[Point], shown: list[str]) -> None:
    text = Curves(10, 3).draw([("", line)], [("", points)]).plain
    assert [row.rstrip() for row in text.split("\n")] == shown
