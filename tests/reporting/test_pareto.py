"""The picture of a study: which points are on the front, and names that can be told apart."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest

from wsdl.reporting.pareto import Point, figure, front, outliers
from wsdl.reporting.plot import as_svg

POINTS = [Point("large", 400, 0.9, 0.01, True), Point("small", 100, 0.8, 0.02), Point("worse", 200, 0.7, None)]


@pytest.mark.parametrize(
    ("points", "highest", "names"),
    [
        (POINTS, True, ["small", "large"]),
        (POINTS, False, ["small", "worse"]),
        ([*POINTS, Point("as small", 100, 0.85, None)], True, ["as small", "large"]),
        ([*POINTS, Point("as good", 300, 0.9, None)], True, ["small", "as good"]),
        ([], True, []),
    ],
)
def test_the_front(points: list[Point], highest: bool, names: list[str]) -> None:
    assert [point.name for point in front(points, highest=highest)] == names


@pytest.mark.parametrize(
    ("means", "highest", "names"),
    [
        ([0.89, 0.86, 0.85, 0.63], True, ["d"]),
        ([0.89, 0.86, 0.62, 0.61], True, []),  # half of them
        ([0.89, 0.80, 0.75, 0.63], True, []),
        ([1.1, 1.2, 1.3, 9.5, 8.5], False, ["d", "e"]),
        ([1.1, 1.1, 1.1, 9.0], False, []),  # no height is left
        ([1.1], False, []),
        ([], False, []),
    ],
)
def test_what_is_outliers(means: list[float], highest: bool, names: list[str]) -> None:
    points = [Point(name, 100, mean, None) for name, mean in zip("abcde", means, strict=False)]
    assert [point.name for point in outliers(points, highest=highest)] == names
    texts = [text.get_text() for text in figure(points, "m", highest=highest, about="").axes[0].texts] if means else []
    assert all(f"{p.name} {p.mean:.4g}" in (t.rstrip("0") for t in texts) for p in points if p.name in names)


@pytest.mark.parametrize("count", [1, 9, 16])
def test_names_cover_nothing(count: int) -> None:
    """Neither each other nor a point, and they are inside; also where all variants store about as much."""
    rng = np.random.default_rng(count)
    points = [
        Point(f"variant {i}", 20_000 + int(rng.integers(3)) * 5_000, 0.9 + 0.05 * rng.random(), 0.004, i == 0)
        for i in range(count)
    ]
    picture = figure(points, "accuracy", highest=True, about="m: accuracy against stored bytes")
    picture.draw_without_rendering()
    [axes] = picture.axes
    boxes = [text.get_window_extent() for text in axes.texts]
    assert len(boxes) == count
    assert not [pair for pair in combinations(boxes, 2) if pair[0].shrunk(0.98, 0.98).overlaps(pair[1])]
    inside = axes.get_window_extent()
    for box in boxes:
        assert inside.x0 <= box.x0 + 1 < box.x1 <= inside.x1 + 1
        assert not any(box.contains(*axes.transData.transform((p.bytes, p.mean))) for p in points)


def test_the_same_numbers_give_the_same_bytes() -> None:
    one, other = (as_svg(figure(POINTS, "loss", highest=False, about="m")) for _ in range(2))
    assert one == other
    assert all(f">{point.name}<".encode() in one for point in POINTS)
