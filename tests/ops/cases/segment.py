"""What indices put together: reductions of groups, sums and extremes at indices."""

# ruff: noqa: E501  (a table has one row in a line)

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from tests.ops.case import Case, case, numbers
from wsdl.ir.dims import Dim

SEGMENTS = numbers([2, 0, 0, 2, 2], "int64")
ROWS = numbers([[1, 2], [1, 0], [-3, 2], [-2, -1], [-2, 2]], "float32")  # equal largest and smallest ones
BELOW = numbers([[torch.nan, 2], [1, -torch.inf], [-3, torch.nan], [-2, -1], [-2, 2]], "float16")
INDICES = numbers([[3, 0, 3], [-1, 1, 3]], "int64")
EQUAL = numbers([[1.0, 0.0], [0.0, 2.0], [2.0, 1.0], [1.0, 1.0]])  # as some of its updates
UPDATES = numbers([[[1.0, 0.0], [1.0, 0.0], [1.0, 0.0]], [[1.0, 1.0], [0.0, 2.0], [0.0, 1.0]]])


def segment_sums(x: Tensor, group: Tensor, count: int = 4) -> Tensor:
    return x.new_zeros(count, *x.shape[1:]).index_add(0, group, x)


def segment_means(x: Tensor, group: Tensor) -> Tensor:
    return segment_sums(x, group) / segment_sums(torch.ones_like(x), group).clamp_min(1)


def segment_maxima(x: Tensor, group: Tensor, count: int = 4, of_none: float = 0.0) -> Tensor:
    """Each by itself, of which PyTorch shares the gradient among equal ones."""
    return torch.stack(
        [x[group == i].amax(0) if (group == i).any() else x.new_full(x.shape[1:], of_none) for i in range(count)]
    )


def segment_minima(x: Tensor, group: Tensor, count: int = 4) -> Tensor:
    return -segment_maxima(-x, group, count)


def segment_softmax(x: Tensor, group: Tensor) -> Tensor:
    """Each by itself."""
    result = torch.empty_like(x)
    for i in group.unique():
        result = result.index_put(torch.where(group == i), x[group == i].softmax(0))
    return result


def scattered(how: str, own: bool = True, axis: int = 0) -> Callable[..., Tensor]:
    """`scatter_reduce` on whole slices; the indices have any number of axes."""

    def onto(x: Tensor, indices: Tensor, updates: Tensor) -> Tensor:
        rows = updates.flatten(axis, axis + indices.ndim - 1) if indices.ndim else updates.unsqueeze(axis)
        along = [1] * rows.ndim
        along[axis] = -1
        at = (indices % x.shape[axis]).reshape(along).expand(rows.shape)
        return x.scatter_reduce(axis, at, rows, how, include_self=own)

    return onto


SCATTERED: dict[str, Any] = {
    "scatter_max": {"how": "amax"}, "scatter_min": {"how": "amin"}, "scatter_mean": {"how": "mean", "own": False},
    "scatter_largest": {"how": "amax"},
}  # fmt: skip

CASES: list[Case] = [
    case("segment_sum", "f32[5, 3]", SEGMENTS, count=4, torch=segment_sums),
    case("segment_sum", "f16[5]", SEGMENTS, count=3, torch=lambda x, g: segment_sums(x, g, 3)),
    case("segment_mean", "f32[5, 3]", SEGMENTS, count=4, torch=segment_means),
    case("segment_mean", "f32[0, 3]", "i64[0]", count=2, torch=lambda x, g: x.new_zeros(2, 3) + x.sum()),
    case("segment_max", "f32[5, 3]", SEGMENTS, count=4, torch=segment_maxima),
    case("segment_max", "f16[5]", SEGMENTS, count=3, torch=lambda x, g: segment_maxima(x, g, 3)),
    case("segment_max", ROWS, SEGMENTS, count=4, torch=segment_maxima),
    case("segment_max", "f32[0, 3]", "i64[0]", count=2, torch=lambda x, g: x.new_zeros(2, 3) + x.sum()),
    case("segment_max", BELOW, SEGMENTS, count=3, torch=lambda x, g: segment_maxima(x, g, 3)),
    case("segment_largest", "f32[5, 3]", SEGMENTS, count=3, torch=lambda x, g: segment_maxima(x, g, 3, -torch.inf)),
    case("segment_min", "f32[5, 3]", SEGMENTS, count=4, torch=segment_minima),
    case("segment_min", "f16[5]", SEGMENTS, count=3, torch=lambda x, g: segment_minima(x, g, 3)),
    case("segment_min", ROWS, SEGMENTS, count=4, torch=segment_minima),
    case("segment_min", BELOW, SEGMENTS, count=3, torch=lambda x, g: segment_minima(x, g, 3)),
    *(case("segment_softmax", f"{d}[5, 3]", SEGMENTS, count=4, torch=segment_softmax) for d in ("f32", "f16", "f64")),
    case("segment_softmax", numbers([1000.0, -1000.0, 999.0, -torch.inf, 1000.0]), SEGMENTS, count=3, torch=segment_softmax),
    case("segment_softmax", "f32[0, 3]", "i64[0]", count=2, torch=lambda x, g: x),
    case("segment_softmax", "f32[2, 3]", numbers([[0, 2, 0], [2, 2, 1]], "int64"), count=Dim.of(3), torch=segment_softmax),
    *(
        case(op, *given, axis=axis, torch=scattered(**how, axis=axis))
        for op, how in SCATTERED.items()
        for axis, given in (
            (0, ("f32[4, 2]", INDICES, "f32[2, 3, 2]")),
            (0, ("f16[4]", INDICES, "f16[2, 3]")),
            (0, (EQUAL, INDICES, UPDATES)),
            (1, ("f32[2, 4, 3]", INDICES, "f32[2, 2, 3, 3]")),
            (0, ("f32[5]", numbers(3, "int64"), "f32[]")),
            (0, ("f32[4, 2]", "i64[0]", "f32[0, 2]")),
        )
    ),
    *(
        case(op, numbers([torch.nan, 1, 2, torch.inf], "float16"), numbers([1, 1, 3, 3], "int64"), numbers([torch.nan, 3, 1, -torch.inf], "float16"), torch=scattered(**SCATTERED[op]))
        for op in ("scatter_max", "scatter_min", "scatter_mean")
    ),
]  # fmt: skip
