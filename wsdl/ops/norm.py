"""Normalization to mean 0 and variance 1 over some axes, then scaled and shifted by weights."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from wsdl.ir.dims import Dim, product
from wsdl.ir.graph import Value
from wsdl.ir.types import TensorType
from wsdl.ops._define import Rules
from wsdl.ops._errors import OpError
from wsdl.ops._interfaces import Array, Emitter, NumPy, Ref
from wsdl.ops._lowering import axes_tensor, cast_to, float_node, unsqueezed
from wsdl.ops._rules import agreed, divided, floating, same_dtype
from wsdl.ops.build import Build


def _standardized(np: NumPy, x: Array, axes: Sequence[int], eps: float) -> Array:
    """With mean 0 and variance 1 over axes."""
    mean, variance = (f(x, axis=tuple(axes), keepdims=True) for f in (np.mean, np.var))
    return (x - mean) / np.sqrt(variance + eps)


def along_channels(weight: Array, x: Array) -> Array:
    return weight.reshape(-1, *[1] * (x.ndim - 2))


def for_each_channel(x: TensorType, weights: dict[str, TensorType | None]) -> None:
    """`x` is `[n, channels, ...]`, and each weight has one element for each channel."""
    if floating(x).rank < 2:
        raise OpError(f"`x` must be [n, channels, ...], but is {x}", argument="x")
    for name, weight in weights.items():
        if weight is None:
            continue
        same_dtype(name, x, weight)
        if weight.rank != 1:
            raise OpError(f"`{name}` must be [{x.shape[1]}], but is {weight}", argument=name)
        what = f"`{name}` must have a value for each channel of {x}"
        agreed(x.shape[1], weight.shape[0], what, name)


def _fits_last_axes(x: TensorType, weights: dict[str, TensorType | None]) -> None:
    """Each weight has the shape of the last axes of `x`, and all of them the same."""
    ranks = {weight.rank for weight in weights.values() if weight is not None}
    if len(ranks) > 1 or not 1 <= max(ranks) <= floating(x).rank:
        shapes = " and ".join(f"`{name}` is {weight}" for name, weight in weights.items() if weight is not None)
        raise OpError(f"the weights must have the shape of the last axes of {x}, but {shapes}", argument="weight")
    for name, weight in weights.items():
        if weight is None:
            continue
        same_dtype(name, x, weight)
        for size, expected in zip(weight.shape, x.shape[-weight.rank :], strict=True):
            agreed(expected, size, f"`{name}` must have the shape of the last axes of {x}", name)


# -- over the last axes ------------------------------------------------------------------------------------------------


def _last_axes(op: Any, x: TensorType, weight: TensorType | None = None, *_: Any) -> range:
    """Those that are normalized over."""
    return range(x.rank - (op.axes if weight is None else weight.rank), x.rank)


class Standardize(Rules, name="standardize", internal=True, half="f32", mixes={"x": _last_axes}, steps_along=None):
    """Mean 0 and variance 1 over the last `axes` axes, and the factors used. ONNX LayerNormalization.

    The factors, `1 / sqrt(variance + eps)`, have size 1 along those axes. For gradients of normalizations.
    """

    axes: int = 1
    eps: float = 1e-5

    def infer(self, x: TensorType) -> tuple[TensorType, TensorType]:
        if not 1 <= self.axes <= floating(x).rank:
            raise OpError(f"`axes` must be 1 to {x.rank}, but is {self.axes}", argument="axes", code="E0403")
        return x, x.with_shape([*x.shape[: -self.axes], *[1] * self.axes])

    def reference(self, np: NumPy, x: Array) -> tuple[Array, Array]:
        last = range(x.ndim - self.axes, x.ndim)
        return _standardized(np, x, last, self.eps), 1 / np.sqrt(np.var(x, axis=tuple(last), keepdims=True) + self.eps)

    def lower(self, e: Emitter, x: Ref) -> list[Ref]:
        dtype = x.type.dtype
        if dtype == "f64":  # the operator returns its factors as f32
            last = axes_tensor(e, range(-self.axes, 0))
            centered = e.node("Sub", x, e.node("ReduceMean", x, last, keepdims=1))
            variance = e.node("ReduceMean", e.node("Mul", centered, centered), last, keepdims=1)
            factors = e.node("Reciprocal", e.node("Sqrt", e.node("Add", variance, e.constant(self.eps, dtype))))
            return [e.node("Mul", centered, factors), factors]
        ones = e.node("Expand", e.constant(1, dtype), e.dims(x.type.shape[-self.axes :]))
        y, _, factors = e.nodes("LayerNormalization", x, ones, outputs=3, axis=-self.axes, epsilon=float(self.eps))
        return [y, factors if dtype == "f32" else cast_to(e, factors, dtype)]

    def gradient(self, g: Build, dys: list[Value | None], ys: list[Value], x: Value) -> dict[str, Value]:
        (dy, d_factors), (y, factors) = dys, ys
        last = list(range(-self.axes, 0))
        along = g("mul", factors, g("mean", g("mul", dy, y), axis=last, keepdims=True)) if dy else None
        if d_factors:
            from_factors = g.mul(d_factors, factors, factors)
            from_factors = g("div", from_factors, g.size(product(x.type.shape[-self.axes :]), x.type))
            along = g("add", along, from_factors) if along else from_factors
        dx = g("neg", g("mul", y, along))
        if not dy:
            return {"x": dx}
        level = g("sub", dy, g("mean", dy, axis=last, keepdims=True))
        return {"x": g("add", g("mul", level, factors), dx)}


class LayerNorm(Rules, name="layer_norm", half="f32 inside", mixes={"x": _last_axes}, steps_along=None):
    """Mean 0 and variance 1 over the last axes, those of `weight`, then scaled and shifted. ONNX LayerNormalization.

    `weight` and `bias` have the shape of those axes; `eps` is added to the variance.

        layer_norm(x: f32[n, t, 3], weight: f32[3], bias: f32[3]) -> f32[n, t, 3]
    """

    eps: float = 1e-5

    def infer(self, x: TensorType, weight: TensorType, bias: TensorType | None = None) -> TensorType:
        _fits_last_axes(x, {"weight": weight, "bias": bias})
        return x

    def reference(self, np: NumPy, x: Array, weight: Array, bias: Array | None = None) -> Array:
        scaled = _standardized(np, x, range(x.ndim - weight.ndim, x.ndim), self.eps) * weight
        return scaled if bias is None else scaled + bias

    def lower(self, e: Emitter, x: Ref, weight: Ref, bias: Ref | None = None) -> Ref:
        return e.node("LayerNormalization", x, weight, bias, axis=-weight.type.rank, epsilon=float(self.eps))

    def gradient(
        self, g: Build, dy: Value, y: Value, x: Value, weight: Value, bias: Value | None = None
    ) -> dict[str, Value]:
        normal, factors = g.all("standardize", x, axes=weight.type.rank, eps=self.eps)
        gradients = _through_rows(g, dy, normal, factors, weight, centered=True)
        return gradients if bias is None else {**gradients, "bias": _summed(g, _rows(g, dy, weight.type), bias.type)}


def _summed(g: Build, rows: Value, weight: TensorType) -> Value:
    """The sum of all rows, as a gradient of a weight."""
    return g.like(g("sum", rows, axis=0), weight)


def _rows(g: Build, x: Value, weight: TensorType) -> Value:
    """As a matrix with a row for each position that the weight applies to."""
    return g("reshape", x, shape=[product(x.type.shape[: x.type.rank - weight.rank]), weight.elements])


def _through_rows(
    g: Build, dy: Value, normal: Value, factors: Value, weight: Value, *, centered: bool
) -> dict[str, Value]:
    """Backward through `normal * weight`, where `normal` is `x * factors`, or `x` less its mean, times `factors`.

    Means over a row are products with the weight as a column, which read the matrices but write none.
    """
    down, up = _rows(g, dy, weight.type), _rows(g, normal, weight.type)
    products, count = g("mul", down, up), g.size(weight.type.elements, weight.type)
    column = g("reshape", weight, shape=[weight.type.elements, 1])
    away = g("mul", up, g("div", g("matmul", products, column), count))
    if centered:
        away = g("add", away, g("div", g("matmul", down, column), count))
    level = g("sub", g("mul", down, g("reshape", weight, shape=[weight.type.elements])), away)
    dx = g("mul", level, g("reshape", factors, shape=[down.type.shape[0], 1]))
    return {"x": g.like(dx, normal.type), "weight": _summed(g, products, weight.type)}


class RmsNorm(Rules, name="rms_norm", half="f32", mixes={"x": _last_axes}, steps_along=None):
    """`x` divided by its root mean square over the last axes, then scaled. ONNX ReduceMean, Sqrt and Div.

    `weight` has the shape of those axes; `eps` is added to the mean square.

        rms_norm(x: f32[n, t, 3], weight: f32[3]) -> f32[n, t, 3]
    """

    eps: float = 1e-6

    def infer(self, x: TensorType, weight: TensorType) -> TensorType:
        _fits_last_axes(x, {"weight": weight})
        return x

    def reference(self, np: NumPy, x: Array, weight: Array) -> Array:
        squares = np.mean(x * x, axis=tuple(range(x.ndim - weight.ndim, x.ndim)), keepdims=True)
        return x / np.sqrt(squares + self.eps) * weight

    def lower(self, e: Emitter, x: Ref, weight: Ref) -> Ref:
        axes, dtype = axes_tensor(e, range(-weight.type.rank, 0)), x.type.dtype
        squares = e.node("ReduceMean", e.node("Pow", x, e.constant(2, dtype)), axes, keepdims=1)
        return e.node(
            "Mul", e.node("Div", x, e.node("Sqrt", e.node("Add", squares, e.constant(self.eps, dtype)))), weight
        )

    def gradient(self, g: Build, dy: Value, y: Value, x: Value, weight: Value) -> dict[str, Value]:
        squares = g("mean", g("mul", x, x), axis=list(range(-weight.type.rank, 0)), keepdims=True)
        factors = g("rsqrt", g("add", squares, self.eps))
        return _through_rows(g, dy, g("mul", x, factors), factors, weight, centered=False)


# -- over channels -----------------------------------------------------------------------------------------------------


class GroupNorm(Rules, name="group_norm", half="f32", mixes={"x": slice(1, None)}, steps_along=None):
    """Mean 0 and variance 1 over each group of channels, then scaled and shifted. ONNX InstanceNormalization.

    `x` is [n, channels, ...]; `weight` and `bias` are [channels].

        group_norm(x: f32[n, 6, t], 3, weight: f32[6], bias: f32[6]) -> f32[n, 6, t]
    """

    groups: int
    eps: float = 1e-5

    def infer(self, x: TensorType, weight: TensorType | None = None, bias: TensorType | None = None) -> TensorType:
        for_each_channel(x, {"weight": weight, "bias": bias})
        if self.groups < 1:
            raise OpError(f"`groups` must be at least 1, but is {self.groups}", argument="groups", code="E0414")
        divided(x.shape[1], Dim.of(self.groups), f"the channels of {x} must be a multiple of {self.groups}", "groups")
        return x

    def reference(self, np: NumPy, x: Array, weight: Array | None = None, bias: Array | None = None) -> Array:
        grouped = x.reshape(x.shape[0], self.groups, int(np.prod(x.shape[1:])) // self.groups)
        y = _standardized(np, grouped, [2], self.eps).reshape(x.shape)
        y = y if weight is None else y * along_channels(weight, x)
        return y if bias is None else y + along_channels(bias, x)

    def lower(self, e: Emitter, x: Ref, weight: Ref | None = None, bias: Ref | None = None) -> Ref:
        shape, dtype = x.type.shape, x.type.dtype
        grouped = e.reshape(x, [shape[0], Dim.of(self.groups), product(shape[1:]) // self.groups])
        ones, zeros = (e.constant([number] * self.groups, dtype) for number in (1, 0))
        y = float_node(e, "InstanceNormalization", grouped, ones, zeros, epsilon=float(self.eps))
        y = e.reshape(y.typed(grouped.type), shape)
        for op_type, parameter in ("Mul", weight), ("Add", bias):
            if parameter is not None:
                y = e.node(op_type, y, unsqueezed(e, parameter, *range(1, x.type.rank - 1)))
        return y

    def gradient(
        self, g: Build, dy: Value, y: Value, x: Value, weight: Value | None = None, bias: Value | None = None
    ) -> dict[str, Value]:
        return _through_groups(g, dy, x, self.groups, weight, bias, self.eps)


def _through_groups(
    g: Build, dy: Value, x: Value, groups: int, weight: Value | None, bias: Value | None, eps: float
) -> dict[str, Value]:
    """Sums over the positions of each channel come first; of the rest only four products and sums are over all of
    `x`."""
    n, channels, *sizes = x.type.shape
    size, per_group = channels // groups, product(sizes)
    by_group, by_channel, small = [n, groups, size * per_group], [n, channels, per_group], [n, groups, size]
    normal, factors = g.all("standardize", g("reshape", x, shape=by_group), eps=eps)
    down = g("reshape", dy, shape=by_channel)
    along = g("sum", g("mul", down, g("reshape", normal, shape=by_channel)), axis=2)
    total = g("sum", down, axis=2)
    scale = g("expand", factors, shape=small)
    gradients = {"weight": g("sum", along, axis=0)} if weight else {}
    gradients |= {"bias": g("sum", total, axis=0)} if bias else {}
    parts = [g("reshape", v, shape=small) for v in (along, total)]
    if weight:
        weights = g("reshape", weight, shape=[groups, size])
        scale, *parts = (g("mul", v, weights) for v in (scale, *parts))
    count = g.size(size * per_group, x.type)
    on_normal, level = (g("div", g("mul", g("sum", v, axis=2, keepdims=True), factors), count) for v in parts)
    away = g("add", g("mul", normal, on_normal), level)
    scaled = g("mul", down, g("reshape", scale, shape=[n, channels, 1]))
    return {"x": g.like(g("sub", scaled, g("reshape", away, shape=by_channel)), x.type), **gradients}


class InstanceNorm(Rules, name="instance_norm", half="f32", mixes={"x": slice(2, None)}, steps_along=None):
    """Mean 0 and variance 1 over each channel of each sample, then scaled and shifted. ONNX InstanceNormalization.

    `x` is [n, channels, ...]; `weight` and `bias` are [channels].

        instance_norm(x: f32[n, 3, t], weight: f32[3], bias: f32[3]) -> f32[n, 3, t]
    """

    eps: float = 1e-5

    def infer(self, x: TensorType, weight: TensorType | None = None, bias: TensorType | None = None) -> TensorType:
        for_each_channel(x, {"weight": weight, "bias": bias})
        if x.rank < 3:
            raise OpError(f"`x` must be [n, channels, ...], but is {x}", argument="x")
        if x.shape[1].constant is None:
            raise OpError(f"the channels of {x} must be known when compiling", argument="x")
        return x

    def reference(self, np: NumPy, x: Array, weight: Array | None = None, bias: Array | None = None) -> Array:
        y = _standardized(np, x, range(2, x.ndim), self.eps)
        y = y if weight is None else y * along_channels(weight, x)
        return y if bias is None else y + along_channels(bias, x)

    def lower(self, e: Emitter, x: Ref, weight: Ref | None = None, bias: Ref | None = None) -> Ref:
        channels, dtype = x.type.shape[1].constant or 0, x.type.dtype
        scale = weight or e.constant([1] * channels, dtype)
        shift = bias or e.constant([0] * channels, dtype)
        return float_node(e, "InstanceNormalization", x, scale, shift, epsilon=float(self.eps))

    def gradient(
        self, g: Build, dy: Value, y: Value, x: Value, weight: Value | None = None, bias: Value | None = None
    ) -> dict[str, Value]:
        return _through_groups(g, dy, x, x.type.shape[1].constant or 1, weight, bias, self.eps)
