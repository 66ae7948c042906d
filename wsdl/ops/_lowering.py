"""Helpers for lowerings."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

from wsdl.ir.dims import Dim
from wsdl.ir.types import DType
from wsdl.ops._interfaces import Emitter, Ref

WIDER: dict[DType, DType] = {"bool": "u8", "i16": "i32", "bf16": "f32"}
NO_KERNEL: tuple[DType, ...] = ("bool", "i16")  # many operators of ONNX Runtime have no kernel for these
LOWEST: dict[DType, float] = {
    "f16": -65504.0, "bf16": -3.3895313892515355e38, "f32": -3.4028234663852886e38, "f64": -1.7976931348623157e308,
}  # fmt: skip


def cast_to(e: Emitter, x: Ref, dtype: DType) -> Ref:
    """`x` in another dtype."""
    return e.node("Cast", x, to=dtype)


def widely(e: Emitter, compute: Callable[..., Ref], *xs: Ref, narrow: Sequence[DType] = NO_KERNEL) -> Ref:
    """`compute(*xs)`, computed in a wider dtype where theirs is one of the narrow ones."""
    dtype = xs[0].type.dtype
    if dtype not in narrow:
        return compute(*xs)
    wide = WIDER[dtype]
    return cast_to(e, compute(*(cast_to(e, x, wide).typed(x.type.with_dtype(wide)) for x in xs)), dtype)


def chosen(e: Emitter, condition: Ref, a: Ref, b: Ref) -> Ref:
    """`a` where the condition is true, `b` elsewhere."""
    return widely(e, lambda a, b: e.node("Where", condition, a, b), a, b)


def float_node(e: Emitter, op_type: str, *inputs: Ref | None, **attributes: Any) -> Ref:
    """A node with an operator that takes `bf16` from opset 22 on; before, it computes with f32."""
    operands = [x for x in inputs if x is not None]

    def compute(*xs: Ref) -> Ref:
        left = iter(xs)
        return e.node(op_type, *(None if x is None else next(left) for x in inputs), **attributes)

    return widely(e, compute, *operands, narrow=() if e.opset >= 22 else ("bf16",))


def from_start(e: Emitter, indices: Ref, size: Dim) -> Ref:
    """Indices into an axis of `size`, with negative ones made too large: the operator that reads them then stops, where
    it would otherwise count from the end."""
    if indices.type.dtype == "u8" or ((values := e.numbers(indices)) and min(values) >= 0):
        return indices
    dtype = indices.type.dtype
    beyond = size_of(e, size) if dtype == "i64" else cast_to(e, size_of(e, size), dtype)
    return e.node("Where", e.node("Less", indices, e.constant(0, dtype)), beyond, indices)


def is_not_negative(size: Dim) -> bool:
    """Is a size certainly 0 or more, as those of all tensors are?"""
    return all(factor >= 0 for _, factor in size.terms)


def not_negative(e: Emitter, x: Ref, size: Dim) -> Ref:
    """`x`, after a check that stops the run where a size that takes part is negative."""
    if is_not_negative(size):
        return x
    least = -next((factor for symbols, factor in size.terms if not symbols), 0)
    return e.checked(x, "at least", size + least, Dim.of(least))


def expanded(e: Emitter, x: Ref, shape: Sequence[Dim]) -> Ref:
    """`x` repeated to a shape; stops the run where that has a negative size."""
    result = e.node("Expand", x, e.dims(shape))
    if unknown := [size for size in shape if not is_not_negative(size)]:
        e.assume(", ".join(f"{size} >= 0" for size in unknown))
    return result


def axes_tensor(e: Emitter, axes: Sequence[int]) -> Ref:
    return e.constant(list(axes), "i64")


def squeezed(e: Emitter, x: Ref, *axes: int) -> Ref:
    """Without axes of size 1."""
    return e.node("Squeeze", x, axes_tensor(e, axes))


def unsqueezed(e: Emitter, x: Ref, *axes: int) -> Ref:
    """With axes of size 1 put in, counted in the result."""
    return e.node("Unsqueeze", x, axes_tensor(e, axes))


def doublings(e: Emitter, size: Dim) -> Ref:
    """How often 1 has to be doubled to reach a size of at least 0, as an i64 scalar."""
    if size.constant is not None:
        return e.constant(max(size.constant - 1, 0).bit_length(), "i64")
    number = cast_to(e, e.node("Max", size_of(e, size), e.constant(1, "i64")), "f64")
    return cast_to(e, e.node("Ceil", e.node("Div", e.node("Log", number), e.constant(math.log(2), "f64"))), "i64")


def size_of(e: Emitter, dim: Dim) -> Ref:
    """A dimension as an i64 scalar."""
    return e.constant(dim.constant, "i64") if dim.constant is not None else squeezed(e, e.dims([dim]), 0)
