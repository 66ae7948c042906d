"""Resizing of images."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any

from wsdl.ir.dims import Dim
from wsdl.ir.graph import Value
from wsdl.ir.types import TensorType
from wsdl.ops._define import Rules
from wsdl.ops._errors import OpError
from wsdl.ops._interfaces import Array, Emitter, NumPy, Ref
from wsdl.ops._lowering import squeezed, unsqueezed
from wsdl.ops._rules import divided, floating, for_each, image, one_of
from wsdl.ops.adaptive_pool import averaged, averages_spread, averaging
from wsdl.ops.build import Build
from wsdl.ops.resize_matrix import (
    CUBIC,
    changed,
    emitted_matrix,
    multiplications,
    multiplied,
    resize_matrix,
    spread_back,
)

Scale = int | float | Sequence[float] | None
MODES = ("nearest", "nearest-exact", "linear", "cubic", "area")


class Resize(
    Rules, name="resize", half="f32 inside", mixes={"x": slice(2, None), "result": slice(2, None)}, steps_along=None
):
    """`[n, channels, ...]` with its spatial axes scaled, or resized to a size. ONNX Resize, or MatMul.

    PyTorch's `interpolate`. `mode` is `nearest`, `nearest-exact` (which rounds positions correctly), `linear` over one
    to three axes, `cubic` over one or two, or `area`, the mean of what lies under an element (`adaptive_avg_pool`).
    With `align_corners`, which `linear` and `cubic` have, the outermost elements are placed on those of `x`. With
    `antialias`, likewise, elements further apart than one of `x` are means over that distance.

        resize(x: f32[n, 3, 16, 16], scale=2) -> f32[n, 3, 32, 32]
    """

    scale: float | list[float] | None = None
    size: Dim | list[Dim] | None = None
    mode: str = "nearest"
    align_corners: bool = False
    antialias: bool = False

    def infer(self, x: TensorType) -> TensorType:
        one_of(self.mode, MODES, "mode")
        axes = image(floating(x)).rank - 2
        if (self.scale is None) == (self.size is None):
            raise OpError("either `scale` or `size` must be given", argument="size", code="E0414")
        for option in ("align_corners", "antialias"):
            if getattr(self, option) and self.mode not in ("linear", "cubic"):
                what = f"`{option}` is for `linear` and `cubic`, but `mode` is `{self.mode}`"
                raise OpError(what, argument=option, code="E0414")
        if self.align_corners and self.antialias:
            raise OpError("`antialias` can't be with `align_corners`", argument="antialias", code="E0414")
        if self.mode == "cubic" and axes > 2:
            raise OpError(f"`cubic` is for one or two spatial axes, but `x` is {x}", argument="mode", code="E0414")
        if self.size is not None:
            return x.with_shape([*x.shape[:2], *for_each(self.size, axes, "size")])
        sizes = zip(x.shape[2:], self._scales(axes) or (), strict=True)
        return x.with_shape([*x.shape[:2], *(_scaled(size, scale, x) for size, scale in sizes)])

    def _scales(self, axes: int) -> list[float] | None:
        """The factor for each spatial axis, where positions depend on it."""
        return None if self.scale is None else [float(s) for s in for_each(self.scale, axes, "scale")]

    def _steps(self, axes: int) -> list[float | None]:
        """The scales by which positions are computed, where not by the sizes."""
        by_size = self.align_corners or self.mode == "area"
        scales = None if by_size else self._scales(axes)
        return [None] * axes if scales is None else list(scales)

    def reference(self, np: NumPy, x: Array) -> Array:
        axes = x.ndim - 2
        sizes = [size.evaluate({}) for size in self.infer(TensorType.of("f32", x.shape)).shape[2:]]
        how = {"align_corners": self.align_corners, "antialias": self.antialias}
        for axis, size, step in zip(range(2, x.ndim), sizes, self._steps(axes), strict=True):
            matrix = resize_matrix(np, self.mode, x.shape[axis], size, step, **how)
            x = np.moveaxis(np.moveaxis(x, axis, -1) @ matrix, -1, axis)
        return x

    def lower(self, e: Emitter, x: Ref) -> Ref:
        axes, y = x.type.rank - 2, e.results[0]
        if self.mode == "area":
            return averaged(e, x, y)
        if self.antialias:
            steps = self._steps(axes)
            for axis in changed(x.type, y, steps):
                old, new = x.type.shape[axis], y.shape[axis]
                x = multiplied(e, x, emitted_matrix(e, self.mode, old, new, steps[axis - 2], y.dtype), axis, new)
            return x
        lines = self.mode == "cubic" and axes == 1  # which ONNX Runtime only has for two axes
        scales, sizes = self._scales(axes), y.shape
        if lines:
            x, sizes = unsqueezed(e, x, 2), (*sizes[:2], Dim.of(1), *sizes[2:])
        factors = None if scales is None else e.constant([1.0] * (2 + lines) + scales, "f32")
        how = {"coordinate_transformation_mode": "align_corners" if self.align_corners else "half_pixel"}
        if self.mode == "nearest":
            how = {"coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor"}
        elif self.mode == "nearest-exact":
            how["nearest_mode"] = "round_prefer_ceil"
        resized = e.node(
            "Resize",
            x,
            None,
            factors,
            e.dims(sizes) if scales is None else None,
            mode=self.mode.removesuffix("-exact"),
            cubic_coeff_a=CUBIC if self.mode == "cubic" else None,
            **how,
        )
        return squeezed(e, resized, 2) if lines else resized

    def gradient(self, g: Build, dy: Value, y: Value, x: Value) -> dict[str, Value]:
        """Sums over windows where sizes grow by integer factors; otherwise a product with the interpolation weights
        along each axis."""
        if self.mode == "area":
            return {"x": averages_spread(g, dy, x.type)}
        plain = not self.align_corners and not self.antialias
        factors = _whole_factors(x.type, y.type, self.scale) if plain else None
        if factors is not None and self.mode.startswith("nearest"):
            return {"x": g("mul", g("avg_pool", dy, kernel=factors), prod(factors))}
        if factors is not None and self.mode == "linear" and max(factors) <= 3:
            return {"x": _windows_of_edges(g, dy, x.type, factors)}
        steps = self._steps(x.type.rank - 2)
        for axis in changed(x.type, y.type, steps):
            dy = spread_back(g, dy, self._matrix(g, x.type, axis, y.type.shape[axis], steps[axis - 2]), axis)
        return {"x": dy}

    def macs(self, y: TensorType, x: TensorType) -> Dim:
        if self.mode == "area":
            return averaging(x, y)
        return multiplications(x, y, self._steps(x.rank - 2)) if self.antialias else Dim.of(0)

    def _matrix(self, g: Build, x: TensorType, axis: int, new: Dim, step: float | None) -> Value:
        """The share of each element along an axis in each element of the result, [old, new]: that of ONNX Resize, to
        the last digit, is the identity matrix resized."""
        old = x.shape[axis]
        if self.antialias:
            return g("resize_matrix", old=old, new=new, mode=self.mode, scale=step, dtype=x.dtype)
        positions = g("arange", start=old)
        identity = g.mask(g("equal", g("unsqueeze", positions, axis=1), positions), x)
        how: dict[str, Any] = {"size": [new]} if step is None else {"scale": [step]}
        lines = g("unsqueeze", identity, axis=0)
        resized = g("resize", lines, mode=self.mode, align_corners=self.align_corners, **how)
        return g("squeeze", resized, axis=0)


def _whole_factors(x: TensorType, y: TensorType, scale: Scale) -> list[int] | None:
    """The factors by which spatial axes grow, if they are integers known when compiling."""
    pairs = list(zip(x.shape[2:], y.shape[2:], strict=True))
    if any(old.constant == 0 or (new % old).constant != 0 for old, new in pairs):
        return None
    factors = [(new // old).constant or 0 for old, new in pairs]
    exact = scale is None or factors == for_each(scale, len(factors), "scale")  # 3 * 1.2 is 3 pixels, but other ones
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
