"""Larger and smaller images."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from typing import Any

from wsdl.ir.dims import Dim
from wsdl.ir.types import TensorType
from wsdl.ops._define import Array, Emitter, NumPy, OpError, Ref, operation
from wsdl.ops._rules import divided, floating, image, one_of

Scale = int | float | Sequence[float] | None
Size = Dim | int | Sequence[Dim | int] | None


@operation
def resize(
    x: TensorType,
    scale: float | list[float] | None = None,
    size: Dim | list[Dim] | None = None,
    mode: str = "nearest",
) -> TensorType:
    """`[n, channels, ...]` with its spatial axes scaled, or brought to a size. ONNX Resize.

    `mode` is `nearest` or `linear`; both as PyTorch's `interpolate`, with the corners not aligned.
    """
    one_of(mode, ("nearest", "linear"), "mode")
    axes = image(floating(x)).rank - 2
    if (scale is None) == (size is None):
        raise OpError("either `scale` or `size` must be given", argument="size", code="E0414")
    if size is not None:
        return x.with_shape([*x.shape[:2], *_spatial(size, axes, "size")])
    scales = _spatial(scale, axes, "scale")
    return x.with_shape([*x.shape[:2], *(_scaled(d, s, x) for d, s in zip(x.shape[2:], scales, strict=True))])


@resize.reference
def _(np: NumPy, x: Array, scale: Scale = None, size: Size = None, mode: str = "nearest") -> Array:
    scales = None if scale is None else _spatial(scale, x.ndim - 2, "scale")
    for axis in range(2, x.ndim):
        old = x.shape[axis]
        new = int(old * scales[axis - 2]) if scales else _spatial(size, x.ndim - 2, "size")[axis - 2]
        step = 1 / scales[axis - 2] if scales else old / new
        if mode == "nearest":
            x = x.take(np.minimum(np.floor(np.arange(new) * step), old - 1).astype(int), axis)
            continue
        places = np.maximum((np.arange(new) + 0.5) * step - 0.5, 0)
        below = np.minimum(np.floor(places), old - 1).astype(int)
        share = (places - below).reshape([-1, *[1] * (x.ndim - 1 - axis)])
        x = x.take(below, axis) * (1 - share) + x.take(np.minimum(below + 1, old - 1), axis) * share
    return x


@resize.lowering
def _(e: Emitter, x: Ref, scale: Scale = None, size: Size = None, mode: str = "nearest") -> Ref:
    axes = x.type.rank - 2
    scales = None if scale is None else e.constant([1.0, 1.0, *_spatial(scale, axes, "scale")], "f32")
    sizes = e.dims(e.results[0].shape) if scale is None else None
    how = {"coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor"}
    if mode == "linear":
        how = {"coordinate_transformation_mode": "half_pixel"}
    return e.node("Resize", x, None, scales, sizes, mode=mode, **how)


def _spatial(value: Scale | Size, axes: int, argument: str) -> list[Any]:
    """One value for each spatial axis."""
    values = list(value) if isinstance(value, Sequence) else [value] * axes
    if len(values) != axes:
        what = f"`{argument}` has {len(values)} numbers, one for each of {axes} spatial axes is needed"
        raise OpError(what, argument=argument, code="E0414")
    return values


def _scaled(size: Dim, scale: float, x: TensorType) -> Dim:
    """A size times a factor, rounded down."""
    if scale <= 0:
        raise OpError(f"`scale` must be positive, but is {scale}", argument="scale", code="E0414")
    if size.constant is not None:
        return Dim.of(int(size.constant * scale))
    ratio = Fraction(scale).limit_denominator(1000)
    if abs(float(ratio) - scale) > 1e-9:
        raise OpError(
            f"a run-time size of {x} can't be scaled by {scale}", argument="scale", help="use a simple fraction"
        )
    return size * ratio.numerator // ratio.denominator


@operation
def pixel_shuffle(x: TensorType, factor: int) -> TensorType:
    """`[n, c * factor ** 2, h, w]` to `[n, c, h * factor, w * factor]`: channels become pixels. ONNX DepthToSpace."""
    if floating(x).rank != 4:
        raise OpError(f"`x` must be [n, channels, height, width], but is {x}", argument="x")
    if factor < 1:
        raise OpError(f"`factor` must be at least 1, but is {factor}", argument="factor", code="E0414")
    n, channels, height, width = x.shape
    what = f"the channels of {x} must be a multiple of {factor} ** 2"
    return x.with_shape([n, divided(channels, Dim.of(factor**2), what, "x"), height * factor, width * factor])


@pixel_shuffle.reference
def _(np: NumPy, x: Array, factor: int) -> Array:
    n, channels, height, width = x.shape
    apart = x.reshape(n, channels // factor**2, factor, factor, height, width)
    return apart.transpose(0, 1, 4, 2, 5, 3).reshape(n, channels // factor**2, height * factor, width * factor)


@pixel_shuffle.lowering
def _(e: Emitter, x: Ref, factor: int) -> Ref:
    return e.node("DepthToSpace", x, blocksize=factor, mode="CRD")
