"""The numbers behind "within the noise"."""

from __future__ import annotations

from math import inf, isclose

import pytest

from wsdl.studies.significance import Spread, adjusted, paired_p, recognized, two_sided

# Student's distribution, two-sided 5 %, 1 % and 0.1 %, as printed in tables.
TABLE = {
    1: (12.706, 63.657, 636.619),
    2: (4.303, 9.925, 31.599),
    3: (3.182, 5.841, 12.924),
    4: (2.776, 4.604, 8.610),
    9: (2.262, 3.250, 4.781),
    10: (2.228, 3.169, 4.587),
    29: (2.045, 2.756, 3.659),
}


@pytest.mark.parametrize("degrees", TABLE)
def test_students_distribution(degrees: int) -> None:
    for p, t in zip((0.05, 0.01, 0.001), TABLE[degrees], strict=True):
        assert isclose(two_sided(t, degrees), p, rel_tol=2e-3)
        assert two_sided(-t, degrees) == two_sided(t, degrees)
    assert (two_sided(0, degrees), two_sided(inf, degrees)) == (1, 0)


def test_a_spread() -> None:
    assert Spread.of([3.0]) == Spread(3.0, None)
    assert Spread.of([1.0, 2.0, 3.0]) == Spread(2.0, 1.0)


def test_the_paired_test() -> None:
    # Student's own example: the sleep that one drug gains over another, ten patients; t = 4.0621, p = 0.00283.
    assert isclose(paired_p([1.2, 2.4, 1.3, 1.3, 0.0, 1.0, 1.8, 0.8, 4.6, 1.4]) or 0, 0.002833, rel_tol=1e-3)


@pytest.mark.parametrize(
    ("differences", "p"),
    [([0.0, 0.0, 0.0], 1.0), ([0.25], None), ([0.25, 0.25], None), ([0.25, 0.25 + 1e-7, 0.25], None), ([0.0], 1.0)],
    ids=["none", "one", "equal", "equal but for rounding", "one that is 0"],
)
def test_where_it_says_nothing(differences: list[float], p: float | None) -> None:
    assert paired_p(differences) == p


def test_holm() -> None:
    assert adjusted([0.01, 0.04, None, 0.03]) == pytest.approx([0.03, 0.06, None, 0.06])
    assert adjusted([0.5, 0.6]) == [1.0, 1.0]
    assert adjusted([]) == []


def test_what_is_recognized() -> None:
    """A difference of so many deviations is just at p = 5 %."""
    assert [round(recognized(n) or 0, 2) for n in (2, 3, 5, 10)] == [8.98, 2.48, 1.24, 0.72]
    assert recognized(1) is None
