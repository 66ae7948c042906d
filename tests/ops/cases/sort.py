"""Sorting and searching."""

# ruff: noqa: E501  (a table has one row in a line)

from __future__ import annotations

import torch

from tests.ops.case import FLOATS, INTEGERS, Case, case, numbers, special

TIES = numbers([[2.0, 5.0, 5.0, 1.0, 5.0], [0.0, -0.0, 0.0, 1.0, -0.0], [torch.nan, 1.0, torch.inf, torch.nan, 1.0]])
BOUNDARIES = numbers([-1.0, 0.0, 0.0, 2.5])


def order(x: torch.Tensor, axis: int = -1, descending: bool = False) -> torch.Tensor:
    return x.argsort(dim=axis, descending=descending, stable=True)


def ordered(x: torch.Tensor, axis: int = -1, descending: bool = False) -> torch.Tensor:
    """`sort`, of which PyTorch doesn't say to which of equal elements the gradient goes."""
    return x.gather(axis, order(x, axis, descending))


def quantile(x: torch.Tensor, q: float, axis: int | None = None, keepdim: bool = False) -> torch.Tensor:
    """`torch.quantile`, which takes f32 and f64 only."""
    wide = x if x.dtype in (torch.float32, torch.float64) else x.float()
    return torch.quantile(wide, q, axis, keepdim).to(x.dtype)


CASES: list[Case] = [
    *(case("sort", f"{d}[3, 7]", torch=ordered) for d in (*FLOATS, *INTEGERS)),
    *(case("argsort", f"{d}[3, 7]", torch=order) for d in (*FLOATS, *INTEGERS)),
    *(
        case(op, given, axis=axis, descending=down, torch=lambda x, f=f, a=axis, down=down: f(x, a, down))
        for op, f in (("sort", ordered), ("argsort", order))
        for given, axis in ((TIES, -1), (TIES, 0), ("i64[3, 9]", 1), ("f32[2, 3, 4]", 1), ("f32[3, 0]", 1))
        for down in (False, True)
    ),
    case("sort", special(), descending=True, torch=lambda x: ordered(x, 0, True)),
    *(case("quantile", f"{d}[3, 5]", q=0.3, axis=1, torch=lambda x: quantile(x, 0.3, 1)) for d in FLOATS),
    *(case("quantile", "f32[3, 4]", q=q, axis=0, keepdims=True, torch=lambda x, q=q: quantile(x, q, 0, True)) for q in (0.0, 0.5, 1.0)),
    case("quantile", "f32[3, 4]", q=0.77, torch=lambda x: quantile(x, 0.77)),
    case("quantile", "f32[3, 1]", q=0.77, axis=-1, torch=lambda x: quantile(x, 0.77, 1)),
    case("quantile", numbers([[1.0, torch.nan, 2.0], [torch.inf, 1.0, 3.0]]), q=0.25, axis=1, torch=lambda x: quantile(x, 0.25, 1)),
    case("quantile_places", "f32[3, 7]", q=0.3, axis=1, torch=lambda x: [torch.full((3, 1), n) for n in (1, 2, 6, 0.8)]),
    case("quantile_places", "f64[3, 7]", q=1.0, axis=0, torch=lambda x: [torch.full((1, 7), n) for n in (2, 2, 2, 0.0)]),
    *(
        case("bucketize", given, BOUNDARIES, right=right, torch=lambda x, b, right=right: torch.bucketize(x, b, right=right))
        for given in (special(), "f32[2, 0]", "f32[]", numbers([[-1.0, -2.0, 0.0], [2.5, 1.0, 9.0]]))
        for right in (False, True)
    ),
    *(case("bucketize", f"{d}[5]", f"{d}[{n}]", torch=torch.bucketize) for d in FLOATS for n in (0, 1)),
    *(case("bucketize", f"{d}[2, 5]", numbers([1, 3, 4], f"{'u' if d[0] == 'u' else ''}int{d[1:]}"), right=True,
           torch=lambda x, b: torch.bucketize(x, b, right=True)) for d in INTEGERS),
]  # fmt: skip
