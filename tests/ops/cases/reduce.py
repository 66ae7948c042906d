"""Reductions, distributions."""

# ruff: noqa: E501  (a table has one row in a line)

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F

from tests.ops.case import FLOATS, INTEGERS, Case, case, numbers


def over_axes(op: str, function: Callable[..., Any], dtypes: tuple[str, ...], **attributes: Any) -> list[Case]:
    """Each dtype, and the ways to name axes; `function` takes the axes and `keepdim`."""

    def row(type: str, axis: Any, keepdims: bool) -> Case:
        def reduced(x: torch.Tensor) -> Any:
            axes = tuple(range(x.ndim)) if axis is None else axis
            return function(x, axes, keepdims) if x.ndim else function(x[None], (0,), False)

        return case(op, type, axis=axis, keepdims=keepdims, **attributes, torch=reduced)

    return [
        *(row(f"{d}[3, 4]", 1, False) for d in dtypes),
        *(row("f32[2, 3, 4]", axis, keep) for axis in (None, 0, -1, [0, 2], [-1, 1]) for keep in (False, True)),
        row("f32[]", None, False),
        row("f32[0, 3]", 1, False),
        row("f32[2, 1, 3]", 1, True),
    ]


def along(op: str, function: Callable[..., Any], dtypes: tuple[str, ...] = FLOATS) -> list[Case]:
    """Each dtype and axis, for what keeps the shape."""
    return [
        *(case(op, f"{d}[3, 4]", axis=1, torch=lambda x: function(x, 1)) for d in dtypes),
        *(case(op, "f32[2, 3, 4]", axis=a, torch=lambda x, a=a: function(x, a)) for a in (0, 1, -1)),
        case(op, "f32[0, 3]", axis=1, torch=lambda x: function(x, 1)),
        case(op, "f32[5, 1]", axis=-1, torch=lambda x: function(x, -1)),
    ]


def position(op: str, function: Callable[..., Any]) -> list[Case]:
    ties = numbers([[1, 3, 3, 0, 0], [2, 2, 2, 2, 2]])
    return [
        *(case(op, f"{d}[3, 5]", axis=1, torch=lambda x: function(x, 1)) for d in (*FLOATS, *INTEGERS) if d != "u8"),
        case(op, "f32[3, 5]", torch=function),
        case(op, "f32[3, 5]", axis=-2, keepdims=True, torch=lambda x: function(x, 0, True)),
        case(op, "f32[3, 5]", keepdims=True, torch=lambda x: function(x).reshape(1, 1)),
        case(op, ties, axis=1, torch=lambda x: torch.tensor(getattr(np, op)(x.numpy(), 1))),
    ]


def product(x: torch.Tensor, axes: int | tuple[int, ...] | list[int], keepdim: bool) -> torch.Tensor:
    """`torch.prod` over several axes."""
    for axis in sorted((a % x.ndim for a in ([axes] if isinstance(axes, int) else axes)), reverse=True):
        x = x.prod(axis, keepdim=keepdim)
    return x


def shifted(x: torch.Tensor, first: float = 0) -> torch.Tensor:
    """The columns of a matrix moved by one."""
    return F.pad(x[:, :-1], (1, 0), value=first)


def recurrence(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    """`y[i] = a[i] * y[i - 1] + b[i]` along the second axis."""
    columns: list[torch.Tensor] = []
    for i in range(a.shape[1]):
        columns.append(b[:, i] + (a[:, i] * columns[-1] if columns else 0))
    return torch.stack(columns, 1) if columns else a * b


BIG = numbers([[1000.0, 1000.0, -1000.0], [-np.inf, -np.inf, -np.inf], [-np.inf, 0.0, 1.0]])
ZEROS = numbers([[0.0, 2.0, 3.0], [0.0, 2.0, 0.0], [1.0, -2.0, 4.0]])
FACTORS = numbers([[2.0, -3.0, 0.5, 1.5], [2.0, 0.0, 3.0, 4.0], [0.0, 2.0, 0.0, 3.0]])
TIES = numbers([[1.0, 3.0, 3.0], [3.0, 3.0, 3.0], [2.0, 1.0, 0.0]])
F32_FIRST = ("f32", "f16", "bf16", "f64")

CASES = [
    *over_axes("sum", lambda x, a, k: x.sum(a, keepdim=k), (*F32_FIRST, *INTEGERS, "bool")),
    *(case("sum_squares", f"{d}[{shape}]", torch=lambda x: (x * x).sum()) for d in ("f32", "f64")
      for shape in ("2, 3, 4", "5", "", "0, 3")),
    *over_axes("prod", product, (*F32_FIRST, "i32", "i64")),
    *over_axes("mean", lambda x, a, k: (x.float() if x.dtype == torch.bool else x).mean(a, keepdim=k), (*F32_FIRST, "bool")),
    *over_axes("max", lambda x, a, k: x.amax(a, keepdim=k), (*F32_FIRST, *INTEGERS, "bool")),
    *over_axes("min", lambda x, a, k: x.amin(a, keepdim=k), (*F32_FIRST, *INTEGERS, "bool")),
    *over_axes("var", lambda x, a, k: x.var(a, correction=0, keepdim=k), F32_FIRST),
    case("prod", ZEROS, axis=1, torch=lambda x: x.prod(1)),
    case("prod", ZEROS, torch=lambda x: x.prod()),
    case("max", TIES, axis=1, torch=lambda x: x.amax(1)),
    case("max", TIES, torch=torch.amax),
    case("min", TIES, axis=0, keepdims=True, torch=lambda x: x.amin(0, keepdim=True)),
    *over_axes("std", lambda x, a, k: x.std(a, correction=0, keepdim=k), F32_FIRST),
    case("std", "f32[3, 4]", axis=1, correction=1, torch=lambda x: x.std(1)),
    case("std", numbers([[2.0, 2.0, 2.0], [1.0, 2.0, 4.0]]), axis=1, torch=lambda x: x.std(1, correction=0)),
    case("var", "f32[3, 4]", axis=1, correction=1, torch=lambda x: x.var(1)),
    case("var", "f32[3, 4, 2]", axis=[0, 2], keepdims=True, correction=1, torch=lambda x: x.var((0, 2), keepdim=True)),
    *over_axes("logsumexp", lambda x, a, k: x.logsumexp(a, keepdim=k), F32_FIRST),
    case("logsumexp", BIG, axis=1, torch=lambda x: x.logsumexp(1)),
    *position("argmax", torch.argmax),
    *position("argmin", torch.argmin),
    *along("cumsum", torch.cumsum, (*F32_FIRST, "i8", "i32", "i64", "u8")),
    case("cumsum", "f32[3, 4]", axis=-1, reverse=True, torch=lambda x: x.flip(1).cumsum(1).flip(1)),
    *(case("cumsum", f"{d}[3, 4]", axis=1, exclusive=True, torch=lambda x: shifted(x.cumsum(1))) for d in (*F32_FIRST, "i8", "i32", "i64", "u8")),
    case("cumsum", "f32[3, 4]", axis=0, exclusive=True, torch=lambda x: shifted(x.T.cumsum(1)).T),
    case("cumsum", "f32[3, 4]", axis=-1, reverse=True, exclusive=True, torch=lambda x: shifted(x.flip(1).cumsum(1)).flip(1)),
    case("cumsum", "f32[0, 3]", axis=1, exclusive=True, torch=lambda x: x),
    case("cumsum", "f32[3, 0]", axis=1, exclusive=True, reverse=True, torch=lambda x: x),
    case("cumsum", "f32[5, 1]", axis=1, exclusive=True, torch=lambda x: x * 0),
    *along("cumprod", torch.cumprod, (*F32_FIRST, "i8", "i32", "i64", "u8")),
    case("cumprod", FACTORS, axis=1, torch=lambda x: x.cumprod(1)),
    case("cumprod", FACTORS, axis=0, torch=lambda x: x.cumprod(0)),
    case("cumprod", FACTORS, axis=-1, reverse=True, torch=lambda x: x.flip(1).cumprod(1).flip(1)),
    case("cumprod", FACTORS, axis=1, exclusive=True, torch=lambda x: shifted(x.cumprod(1), 1)),
    case("cumprod", FACTORS, axis=1, exclusive=True, reverse=True, torch=lambda x: shifted(x.flip(1).cumprod(1), 1).flip(1)),
    case("cumprod", "f32[3, 0]", axis=1, exclusive=True, reverse=True, torch=lambda x: x),
    case("cumprod", "f32[2, 33]", axis=1, torch=lambda x: x.cumprod(1)),
    *(case("linear_recurrence", f"{d}[3, {n}]", f"{d}[3, {n}]", axis=1, torch=recurrence) for d in F32_FIRST for n in (1, 5)),
    *(case("linear_recurrence", f"f32[{n}, 2]", f"f32[{n}, 2]", axis=0, reverse=True,
           torch=lambda a, b: recurrence(a.T.flip(1), b.T.flip(1)).flip(1).T) for n in (0, 1, 4, 9)),
    *along("softmax", torch.softmax),
    *along("log_softmax", torch.log_softmax),
    case("softmax", numbers([[1000.0, 1000.0, -1000.0], [-np.inf, 0.0, 1.0]]), torch=lambda x: x.softmax(1)),
    case("log_softmax", numbers([[1000.0, 1000.0, -1000.0], [-np.inf, 0.0, 1.0]]), torch=lambda x: x.log_softmax(1)),
    *along("l2_normalize", lambda x, a: F.normalize(x, dim=a)),
    case("l2_normalize", numbers([[0.0, 0.0], [3.0, 4.0]]), torch=F.normalize),
    case("l2_normalize", "f32[2, 3, 4]", axis=[1, 2], torch=lambda x: F.normalize(x.flatten(1)).reshape(2, 3, 4)),
    *(case("cosine_similarity", f"{d}[3, 4]", f"{d}[4]", torch=lambda a, b: F.cosine_similarity(a, b, dim=-1))
      for d in FLOATS),
    case("cosine_similarity", "f32[2, 3, 4]", "f32[3, 4]", axis=1, torch=lambda a, b: F.cosine_similarity(a, b, dim=1)),
    case("cosine_similarity", "f32[2, 3, 4]", "f32[2, 3, 1]", axis=1, torch=lambda a, b: F.cosine_similarity(a, b, dim=1)),
    case("cosine_similarity", numbers([0.0, 0.0]), numbers([1.0, 0.0]), torch=lambda a, b: F.cosine_similarity(a, b, dim=0)),
    case("cosine_similarity", "f32[0, 4]", "f32[0, 4]", torch=lambda a, b: F.cosine_similarity(a, b, dim=-1)),
]  # fmt: skip
