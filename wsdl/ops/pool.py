"""Pooling over windows, or over whole channels, of `[n, channels, ...]` with one to three spatial axes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import inf, prod
from typing import Any

from wsdl.ir.dims import Dim, product
from wsdl.ir.graph import Value
from wsdl.ir.types import TensorType, same_shape
from wsdl.ops._define import Rules
from wsdl.ops._errors import OpError
from wsdl.ops._interfaces import Array, Emitter, NumPy, Ref
from wsdl.ops._lowering import cast_to, float_node, squeezed
from wsdl.ops._rules import floating, image, per_axis
from wsdl.ops._windows import PerAxis, Window
from wsdl.ops.build import Build
from wsdl.ops.conv_gradients import cut, windows_added
from wsdl.ops.same_padding import numbers, padded_explicitly


class _Pool(Rules):
    """Base of operations on windows: `stride` is the distance between them, by default the size of the kernel."""

    kernel: int | list[int]
    stride: int | list[int] | None = None
    pad: int | list[int] | list[list[int]] | str = 0

    def window(self, x: TensorType, dilation: PerAxis = 1) -> Window:
        kernel = per_axis(self.kernel, image(x).rank - 2, "kernel", least=1)
        window = Window.of(kernel, kernel if self.stride is None else self.stride, self.pad, dilation)
        if any(2 * p > k for p, k in zip(window.before + window.behind, window.kernel * 2, strict=True)):
            raise OpError("`pad` can be at most half the kernel", argument="pad", code="E0414")
        return window


class _DilatedPool(_Pool):
    """Base of those whose windows may have gaps."""

    dilation: int | list[int] = 1
    ceil: bool = False

    def window(self, x: TensorType, dilation: PerAxis = 1) -> Window:
        return super().window(x, self.dilation)

    def attributes(self, x: TensorType) -> dict[str, Any]:
        """Those of ONNX MaxPool."""
        window = self.window(x)
        beyond = window.beyond(x) if self.ceil else _none(window)
        if beyond is None:
            return {"ceil_mode": 1, **window.attributes}
        return {**window.attributes, "pads": _with_ends(window, beyond)}


def _pooled(x: TensorType, window: Window, ceil: bool) -> TensorType:
    return x.with_shape((*x.shape[:2], *window.places(x, ceil=ceil)))


def _type_of(x: Array) -> TensorType:
    return TensorType.of("f32", x.shape)


def _over_kernel(x: Array) -> tuple[int, ...]:
    """The axes of the kernel among those of patches."""
    return tuple(range(1 + x.ndim // 2, x.ndim))


class MaxPool(_DilatedPool, name="max_pool", half="moves", mixes={"x": slice(2, None)}, steps_along=None):
    """The largest element of each window; `stride` is the distance between windows, by default `kernel`. ONNX MaxPool.

    With `ceil` the last window may reach over the end. `pad` has the forms of [`conv2d`](conv.md#conv2d), also
    `"same"`.

        max_pool(x: f32[n, 3, 32, 32], kernel=2) -> f32[n, 3, 16, 16]
    """

    def infer(self, x: TensorType) -> TensorType:
        return _pooled(floating(x), self.window(x), self.ceil)

    def expand(self, b: Build, x: Value) -> Value | None:
        window = self.window(x.type)
        return padded_explicitly(b, self, window, x, fill=-inf, most=[k // 2 for k in window.kernel])

    def reference(self, np: NumPy, x: Array) -> Array:
        windows = self.window(_type_of(x)).patches(np, x, -np.inf, ceil=self.ceil, beyond=-np.inf)
        return windows.max(_over_kernel(windows))

    def lower(self, e: Emitter, x: Ref) -> Ref:
        return float_node(e, "MaxPool", x, **self.attributes(x.type))

    def gradient(self, g: Build, dy: Value, y: Value, x: Value) -> dict[str, Value]:
        """All of it goes to the first of the largest elements, as in PyTorch.

        Windows that don't overlap need no indices: comparing `x` with the results, repeated over the windows, takes
        half the time.
        """
        window = self.window(x.type)
        if not _side_by_side(window, x.type, self.ceil):
            arguments = {"kernel": window.kernel, "ceil": self.ceil, **window.arguments}
            return {"x": g("max_unpool", dy, g("max_pool_indices", x, **arguments), shape=list(x.type.shape))}
        count = prod(window.kernel)
        falling = [float(count - i) for i in range(count)]  # the first counts most
        order = g("constant", value=falling, dtype=x.type.dtype)
        order = g("tile", g("reshape", order, shape=[1, 1, *window.kernel]), repeats=[1, 1, *y.type.shape[2:]])
        spread_y = _spread(g, y, window)
        largest = g("mul", g.mask(g("equal", cut(g, x, spread_y.type), spread_y), x.type), order)
        first = g("equal", largest, _spread(g, g("max_pool", largest, kernel=window.kernel), window))
        return {"x": _with_rest(g, g("mul", _spread(g, dy, window), g.mask(first, x.type)), x.type)}


class MaxPoolIndices(
    _DilatedPool,
    name="max_pool_indices",
    internal=True,
    half="moves",
    mixes={"x": slice(None)},  # indices are those of the flattened `x`
    steps_along=None,
    no_gradient="it returns indices",
):
    """The index in flattened `x` of the largest element of each window, of the first if tied. ONNX MaxPool."""

    def infer(self, x: TensorType) -> TensorType:
        return _pooled(floating(x), self.window(x), self.ceil).with_dtype("i64")

    def reference(self, np: NumPy, x: Array) -> Array:
        window, places = self.window(_type_of(x)), np.arange(x.size).reshape(x.shape)
        windows = window.patches(np, np.maximum(x, np.finfo(x.dtype).min), -np.inf, ceil=self.ceil, beyond=-np.inf)
        flat = [*windows.shape[: x.ndim], prod(window.kernel)]
        largest = windows.reshape(flat).argmax(-1)[..., None]
        return np.take_along_axis(window.patches(np, places, 0, ceil=self.ceil).reshape(flat), largest, -1)[..., 0]

    def lower(self, e: Emitter, x: Ref) -> Ref:
        wide = cast_to(e, x, "f32") if x.type.dtype == "bf16" and e.opset < 22 else x
        return e.nodes("MaxPool", wide, outputs=2, **self.attributes(x.type))[1]


class MaxUnpool(
    Rules,
    name="max_unpool",
    internal=True,
    half="moves",
    mixes={"x": slice(None), "indices": slice(None)},
    steps_along=None,
    integer_operands=["indices"],
):
    """Zeros with each element of `x` added at its index in the flattened result. ONNX ScatterElements.

    `indices` has the shape of `x`; those of `max_pool_indices` undo the pooling.
    """

    shape: list[Dim]

    def infer(self, x: TensorType, indices: TensorType) -> TensorType:
        if not same_shape(floating(x).shape, indices.shape):
            raise OpError(f"`indices` must have the shape of {x}, but is {indices}", argument="indices")
        return x.with_shape(self.shape)

    def reference(self, np: NumPy, x: Array, indices: Array) -> Array:
        y = np.zeros(self.shape, x.dtype)
        np.add.at(y.reshape(-1), indices.reshape(-1), x.reshape(-1))
        return y

    def lower(self, e: Emitter, x: Ref, indices: Ref) -> Ref:
        count, places = e.results[0].elements, e.reshape(indices, [x.type.elements])

        def compute(x: Ref) -> Ref:
            zeros = e.node("Expand", e.constant(0, x.type.dtype), e.dims([count]))
            return e.node("ScatterElements", zeros, places, e.reshape(x, [x.type.elements]), axis=0, reduction="add")

        y = _in_f32(e, compute, x)
        return e.reshape(y.typed(x.type.with_shape([count])), e.results[0].shape)

    def gradient(self, g: Build, dy: Value, y: Value, x: Value, indices: Value) -> dict[str, Value]:
        return {"x": g("gather", g("reshape", dy, shape=[dy.type.elements]), indices)}


def _in_f32(e: Emitter, compute: Callable[[Ref], Ref], x: Ref) -> Ref:
    """In f32 where floats have 16 bits: ONNX Runtime can't add those at indices."""
    if x.type.dtype not in ("f16", "bf16"):
        return compute(x)
    return cast_to(e, compute(cast_to(e, x, "f32").typed(x.type.with_dtype("f32"))), x.type.dtype)


class AvgPool(_Pool, name="avg_pool", half="f32", mixes={"x": slice(2, None)}, steps_along=None):
    """The mean of each window; `stride` is the distance between windows, by default `kernel`. ONNX AveragePool.

    With `ceil` the last window may reach over the end. `pad` has the forms of [`conv2d`](conv.md#conv2d), also
    `"same"`. Without `count_include_pad` padding doesn't count, as in Keras.

        avg_pool(x: f32[n, 3, 32, 32], kernel=2) -> f32[n, 3, 16, 16]
    """

    ceil: bool = False
    count_include_pad: bool = True

    def infer(self, x: TensorType) -> TensorType:
        return _pooled(floating(x), self.window(x), self.ceil)

    def expand(self, b: Build, x: Value) -> Value | None:
        window = self.window(x.type)
        y = padded_explicitly(b, self, window, x)
        if y is None or self.count_include_pad or numbers(window.same_padding(x.type)):
            return y
        inside = b("ones", shape=[1, 1, *x.type.shape[2:]], dtype=x.type.dtype)
        return b("div", y, b("avg_pool", inside, **{**vars(self), "count_include_pad": True}))

    def reference(self, np: NumPy, x: Array) -> Array:
        window, inside = self.window(_type_of(x)), np.ones((1, 1, *x.shape[2:]))
        windows = window.patches(np, x, 0, ceil=self.ceil)
        counts = window.patches(np, inside, float(self.count_include_pad), ceil=self.ceil)
        return windows.sum(_over_kernel(windows)) / counts.sum(_over_kernel(windows))

    def lower(self, e: Emitter, x: Ref) -> Ref:
        window = self.window(x.type)
        beyond = window.beyond(x.type) if self.ceil else _none(window)
        counted = int(self.count_include_pad)
        if beyond is None:
            return float_node(e, "AveragePool", x, ceil_mode=1, count_include_pad=counted, **window.attributes)
        pads = _with_ends(window, beyond)
        # The padding counts, but elements past it don't: that takes two operators.
        if self.count_include_pad and any(beyond):
            around = [0, 0, *window.before, 0, 0, *window.behind]
            x = e.node("Pad", x, e.constant(around, "i64")).typed(x.type) if any(around) else x
            pads, counted = [*_none(window), *beyond], 0
        return float_node(e, "AveragePool", x, count_include_pad=counted, **{**window.attributes, "pads": pads})

    def gradient(self, g: Build, dy: Value, y: Value, x: Value) -> dict[str, Value]:
        window, dtype = self.window(x.type), x.type.dtype
        count = prod(window.kernel)
        if _side_by_side(window, x.type, self.ceil):
            return {"x": _with_rest(g, _spread(g, g("div", dy, count), window), x.type)}
        if self.ceil or (window.is_padded and not self.count_include_pad):
            dy, count = g("div", dy, _counts(g, x.type, dy.type, window, self.ceil, self.count_include_pad)), 1
        n, channels, *sizes = x.type.shape
        weight = g("full", shape=[1, 1, *window.kernel], value=1 / count, dtype=dtype)
        each = g("reshape", dy, shape=[n * channels, 1, *dy.type.shape[2:]])  # each channel as a sample
        added = windows_added(g, each, weight, x.type.with_shape([n * channels, 1, *sizes]), window)
        return {"x": g("reshape", added, shape=list(x.type.shape))}


def _counts(g: Build, x: TensorType, y: TensorType, window: Window, ceil: bool, count_include_pad: bool) -> Value:
    """How many elements count in each window, [1, 1, ...]."""
    inside = g("ones", shape=[1, 1, *x.shape[2:]], dtype=x.dtype)
    around = [[0, 0], [0, 0], *map(list, zip(window.before, window.behind, strict=True))]
    inside = g("pad", inside, widths=around, value=float(count_include_pad))
    if ceil:
        inside = g("pad", inside, widths=[[0, 0], [0, 0], *([0, s - 1] for s in window.stride)])
    ones = g("ones", shape=[1, 1, *window.kernel], dtype=x.dtype)
    return cut(g, g(f"conv{len(window.kernel)}d", inside, ones, stride=window.stride), y)


def _none(window: Window) -> list[int]:
    return [0] * len(window.kernel)


def _with_ends(window: Window, beyond: Sequence[int]) -> list[int]:
    """ONNX's `pads` for windows that extend past the end.

    Not `ceil_mode`, where a size is known: runtimes don't agree on when the last window is dropped.
    """
    return [*window.before, *(pad + more for pad, more in zip(window.behind, beyond, strict=True))]


def _side_by_side(window: Window, x: TensorType, ceil: bool) -> bool:
    """Does each element belong to at most one window, and do all windows lie within `x`?"""
    if window.stride != window.kernel or window.is_padded or max(window.dilation) > 1:
        return False
    return not ceil or all((d % k).constant == 0 for d, k in zip(x.shape[2:], window.kernel, strict=True))


def _spread(g: Build, y: Value, window: Window) -> Value:
    """Each element repeated over its window, for windows that don't overlap."""
    return g("resize", y, scale=[float(k) for k in window.kernel])


def _with_rest(g: Build, x: Value, type: TensorType) -> Value:
    """With zeros after the last window."""
    if same_shape(x.type.shape, type.shape):
        return x
    return g("pad", x, widths=[[0, size - now] for size, now in zip(type.shape, x.type.shape, strict=True)])


class GlobalAvgPool(Rules, name="global_avg_pool", half="f32", mixes={"x": slice(2, None)}, steps_along=None):
    """The mean of each channel: `[n, channels]`, or with `keepdims` spatial axes of size 1. ONNX GlobalAveragePool.

    global_avg_pool(x: f32[n, 3, t, s]) -> f32[n, 3]
    """

    keepdims: bool = False

    def infer(self, x: TensorType) -> TensorType:
        ones = [1] * (image(floating(x)).rank - 2)
        return x.with_shape([*x.shape[:2], *(ones if self.keepdims else [])])

    def reference(self, np: NumPy, x: Array) -> Array:
        return np.mean(x, axis=tuple(range(2, x.ndim)), keepdims=self.keepdims)

    def lower(self, e: Emitter, x: Ref) -> Ref:
        means = float_node(e, "GlobalAveragePool", x)
        return means if self.keepdims else squeezed(e, means, *range(2, x.type.rank))

    def gradient(self, g: Build, dy: Value, y: Value, x: Value) -> dict[str, Value]:
        return {"x": spread_everywhere(g, dy, x.type)}


def spread_everywhere(g: Build, dy: Value, x: TensorType) -> Value:
    """Distributed equally over all elements of a channel."""
    share = g("div", dy, g.size(product(x.shape[2:]), x))
    return g("expand", g.like(share, x.with_shape([*x.shape[:2], *[1] * (x.rank - 2)])), shape=list(x.shape))
