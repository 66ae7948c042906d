"""Resizing of images."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any

from wsdl.ir.dims import Dim, product
from wsdl.ir.graph import Value
from wsdl.ir.types import TensorType
from wsdl.ops._define import Rules
from wsdl.ops._errors import OpError
from wsdl.ops._interfaces import Array, Emitter, NumPy, Ref
from wsdl.ops._rules import divided, floating, image, one_of
from wsdl.ops.build import Build

Scale = int | float | Sequence[float] | None
Size = Dim | int | Sequence[Dim | int] | None


class Resize(
    Rules, name="resize", half="f32 inside", mixes={"x": slice(2, None), "result": slice(2, None)}, steps_along=None
):
    """`[n, channels, ...]` with its spatial axes scaled, or resized to a size. ONNX Resize.

    `mode` is `nearest` or `linear`; both as PyTorch's `interpolate`, with the corners not aligned.

        resize(x: f32[n, 3, 16, 16], scale=2) -> f32[n, 3, 32, 32]
    """

    scale: float | list[float] | None = None
    size: Dim | list[Dim] | None = None
    mode: str = "nearest"

    def infer(self, x: TensorType) -> TensorType:
        one_of(self.mode, ("nearest", "linear"), "mode")
        axes = image(floating(x)).rank - 2
        if (self.scale is None) == (self.size is None):
            raise OpError("either `scale` or `size` must be given", argument="size", code="E0414")
        if self.size is not None:
            return x.with_shape([*x.shape[:2], *_spatial(self.size, axes, "size")])
        scales = _spatial(self.scale, axes, "scale")
        return x.with_shape([*x.shape[:2], *(_scaled(d, s, x) for d, s in zip(x.shape[2:], scales, strict=True))])

    def reference(self, np: NumPy, x: Array) -> Array:
        scales = None if self.scale is None else _spatial(self.scale, x.ndim - 2, "scale")
        for axis in range(2, x.ndim):
            old = x.shape[axis]
            new = int(old * scales[axis - 2]) if scales else _spatial(self.size, x.ndim - 2, "size")[axis - 2]
            step = 1 / scales[axis - 2] if scales else old / new
            if self.mode == "nearest":
                x = x.take(np.minimum(np.floor(np.arange(new) * step), old - 1).astype(int), axis)
                continue
            places = np.maximum((np.arange(new) + 0.5) * step - 0.5, 0)
            below = np.minimum(np.floor(places), old - 1).astype(int)
            share = (places - below).reshape([-1, *[1] * (x.ndim - 1 - axis)])
            x = x.take(below, axis) * (1 - share) + x.take(np.minimum(below + 1, old - 1), axis) * share
        return x

    def lower(self, e: Emitter, x: Ref) -> Ref:
        axes = x.type.rank - 2
        scales = None if self.scale is None else e.constant([1.0, 1.0, *_spatial(self.scale, axes, "scale")], "f32")
        sizes = e.dims(e.results[0].shape) if self.scale is None else None
        how = {"coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor"}
        if self.mode == "linear":
            how = {"coordinate_transformation_mode": "half_pixel"}
        return e.node("Resize", x, None, scales, sizes, mode=self.mode, **how)

    def gradient(self, g: Build, dy: Value, y: Value, x: Value) -> dict[str, Value]:
        """Sums over windows where sizes grow by integer factors; otherwise a product with the interpolation weights
        along each axis."""
        factors = _whole_factors(x.type, y.type, self.scale)
        if factors is not None and self.mode == "nearest":
            return {"x": g("mul", g("avg_pool", dy, kernel=factors), prod(factors))}
        if factors is not None and max(factors) <= 3:
            return {"x": _windows_of_edges(g, dy, x.type, factors)}
        for axis in range(2, x.type.rank):
            how: dict[str, Any] = {"size": [y.type.shape[axis]]}
            if self.scale is not None:
                how = {"scale": [float(_spatial(self.scale, x.type.rank - 2, "scale")[axis - 2])]}
            dy = _along(g, dy, _weights(g, x.type, axis, self.mode, **how), axis)
        return {"x": dy}


def _whole_factors(x: TensorType, y: TensorType, scale: Scale) -> list[int] | None:
    """The factors by which spatial axes grow, if they are integers known when compiling."""
    pairs = list(zip(x.shape[2:], y.shape[2:], strict=True))
    if any(old.constant == 0 or (new % old).constant != 0 for old, new in pairs):
        return None
    factors = [(new // old).constant or 0 for old, new in pairs]
    exact = scale is None or factors == _spatial(scale, len(factors), "scale")  # 3 * 1.2 is 3 pixels, but other ones
    return factors if exact and min(factors) >= 1 else None


def _windows_of_edges(g: Build, dy: Value, x: TensorType, factors: Sequence[int]) -> Value:
    """Linear, by factors up to 3: windows over the gradient with triangular weights.

    Past the outermost elements all weight falls on these, as if the gradient were padded with its edge.
    """
    weight = g("ones", shape=[1, 1, *[1] * len(factors)], dtype=x.dtype)
    for axis, by in enumerate(factors, 2):
        if by == 1:
            continue
        last = dy.type.shape[axis]
        ends = [g("slice", dy, starts=[low], stops=[low + 1], axes=[axis]) for low in (Dim.of(0), last - 1)]
        dy = g("concat", [ends[0], dy, ends[1]], axis=axis)
        sides = [1 - abs((o + 0.5) / by - 0.5) for o in range(-1, by + 1)]
        triangle = g("constant", value=sides, dtype=x.dtype)
        weight = g("mul", weight, g("reshape", triangle, shape=[-1 if a == axis else 1 for a in range(x.rank)]))
    n, channels, *sizes = dy.type.shape
    each = g("reshape", dy, shape=[n * channels, 1, *sizes])
    return g.like(g(f"conv{len(factors)}d", each, weight, stride=list(factors)), x)


def _weights(g: Build, x: TensorType, axis: int, mode: str, **how: Any) -> Value:
    """The weight of each element along an axis in each element of the result, [old, new]: the identity matrix,
    resized."""
    positions = g("arange", start=x.shape[axis])
    same_place = g("equal", g("unsqueeze", positions, axis=1), positions)
    resized = g("resize", g("unsqueeze", g.mask(same_place, x), axis=0), mode=mode, **how)
    return g("squeeze", resized, axis=0)


def _along(g: Build, dy: Value, weights: Value, axis: int) -> Value:
    """The product of weights [old, new] with an axis of size new."""
    shape = dy.type.shape
    if axis == dy.type.rank - 1:
        return g("matmul", dy, g("transpose", weights))
    behind = g("reshape", dy, shape=[*shape[: axis + 1], product(shape[axis + 1 :])])
    return g("reshape", g("matmul", weights, behind), shape=[*shape[:axis], weights.type.shape[0], *shape[axis + 1 :]])


def _spatial(value: Scale | Size, axes: int, argument: str) -> list[Any]:
    """One value for each spatial axis."""
    values = list(value) if isinstance(value, Sequence) else [value] * axes
    if len(values) != axes:
        what = f"`{argument}` has {len(values)} numbers, but needs one for each of {axes} spatial axes"
        raise OpError(what, argument=argument, code="E0414")
    return values


def _scaled(size: Dim, scale: float, x: TensorType) -> Dim:
    """A size times a factor, rounded down."""
    if scale <= 0:
        raise OpError(f"`scale` must be positive, but is {scale}", argument="scale", code="E0414")
    if size.constant is not None:
        return Dim.of(int(size.constant * scale))
    from fractions import Fraction

    ratio = Fraction(scale).limit_denominator(1000)
    if abs(float(ratio) - scale) > 1e-9:
        raise OpError(
            f"a dynamic dimension of {x} can't be scaled by {scale}", argument="scale", help="use a simple fraction"
        )
    return size * ratio.numerator // ratio.denominator


class PixelShuffle(Rules, name="pixel_shuffle", half="moves", mixes={"x": slice(1, None)}, steps_along=None):
    """`[n, c * factor ** 2, h, w]` to `[n, c, h * factor, w * factor]`: channels become pixels. ONNX DepthToSpace.

    pixel_shuffle(x: f32[n, 12, 16, 16], factor=2) -> f32[n, 3, 32, 32]
    """

    factor: int

    def infer(self, x: TensorType) -> TensorType:
        if floating(x).rank != 4:
            raise OpError(f"`x` must be [n, channels, height, width], but is {x}", argument="x")
        if self.factor < 1:
            raise OpError(f"`factor` must be at least 1, but is {self.factor}", argument="factor", code="E0414")
        n, channels, height, width = x.shape
        what = f"the channels of {x} must be a multiple of {self.factor} ** 2"
        return x.with_shape(
            [n, divided(channels, Dim.of(self.factor**2), what, "x"), height * self.factor, width * self.factor]
        )

    def reference(self, np: NumPy, x: Array) -> Array:
        n, channels, height, width = x.shape
        apart = x.reshape(n, channels // self.factor**2, self.factor, self.factor, height, width)
        return apart.transpose(0, 1, 4, 2, 5, 3).reshape(
            n, channels // self.factor**2, height * self.factor, width * self.factor
        )

    def lower(self, e: Emitter, x: Ref) -> Ref:
        return e.node("DepthToSpace", x, blocksize=self.factor, mode="CRD")

    def gradient(self, g: Build, dy: Value, y: Value, x: Value) -> dict[str, Value]:
        n, channels, height, width = x.type.shape
        apart = g("reshape", dy, shape=[n, channels // self.factor**2, height, self.factor, width, self.factor])
        return {"x": g("reshape", g("permute", apart, axes=[0, 1, 3, 5, 2, 4]), shape=list(x.type.shape))}
