"""The measures that the pages report, on cases that can be worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest

from references.training.measures import auc, mean_average_precision, overlaps

NOTHING = 2  # of two classes


@pytest.mark.parametrize(
    ("scores", "expected"),
    [([1, 2, 3, 4], 1.0), ([4, 3, 2, 1], 0.0), ([1, 3, 2, 4], 0.75), ([1, 1, 1, 1], 0.5), ([1, 2, 2, 3], 0.875)],
)
def test_area_under_the_curve(scores: list[float], expected: float) -> None:
    assert auc(np.array(scores), np.array([False, False, True, True])) == expected


def test_area_under_the_curve_is_the_share_of_pairs_in_order() -> None:
    rng = np.random.default_rng(0)
    scores, positive = rng.integers(0, 20, 200), rng.random(200) < 0.3
    differences = scores[positive][:, None] - scores[~positive]
    assert auc(scores, positive) == pytest.approx(np.mean((np.sign(differences) + 1) / 2))


def test_overlaps() -> None:
    a = np.array([[0, 0, 2, 2], [0, 0, 1, 1], [5, 5, 6, 6]])
    np.testing.assert_allclose(overlaps(a, a[:1])[:, 0], [1, 0.25, 0], atol=1e-6)


def found(*certain: tuple[int, float]) -> np.ndarray:
    """[1, places, 3]: for each place a class and how likely it is, nothing being the rest."""
    likely = np.full((1, len(certain), 3), 1e-6)
    for place, (number, certainty) in enumerate(certain):
        likely[0, place, number] = certainty
        likely[0, place, NOTHING] = 1 - certainty
    return np.log(likely)


BOX, OTHER, FAR = [0, 0, 10, 10], [20, 0, 30, 10], [50, 50, 60, 60]
LABEL = np.array([[0, 1, NOTHING]])
WHERE = np.array([[BOX, OTHER, [0, 0, 0, 0]]], np.float32)


@pytest.mark.parametrize(
    ("answers", "boxes", "expected"),
    [
        (((0, 0.9), (1, 0.8), (0, 0.01)), [BOX, OTHER, FAR], 1.0),
        (((0, 0.9), (1, 0.8), (0, 0.95)), [BOX, OTHER, FAR], 0.75),  # a wrong one before the right one of its class
        (((0, 0.9), (1, 0.8), (0, 0.5)), [BOX, OTHER, FAR], 1.0),  # and one behind it
        (((0, 0.9), (1, 0.8), (0, 0.95)), [BOX, OTHER, BOX], 1.0),  # the same place twice counts once
        (((0, 0.9), (0, 0.8), (0, 0.01)), [BOX, OTHER, FAR], 0.5),  # one class never found
        (((0, 0.9), (1, 0.8), (0, 0.01)), [BOX, [20, 0, 30, 4], FAR], 0.5),  # too small a box
    ],
)
def test_mean_average_precision(
    answers: tuple[tuple[int, float], ...], boxes: list[list[int]], expected: float
) -> None:
    at = np.array([boxes], np.float32)
    assert mean_average_precision(found(*answers), at, LABEL, WHERE) == pytest.approx(expected)
