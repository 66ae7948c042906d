"""Pooling: a number for each window, or for each channel, of `[n, channels, ...]` with one to three spatial axes."""

from __future__ import annotations

from collections.abc import Sequence

from wsdl.ir.types import TensorType
from wsdl.ops._define import Array, Emitter, NumPy, OpError, Ref, operation
from wsdl.ops._lowering import float_node, squeezed
from wsdl.ops._rules import floating, image, per_axis
from wsdl.ops._windows import PerAxis, Window


def _window(x: TensorType, kernel: PerAxis, stride: PerAxis | None, pad: PerAxis, dilation: PerAxis = 1) -> Window:
    sizes = per_axis(kernel, image(x).rank - 2, "kernel", least=1)
    window = Window.of(sizes, sizes if stride is None else stride, pad, dilation)
    if any(2 * p > k for p, k in zip(window.pad, window.kernel, strict=True)):
        raise OpError("`pad` can be at most half of the kernel", argument="pad", code="E0414")
    return window


def _pooled(x: TensorType, window: Window, ceil: bool) -> TensorType:
    return x.with_shape((*x.shape[:2], *window.places(x, ceil=ceil)))


def _type_of(x: Array) -> TensorType:
    return TensorType.of("f32", x.shape)


def _over_kernel(x: Array) -> tuple[int, ...]:
    """The axes of the kernel among those of patches."""
    return tuple(range(1 + x.ndim // 2, x.ndim))


@operation
def max_pool(
    x: TensorType,
    kernel: int | list[int],
    stride: int | list[int] | None = None,
    pad: int | list[int] = 0,
    dilation: int | list[int] = 1,
    ceil: bool = False,
) -> TensorType:
    """The largest element of each window; windows lie side by side unless `stride` says how far apart. ONNX MaxPool.

    With `ceil` the last window may reach over the end.
    """
    return _pooled(floating(x), _window(x, kernel, stride, pad, dilation), ceil)


@max_pool.reference
def _(
    np: NumPy,
    x: Array,
    kernel: PerAxis,
    stride: PerAxis | None = None,
    pad: PerAxis = 0,
    dilation: PerAxis = 1,
    ceil: bool = False,
) -> Array:
    seen = _window(_type_of(x), kernel, stride, pad, dilation).patches(np, x, -np.inf, ceil=ceil, beyond=-np.inf)
    return seen.max(_over_kernel(seen))


@max_pool.lowering
def _(
    e: Emitter,
    x: Ref,
    kernel: PerAxis,
    stride: PerAxis | None = None,
    pad: PerAxis = 0,
    dilation: PerAxis = 1,
    ceil: bool = False,
) -> Ref:
    window = _window(x.type, kernel, stride, pad, dilation)
    beyond = window.beyond(x.type) if ceil else _none(window)
    if beyond is None:
        return float_node(e, "MaxPool", x, ceil_mode=1, **window.attributes)
    return float_node(e, "MaxPool", x, **{**window.attributes, "pads": _with_ends(window, beyond)})


@operation
def avg_pool(
    x: TensorType,
    kernel: int | list[int],
    stride: int | list[int] | None = None,
    pad: int | list[int] = 0,
    ceil: bool = False,
    count_include_pad: bool = True,
) -> TensorType:
    """The mean of each window; windows lie side by side unless `stride` says how far apart. ONNX AveragePool.

    With `ceil` the last window may reach over the end. Without `count_include_pad` padding doesn't count.
    """
    return _pooled(floating(x), _window(x, kernel, stride, pad), ceil)


@avg_pool.reference
def _(
    np: NumPy,
    x: Array,
    kernel: PerAxis,
    stride: PerAxis | None = None,
    pad: PerAxis = 0,
    ceil: bool = False,
    count_include_pad: bool = True,
) -> Array:
    window, inside = _window(_type_of(x), kernel, stride, pad), np.ones((1, 1, *x.shape[2:]))
    seen = window.patches(np, x, 0, ceil=ceil)
    counts = window.patches(np, inside, float(count_include_pad), ceil=ceil)
    return seen.sum(_over_kernel(seen)) / counts.sum(_over_kernel(seen))


@avg_pool.lowering
def _(
    e: Emitter,
    x: Ref,
    kernel: PerAxis,
    stride: PerAxis | None = None,
    pad: PerAxis = 0,
    ceil: bool = False,
    count_include_pad: bool = True,
) -> Ref:
    window = _window(x.type, kernel, stride, pad)
    beyond = window.beyond(x.type) if ceil else _none(window)
    counted = int(count_include_pad)
    if beyond is None:
        return float_node(e, "AveragePool", x, ceil_mode=1, count_include_pad=counted, **window.attributes)
    pads = _with_ends(window, beyond)
    if count_include_pad and any(
        beyond
    ):  # the padding counts, but what lies behind it doesn't: they need two operators
        around = [0, 0, *window.pad, 0, 0, *window.pad]
        x = e.node("Pad", x, e.constant(around, "i64")).typed(x.type) if any(around) else x
        pads, counted = [*_none(window), *beyond], 0
    return float_node(e, "AveragePool", x, count_include_pad=counted, **{**window.attributes, "pads": pads})


def _none(window: Window) -> list[int]:
    return [0] * len(window.kernel)


def _with_ends(window: Window, beyond: Sequence[int]) -> list[int]:
    """ONNX's `pads` for windows that reach over the end.

    Not `ceil_mode`, where a size is known: runtimes don't agree on when the last window is dropped.
    """
    return [*window.pad, *(pad + more for pad, more in zip(window.pad, beyond, strict=True))]


@operation
def global_avg_pool(x: TensorType, keepdims: bool = False) -> TensorType:
    """The mean of each channel: `[n, channels]`, or with `keepdims` spatial axes of size 1. ONNX GlobalAveragePool."""
    ones = [1] * (image(floating(x)).rank - 2)
    return x.with_shape([*x.shape[:2], *(ones if keepdims else [])])


@global_avg_pool.reference
def _(np: NumPy, x: Array, keepdims: bool = False) -> Array:
    return np.mean(x, axis=tuple(range(2, x.ndim)), keepdims=keepdims)


@global_avg_pool.lowering
def _(e: Emitter, x: Ref, keepdims: bool = False) -> Ref:
    means = float_node(e, "GlobalAveragePool", x)
    return means if keepdims else squeezed(e, means, *range(2, x.type.rank))


@operation
def adaptive_avg_pool(x: TensorType, size: int | list[int]) -> TensorType:
    """The mean of each of `size` equal windows along each spatial axis. ONNX AveragePool, GlobalAveragePool for 1.

    The sizes of `x` must be multiples of `size`.
    """
    return x.with_shape([*x.shape[:2], *_adapted(floating(x), size)[0]])


@adaptive_avg_pool.reference
def _(np: NumPy, x: Array, size: PerAxis) -> Array:
    _, kernel = _adapted(_type_of(x), size)
    seen = Window.of(kernel, kernel).patches(np, x, 0)
    return seen.mean(_over_kernel(seen))


@adaptive_avg_pool.lowering
def _(e: Emitter, x: Ref, size: PerAxis) -> Ref:
    sizes, kernel = _adapted(x.type, size)
    if max(sizes) == 1:
        return float_node(e, "GlobalAveragePool", x)
    return float_node(e, "AveragePool", x, kernel_shape=kernel, strides=kernel)


def _adapted(x: TensorType, size: PerAxis) -> tuple[list[int], list[int]]:
    """The size of the result and that of a window along each spatial axis."""
    sizes = per_axis(size, image(x).rank - 2, "size", least=1)
    kernel = []
    for axis, wanted in enumerate(sizes, 2):
        known = x.shape[axis].constant
        if max(sizes) > 1 and (known is None or known % wanted):
            has = "is known at run time only" if known is None else f"has {known} elements"
            help = f"`resize` to a multiple of {wanted} first, or use `avg_pool`"
            raise OpError(f"axis {axis} of {x} {has}: no {wanted} equal windows", argument="size", help=help)
        kernel.append((known or 1) // wanted)
    return sizes, kernel
