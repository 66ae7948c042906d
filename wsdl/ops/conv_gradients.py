"""Gradients of convolutions: of the image by the transpose, of the weight by products with windows."""

from __future__ import annotations

from functools import partial
from itertools import product as combinations
from math import prod

from wsdl.ir.dims import Dim, product
from wsdl.ir.graph import Value
from wsdl.ir.types import TensorType, same_shape
from wsdl.ops._define import Rules
from wsdl.ops._errors import OpError
from wsdl.ops._interfaces import Array, Emitter, NumPy, Ref
from wsdl.ops._lowering import axes_tensor, size_of, unsqueezed
from wsdl.ops._rules import agreed, floating, image, same_dtype
from wsdl.ops._windows import Window
from wsdl.ops.blocked import blocked_weight_gradient, fits_weight_gradient
from wsdl.ops.build import Build

FEW_CHANNELS = 16  # below, a product with the channels of one element of the kernel is too narrow to be fast
FEW_COLUMNS = 32  # up to here all elements of the kernel make one product
FEW_PLACES = 64  # up to here a product for each sample is too small to be fast

# -- helpers of rules --------------------------------------------------------------------------------------------------


def windows_added(g: Build, dy: Value, weight: Value, x: TensorType, window: Window, groups: int = 1) -> Value:
    """Each element of `dy` times `weight`, added to where its window lies in `x`: the transpose of a convolution.

    Elements after the last window get zeros; where a size is known at run time only, as many as there can be.
    """
    axes = len(window.kernel)
    if axes == groups == 1 == window.stride[0] and max(window.before + window.behind) < window.spans[0]:
        # a convolution is faster there
        flipped = g("permute", g("flip", weight, axis=2), axes=[1, 0, 2])
        return g("conv1d", dy, flipped, pad=window.around.pad, dilation=window.dilation[0])
    left = [_behind_last(window, i, dy.type.shape[i + 2], x.shape[i + 2]) for i in range(len(window.kernel))]
    more = [step - 1 if rest is None else max(0, rest) for rest, step in zip(left, window.stride, strict=True)]
    name = f"conv_transpose{axes}d"
    return cut(g, g(name, dy, weight, output_pad=more, groups=groups, **window.arguments), x)


def windows_weighed(g: Build, x: Value, weight: Value, y: TensorType, window: Window, groups: int = 1) -> Value:
    """The convolution of `x`, in as many places as `y` has."""
    return cut(g, g(f"conv{len(window.kernel)}d", x, weight, groups=groups, **window.arguments), y)


def cut(g: Build, x: Value, type: TensorType) -> Value:
    """The first elements of `x` along its spatial axes, as many as `type` has."""
    axes = [a for a in range(2, type.rank) if not same_shape(x.type.shape[a : a + 1], type.shape[a : a + 1])]
    if not axes:
        return x
    return g("slice", x, starts=[0] * len(axes), stops=[type.shape[a] for a in axes], axes=axes)


def _behind_last(window: Window, axis: int, places: Dim, size: Dim) -> int | None:
    """How many elements at the end of the padded axis no window covers; negative where the last one extends past it."""
    reach = (places - 1) * window.stride[axis] + window.spans[axis]
    return (size + (window.before[axis] + window.behind[axis]) - reach).constant


# -- the gradient of the weight ----------------------------------------------------------------------------------------


class ConvWeightGradient(
    Rules,
    name="conv_weight_gradient",
    internal=True,
    half="f16",
    mixes={"x": slice(None), "upstream": slice(None)},
    steps_along=None,
):
    """The gradient of a convolution's weight, from its `x` and the gradient of its result. ONNX Slice and MatMul.

    `x` is [n, channels, ...], `upstream` is [n, out, ...], the result [out, channels // groups, *kernel].
    """

    kernel: list[int]
    stride: int | list[int] = 1
    pad: int | list[int] | list[list[int]] = 0
    dilation: int | list[int] = 1
    groups: int = 1

    @property
    def window(self) -> Window:
        return Window.of(self.kernel, self.stride, self.pad, self.dilation)

    def infer(self, x: TensorType, upstream: TensorType) -> TensorType:
        axes = image(floating(x)).rank - 2
        same_dtype("upstream", x, upstream)
        if upstream.rank != x.rank or len(self.kernel) != axes:
            raise OpError(f"{x}, {upstream} and a kernel of {len(self.kernel)} axes don't match", argument="upstream")
        agreed(x.shape[0], upstream.shape[0], f"{x} and {upstream} must have the same number of samples", "upstream")
        places = self.window.places(x)
        for most, count in zip(places, upstream.shape[2:], strict=True):
            if ((more := (count - most).constant) or 0) > 0:
                raise OpError(f"{upstream} has {more} more positions than {x} has windows", argument="upstream")
        return x.with_shape((upstream.shape[1], x.shape[1] // self.groups, *self.kernel))

    def macs(self, y: TensorType, x: TensorType, upstream: TensorType) -> Dim:
        return upstream.elements * product(y.shape[1:])

    def reference(self, np: NumPy, x: Array, upstream: Array) -> Array:
        axes = len(self.kernel)
        seen = self.window.patches(np, x, 0)
        seen = seen[tuple([slice(None)] * 2 + [slice(count) for count in upstream.shape[2:]])]
        each = [0, *range(2, 2 + axes)]  # samples and places
        parts = zip(np.split(upstream, self.groups, 1), np.split(seen, self.groups, 1), strict=True)
        return np.concatenate([np.tensordot(dy, patches, (each, each)) for dy, patches in parts])

    def lower(self, e: Emitter, x: Ref, upstream: Ref) -> Ref:
        """One product for each element of the kernel, with the channels last; for few channels several at once. Where
        there is a blocked layout and samples for half a block, which only the run may know, a convolution in it.

        Measured in docs/measurements/convolution-gradients.md.
        """
        if self.groups == 1 and _sees_all(self.window, x.type):
            return _product_of_all(e, x, upstream)
        if not fits_weight_gradient(e, x.type, upstream.type, self.window, self.groups):
            return self._products(e, x, upstream)
        few, blocked = 2 * x.type.shape[0], partial(blocked_weight_gradient, e, x, upstream, self.window)
        if few.constant is not None:
            return self._products(e, x, upstream) if few.constant <= e.block else blocked()
        are_few = e.node("LessOrEqual", size_of(e, few), e.constant(e.block, "i64"))
        return e.either(are_few, lambda: self._products(e, x, upstream), blocked)

    def _products(self, e: Emitter, x: Ref, upstream: Ref) -> Ref:
        products = _Products(e, self.window, x, upstream, self.groups)
        channels, out = (t.type.shape[1].constant or 0 for t in (x, upstream))
        if channels == out == self.groups:
            parts = products.by_channels()
        elif 0 < channels // self.groups < FEW_CHANNELS:
            parts = products.by_columns(channels // self.groups)
        elif self.groups == 1 and (len(self.kernel) == 1 or 0 < (product(products.places).constant or 0) <= FEW_PLACES):
            parts = products.by_all_samples()
        else:
            parts = products.by_elements()
        whole = parts[0] if len(parts) == 1 else e.node("Concat", *parts, axis=3)
        rows, per_group, *elements = e.results[0].shape
        return e.reshape(
            whole.typed(x.type.with_shape([self.groups, rows // self.groups, per_group, product(elements)])),
            e.results[0].shape,
        )

    def gradient(self, g: Build, dy: Value, y: Value, x: Value, upstream: Value) -> dict[str, Value]:
        return {
            "x": windows_added(g, upstream, dy, x.type, self.window, self.groups),
            "upstream": windows_weighed(g, x, dy, upstream.type, self.window, self.groups),
        }


def _sees_all(window: Window, x: TensorType) -> bool:
    """Does the kernel cover all of `x`, in a single window?"""
    sizes = [dim.constant for dim in x.shape[2:]]
    return not window.is_padded and set(window.dilation) == {1} and sizes == list(window.kernel)


def _product_of_all(e: Emitter, x: Ref, upstream: Ref) -> Ref:
    """One product over the samples: such a convolution is a matrix product."""
    result = e.results[0].shape
    rows, columns = (x.type.shape[0], result[0]), (x.type.shape[0], product(result[1:]))
    whole = e.node("Gemm", e.reshape(upstream, rows), e.reshape(x, columns), transA=1)
    return e.reshape(whole.typed(x.type.with_shape((result[0], columns[1]))), result)


class _Products:
    """The products of a gradient with the windows, each [groups, out, channels, elements of the kernel]."""

    def __init__(self, e: Emitter, window: Window, x: Ref, upstream: Ref, groups: int) -> None:
        self.e, self.window, self.x, self.upstream = e, window, x, upstream
        n, out, *self.places = upstream.type.shape
        self.sizes = x.type.shape[2:]
        self.grouped = [n, Dim.of(groups), x.type.shape[1] // groups]
        self.rows = [n, Dim.of(groups), out // groups, product(self.places)]

    def by_channels(self) -> list[Ref]:
        """For one channel in each group: a sum over all but the channels, which are last."""
        e, axes = self.e, len(self.sizes)
        x, dy = (e.node("Transpose", t, perm=[0, *range(2, 2 + axes), 1]) for t in (self.x, self.upstream))
        x = self._padded(x, first=1, rank=2 + axes)
        parts = []
        for offset in combinations(*map(range, self.window.kernel)):
            products = e.node("Mul", self._slice(x, dict(enumerate(offset)), first=1), dy)
            total = e.node("ReduceSum", products, axes_tensor(e, range(1 + axes)), keepdims=0)
            parts.append(unsqueezed(e, total, 1, 2, 3))
        return parts

    def by_elements(self) -> list[Ref]:
        """With `x` as [n, groups, ..., channels]."""
        e, axes = self.e, len(self.sizes)
        x = e.reshape(self.x, [*self.grouped, *self.sizes])
        x = self._padded(e.node("Transpose", x, perm=[0, 1, *range(3, 3 + axes), 2]), first=2, rank=3 + axes)
        shape = [*self.grouped[:2], *self.places, self.grouped[2]]
        flat = [*self.grouped[:2], product(self.places), self.grouped[2]]
        parts = []
        for offset in combinations(*map(range, self.window.kernel)):
            window = self._slice(x, dict(enumerate(offset)), first=2).typed(self.x.type.with_shape(shape))
            parts.append(unsqueezed(e, self._summed(e.reshape(window, flat)), 3))
        return parts

    def by_all_samples(self) -> list[Ref]:
        """With `x` as [n, ..., channels] and the samples and positions of both in one axis."""
        e, axes, shape = self.e, len(self.sizes), self.x.type.shape
        x = e.node("Transpose", self.x, perm=[0, *range(2, 2 + axes), 1])
        x = self._padded(x, first=1, rank=2 + axes)
        window_shape, upstream = [shape[0], *self.places, shape[1]], self.upstream.type
        count = shape[0] * product(self.places)
        rows = e.node("Transpose", self.upstream, perm=[1, 0, *range(2, 2 + axes)])
        rows = e.reshape(
            rows.typed(upstream.with_shape([upstream.shape[1], shape[0], *self.places])), [upstream.shape[1], count]
        )
        parts = []
        for offset in combinations(*map(range, self.window.kernel)):
            window = self._slice(x, dict(enumerate(offset)), first=1).typed(self.x.type.with_shape(window_shape))
            parts.append(unsqueezed(e, e.node("MatMul", rows, e.reshape(window, [count, shape[1]])), 0, 3))
        return parts

    def by_columns(self, channels: int) -> list[Ref]:
        """With `x` as [n, groups, channels, elements, ...]: those of the last axis, or all that the kernel has."""
        e, kernel = self.e, self.window.kernel
        first = 0 if channels * prod(kernel) <= FEW_COLUMNS else len(kernel) - 1
        x = self._padded(e.reshape(self.x, [*self.grouped, *self.sizes]), first=3, rank=3 + len(kernel))
        inner = combinations(*map(range, kernel[first:]))
        windows = [unsqueezed(e, self._slice(x, dict(enumerate(offset, first)), first=3), 3) for offset in inner]
        stacked = windows[0] if len(windows) == 1 else e.node("Concat", *windows, axis=3)
        flat = [*self.grouped[:2], Dim.of(channels * len(windows)), product(self.places)]
        window_type = self.x.type.with_shape([*self.rows[1:3], channels * len(windows)])
        parts = []
        for offset in combinations(*map(range, kernel[:first])):
            part = self._slice(stacked, dict(enumerate(offset)), first=4) if offset else stacked
            part = part.typed(self.x.type.with_shape([*self.grouped, len(windows), *self.places]))
            turned = e.node("Transpose", e.reshape(part, flat), perm=[0, 1, 3, 2])
            parts.append(
                e.reshape(
                    self._summed(turned).typed(window_type),
                    [*window_type.shape[:2], Dim.of(channels), Dim.of(len(windows))],
                )
            )
        return parts

    def _padded(self, x: Ref, first: int, rank: int) -> Ref:
        if not self.window.is_padded:
            return x
        last = [0] * (rank - first - len(self.sizes))
        pads = [n for side in (self.window.before, self.window.behind) for n in [*[0] * first, *side, *last]]
        return self.e.node("Pad", x, self.e.constant(pads, "i64"))

    def _slice(self, x: Ref, offsets: dict[int, int], first: int) -> Ref:
        """The part of `x` that one element of the kernel reads; axis `first` is the first spatial axis."""
        w, axes = self.window, list(offsets)
        starts = [Dim.of(offsets[a] * w.dilation[a]) for a in axes]
        stops = [start + ((self.places[a] - 1) * w.stride[a] + 1) for a, start in zip(axes, starts, strict=True)]
        steps = self.e.constant([w.stride[a] for a in axes], "i64")
        on = axes_tensor(self.e, [first + a for a in axes])
        return self.e.node("Slice", x, self.e.dims(starts), self.e.dims(stops), on, steps)

    def _summed(self, columns: Ref) -> Ref:
        """The product with columns [n, groups, places, channels], summed over the samples."""
        rows = self.e.reshape(self.upstream, self.rows)
        return self.e.node("ReduceSum", self.e.node("MatMul", rows, columns), axes_tensor(self.e, [0]), keepdims=0)
