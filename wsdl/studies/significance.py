"""Statistics over seeds: mean and standard deviation, and whether two variants differ by more than chance.

Two variants are compared by the paired t-test (Student 1908): it takes the difference for each seed, so that the effect
of a seed on both (the order of the rows, the initial values) cancels out. Several variants are compared with one base,
and without a true difference one in twenty would pass at 5 %; so p values are adjusted by Holm's method (1979).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import atan, cos, inf, pi, sin, sqrt

LEVEL = 0.05  # significance level: with an adjusted p below it, a difference is not noise
EQUAL = 1e-4  # differences with a smaller relative deviation are equal up to rounding
TEST = "paired t-test, p values adjusted by Holm's method"


@dataclass(frozen=True)
class Spread:
    """The mean of some values and their standard deviation (of a sample, divided by n - 1); `None` for one value."""

    mean: float
    std: float | None

    @staticmethod
    def of(values: Sequence[float]) -> Spread:
        """The spread of at least one value."""
        mean = sum(values) / len(values)
        squares = sum((value - mean) ** 2 for value in values)
        return Spread(mean, sqrt(squares / (len(values) - 1)) if len(values) > 1 else None)


def paired_p(differences: Sequence[float]) -> float | None:
    """The two-sided p value of the paired t-test: how probable a mean as far from 0 is without a difference.

    `None` if the test doesn't apply: for a single pair, and for equal differences, whose deviation is unknown. If all
    are 0, p is 1.
    """
    if not any(differences):
        return 1.0
    spread = Spread.of(differences)
    if not spread.std or spread.std < EQUAL * abs(spread.mean):
        return None
    return two_sided(spread.mean / (spread.std / sqrt(len(differences))), len(differences) - 1)


def two_sided(t: float, degrees: int) -> float:
    """The probability of a value of Student's distribution at least as far from 0 as `t`.

    The finite sums of Abramowitz and Stegun (26.7.3 and 26.7.4), exact for a whole number of degrees of freedom.
    """
    angle = atan(abs(t) / sqrt(degrees)) if abs(t) < inf else pi / 2
    odd = degrees % 2
    term, total = cos(angle) if odd else 1.0, 0.0
    for k in range(1 + odd, degrees, 2):
        total += term
        term *= cos(angle) ** 2 * k / (k + 1)
    inside = 2 / pi * (angle + sin(angle) * total) if odd else sin(angle) * total
    return min(max(1 - inside, 0.0), 1.0)


def adjusted(values: Sequence[float | None]) -> list[float | None]:
    """p values adjusted for multiple comparisons by Holm's method; `None` stays, and isn't counted."""
    order = sorted((p, i) for i, p in enumerate(values) if p is not None)
    result, highest = list(values), 0.0
    for rank, (p, i) in enumerate(order):
        result[i] = highest = max(highest, min(1.0, p * (len(order) - rank)))
    return result


def recognized(pairs: int) -> float | None:
    """The smallest mean difference that is significant, in standard deviations of the differences: the `t` for p = 5 %
    divided by the square root of the number of pairs. `None` for a single pair."""
    if pairs < 2:
        return None
    low, high = 0.0, 1e3
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if two_sided(middle, pairs - 1) > LEVEL else (low, middle)
    return high / sqrt(pairs)
