"""Helpers for shape rules: checks of dtypes, axes and sizes, each with the message that a user sees."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from difflib import get_close_matches
from itertools import pairwise
from math import isfinite
from typing import Any

from wsdl.ir.dims import Dim
from wsdl.ir.types import INTEGERS, DType, TensorType, holds, shape_text
from wsdl.ops._errors import OpError, require_equal

# -- dtypes ------------------------------------------------------------------------------------------------------------


def floating(x: TensorType, argument: str = "x") -> TensorType:
    """`x` if it holds floating-point numbers."""
    if not x.is_float:
        raise _wrong_dtype(x, "floating-point numbers", f"`cast({argument}, f32)` converts it", argument)
    return x


def integer(x: TensorType, argument: str = "x") -> TensorType:
    """`x` if it holds integers."""
    if not x.is_integer:
        raise _wrong_dtype(x, "integers", f"`cast({argument}, i64)` converts it", argument)
    return x


def numeric(x: TensorType, argument: str = "x") -> TensorType:
    """`x` if it holds numbers, not truth values."""
    if x.dtype == "bool":
        raise _wrong_dtype(x, "numbers", f"`cast({argument}, f32)` makes false 0 and true 1", argument)
    return x


def signed(x: TensorType, argument: str = "x") -> TensorType:
    """`x` if it holds numbers that may be negative."""
    if numeric(x, argument).dtype == "u8":
        raise _wrong_dtype(x, "signed numbers", f"`cast({argument}, i32)` converts it", argument)
    return x


def boolean(x: TensorType, argument: str = "x") -> TensorType:
    """`x` if it holds truth values."""
    if x.dtype != "bool":
        raise _wrong_dtype(x, "truth values", f"compare it with something, as in `{argument} != 0`", argument)
    return x


def same_dtype(argument: str, first: TensorType, *others: TensorType) -> None:
    """All operands have one dtype; `argument` names the one at fault if not."""
    for other in others:
        if other.dtype != first.dtype:
            fraction_is_second = other.is_float and not first.is_float
            raise OpError(
                f"the operands have two dtypes: {first.dtype} and {other.dtype}",
                argument=argument,
                help=f"`cast` the {first.dtype} operand to {other.dtype}"
                if fraction_is_second
                else f"`cast({argument}, {first.dtype})` converts it",
                code="E0403",
            )


def element(value: float, dtype: DType, argument: str) -> None:
    """Check that a tensor of this dtype can hold a number."""
    if dtype == "bool" or isinstance(value, bool):
        return
    if dtype in INTEGERS and isinstance(value, float) and not value.is_integer():
        what = "a fraction" if isfinite(value) else "no integer"
        raise OpError(f"{value} is {what}, but {dtype} holds integers", argument=argument, code="E0403")
    if not holds(dtype, value):
        message = f"{value} is {'less' if value < 0 else 'more'} than {dtype} can hold"
        raise OpError(message, argument=argument, code="E0414")


def image(x: TensorType, argument: str = "x") -> TensorType:
    """`x` if it is `[n, channels, ...]` with one to three spatial axes."""
    if not 3 <= x.rank <= 5:
        what = f"`{argument}` must be [n, channels, ...] with one to three spatial axes, but is {x}"
        raise OpError(what, argument=argument)
    return x


def _wrong_dtype(x: TensorType, needed: str, help: str, argument: str) -> OpError:
    return OpError(f"`{argument}` must hold {needed}, but is {x}", argument=argument, help=help, code="E0403")


# -- attributes --------------------------------------------------------------------------------------------------------


def one_of(value: str, options: Collection[str], argument: str) -> str:
    """`value` if it is one of the options."""
    if value not in options:
        help = _nearest(value, options)
        raise OpError(f"`{argument}` can't be `{value}`", argument=argument, help=help, code="E0414")
    return value


def per_axis(value: int | Sequence[int], count: int, argument: str, *, least: int = 0) -> list[int]:
    """One number for each of `count` axes, from a list of them or from one for all."""
    values: list[int] = for_each(value, count, argument)
    if any(number < least for number in values):
        raise OpError(f"`{argument}` must be at least {least}, but is {min(values)}", argument=argument, code="E0414")
    return values


def for_each(value: Any, count: int, argument: str) -> list[Any]:
    """One number or size for each of `count` axes, likewise."""
    values = list(value) if isinstance(value, Sequence) else [value] * count
    if len(values) != count:
        what = f"`{argument}` has {len(values)} numbers, but needs one for each of {count} axes"
        raise OpError(what, argument=argument, code="E0414")
    return values


def _nearest(name: str, options: Collection[str]) -> str:
    close = get_close_matches(name, options, n=1)
    return f"did you mean `{close[0]}`?" if close else f"one of {', '.join(f'`{o}`' for o in options)}"


# -- axes --------------------------------------------------------------------------------------------------------------


def axis_of(axis: int, rank: int, argument: str = "axis") -> int:
    """The axis, counted from the front."""
    if not -rank <= axis < rank:
        has = f"only axes 0 to {rank - 1}, or {-rank} to -1 from the end" if rank else "no axes"
        raise OpError(f"axis {axis} doesn't exist: there are {has}", argument=argument, code="E0414")
    return axis % rank


def axes_of(axis: int | Sequence[int] | None, rank: int, argument: str = "axis") -> list[int]:
    """The axes in order, counted from the front; all of them for `None`."""
    if axis is None:
        return list(range(rank))
    listed = [axis] if isinstance(axis, int) else list(axis)
    axes = sorted(axis_of(a, rank, argument) for a in listed)
    for a, b in pairwise(axes):
        if a == b:
            raise OpError(f"axis {a} is named twice", argument=argument, code="E0414")
    return axes


# -- sizes -------------------------------------------------------------------------------------------------------------


def is_one(dim: Dim) -> bool:
    """Is it certainly 1, so that it broadcasts?"""
    return dim.constant == 1


def broadcast(*shapes: Sequence[Dim], argument: str = "b") -> tuple[Dim, ...]:
    """NumPy's broadcasting: sizes agree from the last axis on, or are 1. A size that is unknown counts as not 1."""
    result = tuple(shapes[0])
    for shape in shapes[1:]:
        rank = max(len(result), len(shape))
        left, right = result, tuple(shape)
        padded = [(Dim.of(1),) * (rank - len(s)) + s for s in (left, right)]

        def size(axis: int, a: Dim, b: Dim, left: Sequence[Dim] = left, right: Sequence[Dim] = right) -> Dim:
            if a is b or is_one(b):
                return a
            if is_one(a):
                return b
            what = f"the sizes along axis {axis} of {shape_text(left)} and {shape_text(right)} must be equal"
            return agreed(a, b, what, argument)

        result = tuple(map(size, range(-rank, 0), *padded))
    return result


def common(a: Dim, b: Dim, what: str, argument: str | None = None) -> Dim:
    """The size that two sizes broadcast to."""
    if is_one(a) or is_one(b):
        return b if is_one(a) else a
    return agreed(a, b, what, argument)


def agreed(a: Dim, b: Dim, what: str, argument: str | None = None, help: str | None = None) -> Dim:
    """The size that both must have; a number rather than a name that must be equal to it."""
    require_equal(a, b, what, argument=argument, help=help)
    return a if b.constant is None else b


def equally_many(a: Dim, b: Dim, what: str, argument: str | None = None) -> None:
    """Two numbers of elements are equal; `6 * n` and `4 * n` never count as equal, although they are where `n` is 0."""
    if len(a.terms) == len(b.terms) == 1:
        (left, x), (right, y) = a.terms[0], b.terms[0]
        if left == right and x != y:
            raise OpError(f"{what}: {a} and {b}", argument=argument)
    require_equal(a, b, what, argument=argument)


def divided(dim: Dim, by: Dim, what: str, argument: str | None = None) -> Dim:
    """`dim / by`, which has to come out even."""
    rest = dim % by
    if rest.constant not in (None, 0):
        raise OpError(f"{what}: {by} doesn't divide {dim}", argument=argument)
    require_equal(rest, Dim.of(0), f"{what}: the remainder of {dim} // {by} must be 0", argument=argument)
    return dim // by
