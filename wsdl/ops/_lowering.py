"""What lowerings have in common."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from wsdl.ir.dims import Dim
from wsdl.ir.types import DType
from wsdl.ops._define import Emitter, Ref

WIDER: dict[DType, DType] = {"bool": "u8", "i16": "i32"}
LOWEST: dict[DType, float] = {
    "f16": -65504.0, "bf16": -3.3895313892515355e38, "f32": -3.4028234663852886e38, "f64": -1.7976931348623157e308,
}  # fmt: skip


def cast_to(e: Emitter, x: Ref, dtype: DType) -> Ref:
    """`x` in another dtype."""
    return e.node("Cast", x, to=dtype)


def widely(e: Emitter, dtype: DType, compute: Callable[..., Ref], *xs: Ref) -> Ref:
    """What `compute` makes of `xs`, by way of a wider dtype where ONNX Runtime has no kernel for their own."""
    if dtype not in WIDER:
        return compute(*xs)
    return cast_to(e, compute(*(cast_to(e, x, WIDER[dtype]) for x in xs)), dtype)


def axes_tensor(e: Emitter, axes: Sequence[int]) -> Ref:
    return e.constant(list(axes), "i64")


def squeezed(e: Emitter, x: Ref, *axes: int) -> Ref:
    """Without axes of size 1."""
    return e.node("Squeeze", x, axes_tensor(e, axes))


def unsqueezed(e: Emitter, x: Ref, *axes: int) -> Ref:
    """With axes of size 1 put in, counted in the result."""
    return e.node("Unsqueeze", x, axes_tensor(e, axes))


def size_of(e: Emitter, dim: Dim) -> Ref:
    """A dimension as an i64 scalar."""
    return e.constant(dim.constant, "i64") if dim.constant is not None else squeezed(e, e.dims([dim]), 0)
