"""Boxes that overlap."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from tests.ops.case import Case, case, numbers


def boxes(seed: int, n: int, count: int, size: float = 0.3) -> Any:
    """Boxes of about one size, anywhere in a unit square; every third one is given from its other corners."""
    random = np.random.default_rng(seed)
    corners = random.random((n, count, 2))
    both = np.concatenate([corners, corners + size * random.uniform(0.5, 1.5, corners.shape)], 2)
    both[:, ::3] = both[:, ::3][..., [2, 1, 0, 3]]
    return numbers(both.astype(np.float32).tolist())


def scores(seed: int, n: int, count: int, classes: int) -> Any:
    """Without ties."""
    order = np.random.default_rng(seed).permutation(n * count * classes)
    return numbers(((order + 1) / order.size).reshape(n, count, classes).astype(np.float32).tolist())


def kept(boxes: torch.Tensor, scores: torch.Tensor, iou: float, score: float, most: int) -> tuple[torch.Tensor, ...]:
    """Of each image, with boxes of different classes so far apart that they don't overlap, as torchvision does it."""
    results = torch.full((2, len(boxes), most), -1)
    for image, (corners, of_classes) in enumerate(zip(boxes.double(), scores.double(), strict=True)):
        count, classes = of_classes.shape
        x = torch.stack([corners[:, [0, 2]].amin(1), corners[:, [0, 2]].amax(1)], 1).repeat(classes, 1)
        y = torch.stack([corners[:, [1, 3]].amin(1), corners[:, [1, 3]].amax(1)], 1).repeat(classes, 1)
        x = x + 100 * torch.arange(classes).repeat_interleave(count)[:, None]
        flat = of_classes.T.reshape(-1)
        areas = (x[:, 1] - x[:, 0]) * (y[:, 1] - y[:, 0])
        wide, high = (
            (torch.minimum(a[:, None, 1], a[:, 1]) - torch.maximum(a[:, None, 0], a[:, 0])).clamp(min=0) for a in (x, y)
        )
        both = wide * high
        overlaps = both / (areas[:, None] + areas - both)
        left = (flat > score).nonzero().flatten().tolist()
        for place in range(most):
            if not left:
                break
            best = max(left, key=lambda i: flat[i].item())
            results[0, image, place], results[1, image, place] = best % count, best // count
            left = [i for i in left if i != best and overlaps[best, i] <= iou]
    return results[0], results[1]


def nms(n: int, count: int, classes: int, **options: Any) -> Case:
    given = {"iou": 0.5, "score": 0.0, "most": 100, **options}
    return case(
        "nms",
        boxes(count, n, count),
        scores(classes, n, count, classes),
        torch=lambda boxes, scores: kept(boxes, scores, **given),
        **options,
    )


def best(boxes: torch.Tensor, scores: torch.Tensor) -> tuple[torch.Tensor, ...]:
    return scores[..., 0].argmax(1, keepdim=True), torch.zeros(len(scores), 1, dtype=torch.int64)


CASES = [
    nms(1, 30, 1),
    nms(2, 40, 3, most=10),
    nms(2, 20, 2, iou=0.1, score=0.4, most=60),
    nms(1, 3, 2, iou=0.0),
    nms(1, 20, 2, iou=1.0, score=0.9),
    nms(2, 5, 1, score=2.0, most=3),
    *(case("nms", f"{d}[1, 4, 4]", f"{d}[1, 4, 1]", score=-9.0, most=1, torch=best) for d in ("f16", "f64")),
]  # fmt: skip
