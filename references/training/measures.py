"""How good a result is, where no `metric` of a program can say it: what depends on all rows of the test together."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]

LEAST = 0.05  # a digit less likely than this isn't looked at


def auc(scores: Array, positive: Array) -> float:
    """The area under the ROC curve: how often a positive row has a higher score than another. Ties count half."""
    _, place, counts = np.unique(scores, return_inverse=True, return_counts=True)
    ranks = (np.cumsum(counts) - (counts - 1) / 2)[place]
    ones = int(positive.sum())
    return float((ranks[positive].sum() - ones * (ones + 1) / 2) / (ones * (len(scores) - ones)))


# -- detection ---------------------------------------------------------------------------------------------------------


def mean_average_precision(logits: Array, boxes: Array, label: Array, box: Array, least: float = 0.5) -> float:
    """The mean over classes of the area under precision and recall (Everingham et al. 2010, at all points).

    `logits` [n, places, classes + 1] and `boxes` [n, places, 4] are what was found, `label` [n, places] (the number of
    classes where there is nothing) and `box` [n, places, 4] what there is. An object counts as found by the most
    certain box of its class that covers it with an overlap of `least`.
    """
    likely = np.exp(logits - logits.max(-1, keepdims=True))
    likely /= likely.sum(-1, keepdims=True)
    classes = logits.shape[-1] - 1
    return float(np.mean([_average_precision(likely[..., c], boxes, label == c, box, least) for c in range(classes)]))


def _average_precision(likely: Array, boxes: Array, there: Array, box: Array, least: float) -> float:
    """Of one class, from its likelihood at each place."""
    scores: list[float] = []
    hits: list[bool] = []
    objects = 0
    for row in range(len(likely)):
        wanted = np.unique(box[row][there[row]], axis=0)
        objects += len(wanted)
        places = np.flatnonzero(likely[row] > LEAST)
        places = places[np.argsort(-likely[row, places], kind="stable")]
        kept = places[_suppress(boxes[row, places])]
        free = np.ones(len(wanted), bool)
        for place in kept:
            covered = overlaps(boxes[row, place][None], wanted)[0] * free if len(wanted) else np.zeros(1)
            hit = bool(covered.max() >= least)
            if hit:
                free[covered.argmax()] = False
            scores.append(likely[row, place])
            hits.append(hit)
    right = np.array(hits)[np.argsort(-np.array(scores), kind="stable")] if hits else np.zeros(0, bool)
    precision = np.cumsum(right) / np.arange(1, len(right) + 1)
    best_from_here = np.maximum.accumulate(precision[::-1])[::-1]
    return float(best_from_here[right].sum() / max(objects, 1))


def _suppress(boxes: Array, most: float = 0.5) -> list[int]:
    """Which of some boxes, the most certain first, to keep: those that hardly overlap one that is kept before them."""
    kept: list[int] = []
    shared = overlaps(boxes, boxes)
    for i in range(len(boxes)):
        if not any(shared[i, j] > most for j in kept):
            kept.append(i)
    return kept


def overlaps(a: Array, b: Array) -> Array:
    """[len(a), len(b)]: what two boxes share, as a part of what they cover together."""
    sides = np.minimum(a[:, None, 2:], b[None, :, 2:]) - np.maximum(a[:, None, :2], b[None, :, :2])
    both = np.prod(np.maximum(sides, 0), -1)
    area_a, area_b = (np.prod(x[:, 2:] - x[:, :2], -1) for x in (a, b))
    shared: Array = both / (area_a[:, None] + area_b[None] - both + 1e-9)
    return shared
