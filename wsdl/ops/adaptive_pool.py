"""Pooling to a given size: windows of about equal sizes that cover all of `[n, channels, ...]`."""

from __future__ import annotations

from math import prod

from wsdl.ir.dims import Dim, product, same
from wsdl.ir.graph import Value
from wsdl.ir.types import TensorType
from wsdl.ops._define import Rules
from wsdl.ops._errors import OpError
from wsdl.ops._interfaces import Array, Emitter, NumPy, Ref
from wsdl.ops._lowering import float_node
from wsdl.ops._rules import floating, for_each, image
from wsdl.ops.build import Build
from wsdl.ops.pool import spread_everywhere
from wsdl.ops.resize_matrix import changed, emitted_matrix, multiplications, multiplied, resize_matrix, spread_back


class _Adaptive(Rules):
    """Base of both."""

    size: Dim | list[Dim]

    def infer(self, x: TensorType) -> TensorType:
        sizes = [Dim.of(size) for size in for_each(self.size, image(floating(x)).rank - 2, "size")]
        for size in sizes:
            if size.constant is not None and size.constant < 1:
                raise OpError(f"`size` must be at least 1, but is {size}", argument="size", code="E0414")
        return x.with_shape([*x.shape[:2], *sizes])


class AdaptiveAvgPool(
    _Adaptive,
    name="adaptive_avg_pool",
    half="f32",
    mixes={"x": slice(2, None), "result": slice(2, None)},
    steps_along=None,
):
    """The mean of each of `size` windows along each spatial axis, whatever its size. ONNX AveragePool, or MatMul.

    Window i of an axis of t elements goes from element `i * t // size` up to, rounded up, `(i + 1) * t / size`: where
    `size` doesn't divide t, windows differ in size by one and overlap. PyTorch's `adaptive_avg_pool`.

        adaptive_avg_pool(x: f32[n, 3, t, s], size=7) -> f32[n, 3, 7, 7]
    """

    def reference(self, np: NumPy, x: Array) -> Array:
        for axis, size in enumerate(for_each(self.size, x.ndim - 2, "size"), 2):
            x = np.moveaxis(np.moveaxis(x, axis, -1) @ resize_matrix(np, "area", x.shape[axis], size, None), -1, axis)
        return x

    def lower(self, e: Emitter, x: Ref) -> Ref:
        return averaged(e, x, e.results[0])

    def gradient(self, g: Build, dy: Value, y: Value, x: Value) -> dict[str, Value]:
        return {"x": averages_spread(g, dy, x.type)}

    def macs(self, y: TensorType, x: TensorType) -> Dim:
        return averaging(x, y)


def averaged(e: Emitter, x: Ref, y: TensorType) -> Ref:
    """The means of the windows of `x`: one operator where they have one size, or a matrix product for each axis."""
    if all(same(size, 1) for size in y.shape[2:]):
        return float_node(e, "GlobalAveragePool", x)
    if (kernel := _one_size(x.type, y)) is not None:
        return float_node(e, "AveragePool", x, kernel_shape=kernel, strides=kernel)
    for axis in changed(x.type, y, [None] * (y.rank - 2)):
        old, new = x.type.shape[axis], y.shape[axis]
        x = multiplied(e, x, emitted_matrix(e, "area", old, new, None, y.dtype), axis, new)
    return x


def averaging(x: TensorType, y: TensorType) -> Dim:
    """The number of multiply-accumulates of its matrix products."""
    one_operator = all(same(size, 1) for size in y.shape[2:]) or _one_size(x, y) is not None
    return Dim.of(0) if one_operator else multiplications(x, y, [None] * (y.rank - 2))


def averages_spread(g: Build, dy: Value, x: TensorType) -> Value:
    """The gradient: of each mean, distributed equally over its window."""
    if all(same(size, 1) for size in dy.type.shape[2:]):
        return spread_everywhere(g, dy, x)
    if (kernel := _one_size(x, dy.type)) is not None:
        return g("resize", g("div", dy, prod(kernel)), scale=[float(k) for k in kernel])
    for axis in changed(x, dy.type, [None] * (x.rank - 2)):
        matrix = g("resize_matrix", old=x.shape[axis], new=dy.type.shape[axis], mode="area", dtype=x.dtype)
        dy = spread_back(g, dy, matrix, axis)
    return dy


def _one_size(x: TensorType, y: TensorType) -> list[int] | None:
    """The size of the windows along each axis, where it is known and the same for all windows."""
    pairs = [(old.constant, new.constant) for old, new in zip(x.shape[2:], y.shape[2:], strict=True)]
    if any(not old or not new or old % new for old, new in pairs):
        return None
    return [old // new for old, new in pairs if old and new]


class AdaptiveMaxPool(
    _Adaptive, name="adaptive_max_pool", half="expanded", mixes={"x": slice(2, None), "result": slice(2, None)}
):
    """The largest element of each of `size` windows along each spatial axis. ONNX MaxPool, or Gather and ArgMax.

    The windows are those of `adaptive_avg_pool`. PyTorch's `adaptive_max_pool`; the gradient goes to the first of the
    largest elements.

        adaptive_max_pool(x: f32[n, 3, t, s], size=7) -> f32[n, 3, 7, 7]
    """

    def expand(self, b: Build, x: Value) -> Value:
        y, axes = self.infer(x.type), range(2, x.type.rank)
        if (kernel := _one_size(x.type, y)) is not None:
            return b("max_pool", x, kernel=kernel)
        windows = x
        for axis in reversed(axes):
            windows = b("gather", windows, _elements(b, x.type.shape[axis], y.shape[axis]), axis=axis)
        order = [0, 1, *(2 * a - 2 for a in axes), *(2 * a - 1 for a in axes)]
        each = b("reshape", b("permute", windows, axes=order), shape=[*y.shape, product(windows.type.shape[3::2])])
        at = b("argmax", each, axis=-1, keepdims=True)
        return b("squeeze", b("take_along", each, at, axis=-1), axis=-1)


def _elements(b: Build, old: Dim, new: Dim) -> Value:
    """The elements of each window along an axis, i64[new, most]; shorter windows repeat their last one."""
    most = (old + (new - 1)) // new + 1
    targets = b("unsqueeze", b("arange", start=new), axis=1)

    def number(size: Dim) -> Value:
        return b.number_of(size, targets.type)

    starts = b("floordiv", b("mul", targets, number(old)), number(new))
    ends = b("mul", b("add", targets, number(Dim.of(1))), number(old))
    last = b("floordiv", b("sub", ends, number(Dim.of(1))), number(new))
    return b("minimum", b("add", starts, b("arange", start=most)), last)
