"""Convolutions, and their transposes. Images are `[n, channels, height, width]`, weights have PyTorch's layouts."""

from __future__ import annotations

from collections.abc import Sequence
from types import new_class
from typing import ClassVar

from wsdl.ir.dims import Dim, product
from wsdl.ir.graph import Value
from wsdl.ir.types import TensorType
from wsdl.ops._define import Rules
from wsdl.ops._errors import OpError
from wsdl.ops._interfaces import Array, Emitter, NumPy, Ref
from wsdl.ops._lowering import float_node
from wsdl.ops._rules import agreed, floating, per_axis, same_dtype
from wsdl.ops._windows import SAME, Window
from wsdl.ops.blocked import blocked_convolution, blocked_transpose
from wsdl.ops.build import Build
from wsdl.ops.conv_gradients import windows_added, windows_weighed
from wsdl.ops.same_padding import padded_explicitly

SPATIAL = {1: "length", 2: "height, width", 3: "depth, height, width"}


class _Convolved(Rules, half="f16", mixes={"x": slice(1, None), "weight": slice(None), "bias": slice(None)}):
    """Base of convolutions over any number of axes, and of their transposes."""

    stride: int | list[int] = 1
    pad: int | list[int] | list[list[int]] | str = 0
    dilation: int | list[int] = 1
    groups: int = 1

    axes: ClassVar[int]

    def _window(self, x: TensorType, weight: TensorType) -> Window:
        return Window.of(_kernel(x, weight, self.axes, self.groups), self.stride, self.pad, self.dilation)


class _Convolution(_Convolved, output_axis=0, steps_along=None):
    """Base of convolutions."""

    def infer(self, x: TensorType, weight: TensorType, bias: TensorType | None = None) -> TensorType:
        window = self._window(x, weight)
        _matching_channels(x, weight, weight.shape[1] * self.groups, self.groups)
        _divisible(weight.shape[0], self.groups, weight)
        _matching_bias(bias, weight, weight.shape[0])
        return x.with_shape((x.shape[0], weight.shape[0], *window.places(x)))

    def expand(self, b: Build, x: Value, weight: Value, bias: Value | None = None) -> Value | None:
        return padded_explicitly(b, self, self._window(x.type, weight.type), x, weight, bias)

    def reference(self, np: NumPy, x: Array, weight: Array, bias: Array | None = None) -> Array:
        window = Window.of(weight.shape[2:], self.stride, self.pad, self.dilation)
        return _convolved(np, x, weight, bias, self.groups, window)

    def lower(self, e: Emitter, x: Ref, weight: Ref, bias: Ref | None = None) -> Ref:
        window = self._window(x.type, weight.type)
        blocked = blocked_convolution(e, x, weight, bias, window, self.groups)
        return blocked or float_node(e, "Conv", x, weight, bias, group=self.groups, **window.attributes)

    def gradient(
        self, g: Build, dy: Value, y: Value, x: Value, weight: Value, bias: Value | None = None
    ) -> dict[str, Value]:
        window, groups = self._window(x.type, weight.type), self.groups
        gradients = {
            "x": windows_added(g, dy, weight, x.type, window, groups),
            "weight": g("conv_weight_gradient", x, dy, kernel=window.kernel, groups=groups, **window.arguments),
        }
        return gradients if bias is None else {**gradients, "bias": _summed(g, dy)}

    def macs(self, y: TensorType, x: TensorType, weight: TensorType, bias: TensorType | None = None) -> Dim:
        return y.elements * product(weight.shape[1:])


class _Transposed(_Convolved, output_axis=1, steps_along=None):
    """Base of their transposes."""

    output_pad: int | list[int] = 0

    def infer(self, x: TensorType, weight: TensorType, bias: TensorType | None = None) -> TensorType:
        window = self._window(x, weight)
        _matching_channels(x, weight, weight.shape[0], self.groups)
        _divisible(x.shape[1], self.groups, x)
        _matching_bias(bias, weight, weight.shape[1] * self.groups)
        sizes = []
        for i, more in enumerate(self._output_pad(window)):
            step, before, behind, span = window.stride[i], window.before[i], window.behind[i], window.spans[i]
            if more >= max(step, window.dilation[i]):
                raise OpError("`output_pad` must be smaller than the stride", argument="output_pad", code="E0414")
            sizes.append((x.shape[i + 2] - 1) * step + (span - before - behind + more))
            left = sizes[i].constant
            if left is not None and left < 1:
                cut = (
                    f"{before} are cut off on both sides" if before == behind else f"{before} and {behind} are cut off"
                )
                raise OpError(f"axis {i + 2} of {x} has no elements left when {cut}", argument="pad")
        return x.with_shape((x.shape[0], weight.shape[1] * self.groups, *sizes))

    def expand(self, b: Build, x: Value, weight: Value, bias: Value | None = None) -> Value | None:
        if self.pad != SAME:
            return None
        window = self._window(x.type, weight.type)
        explicit = {**vars(self), "pad": window.pad, "output_pad": self._output_pad(window)}
        return b(self.name, x, weight, bias, **explicit)

    def _window(self, x: TensorType, weight: TensorType) -> Window:
        window = super()._window(x, weight)
        return window.cut_to_stride if window.same else window

    def _output_pad(self, window: Window) -> list[int]:
        """The number of elements added at the end of each axis; those of `"same"` fill up to the stride."""
        written = per_axis(self.output_pad, self.axes, "output_pad")
        if not window.same:
            return written
        if any(written):
            raise OpError('`output_pad` is 0 with `pad="same"`', argument="output_pad", code="E0414")
        return [max(0, stride - span) for stride, span in zip(window.stride, window.spans, strict=True)]

    def reference(self, np: NumPy, x: Array, weight: Array, bias: Array | None = None) -> Array:
        w, groups = Window.of(weight.shape[2:], self.stride, self.pad, self.dilation), self.groups
        apart = _spread(np, x, w.stride)
        ends = zip(w.spans, per_axis(self.output_pad, self.axes, "output_pad"), strict=True)
        around = np.pad(apart, [(0, 0), (0, 0), *((span - 1, span - 1 + more) for span, more in ends)])
        turned = [np.flip(part.swapaxes(0, 1), tuple(range(2, part.ndim))) for part in np.split(weight, groups)]
        y = _convolved(np, around, np.concatenate(turned), bias, groups, Window.of(w.kernel, dilation=w.dilation))
        left = [slice(p, d - q) for d, p, q in zip(y.shape[2:], w.before, w.behind, strict=True)]
        return y[tuple([slice(None)] * 2 + left)]

    def lower(self, e: Emitter, x: Ref, weight: Ref, bias: Ref | None = None) -> Ref:
        window, more = self._window(x.type, weight.type), per_axis(self.output_pad, self.axes, "output_pad")
        attributes = {"group": self.groups, "output_padding": more, **window.attributes}
        blocked = blocked_transpose(e, x, weight, bias, window, more, self.groups)
        return blocked or float_node(e, "ConvTranspose", x, weight, bias, **attributes)

    def gradient(
        self, g: Build, dy: Value, y: Value, x: Value, weight: Value, bias: Value | None = None
    ) -> dict[str, Value]:
        window, groups = self._window(x.type, weight.type), self.groups
        gradients = {
            "x": windows_weighed(g, dy, weight, x.type, window, groups),
            "weight": g("conv_weight_gradient", dy, x, kernel=window.kernel, groups=groups, **window.arguments),
        }
        return gradients if bias is None else {**gradients, "bias": _summed(g, dy)}

    def macs(self, y: TensorType, x: TensorType, weight: TensorType, bias: TensorType | None = None) -> Dim:
        return x.elements * product(weight.shape[1:])


CONVOLUTION = """Convolution over {over}: a weighted sum of each window, for each output channel. ONNX Conv.

`x` is [n, channels, {over}], `weight` is [out, channels // groups, *kernel], `bias` is [out].
Windows start every `stride` elements, over `pad` zeros put on both sides; `dilation` is the step within a window.
Each may be a list, with a number for each axis.
{padding}

With `pad="same"` there are `size / stride` windows along each axis, rounded up; of an odd number of zeros the one more
is put behind. That is TensorFlow's `SAME`, and PyTorch's `padding="same"`, which needs a stride of 1.

    conv{axes}d(x: f32[n, 3{sixteens}], w: f32[8, 3{threes}], pad=1) -> f32[n, 8{sixteens}]
"""
TRANSPOSED = """The transpose of convolution over {over}: every element adds a window. ONNX ConvTranspose.

`x` is [n, channels, {over}], `weight` is [channels, out // groups, *kernel], that of the convolution
it transposes, `bias` is [out]. Windows start every `stride` elements; `pad` elements are cut off on both sides of the
result, and `output_pad` are added at its end. Each may be a list, with a number for each axis.
{padding}

With `pad="same"` the result has `size * stride` elements along each axis, as in Keras.

    conv_transpose{axes}d(x: f32[n, 8{nines}], w: f32[8, 3{twos}], stride=2) -> f32[n, 3{eighteens}]
"""


PADDING = {
    1: "`pad=[[2, 0]]` has a pair: before the axis, and behind it.",
    2: "`pad=[[0, 1], [2, 2]]` has a pair for each: before the axis, and behind it.",
    3: "`pad=[[0, 1], 0, [2, 2]]` has pairs: before an axis, and behind it.",
}


def _declare(base: type[_Convolved], name: str, doc: str, axes: int, order: Sequence[str] = ()) -> None:
    """The operation over so many axes."""
    sizes = {"twos": 2, "threes": 3, "nines": 9, "sixteens": 16, "eighteens": 18}
    doc = doc.format(
        over=SPATIAL[axes],
        axes=axes,
        padding=PADDING[axes],
        **{word: f", {size}" * axes for word, size in sizes.items()},
    )
    traits = {"name": name, "doc": doc, "family": __name__, "order": order}
    new_class(name, (base,), traits, lambda body: body.update(axes=axes))


for _axes in SPATIAL:
    _declare(_Convolution, f"conv{_axes}d", CONVOLUTION, _axes)
for _axes in SPATIAL:
    _order = ("x", "weight", "bias", "stride", "pad", "output_pad", "dilation", "groups")
    _declare(_Transposed, f"conv_transpose{_axes}d", TRANSPOSED, _axes, _order)


def _summed(g: Build, dy: Value) -> Value:
    """The gradient of a bias."""
    return g("sum", dy, axis=[0, *range(2, dy.type.rank)])


# -- shape rules -------------------------------------------------------------------------------------------------------


def _kernel(x: TensorType, weight: TensorType, axes: int, groups: int) -> list[int]:
    """The sizes of the kernel, after checks of ranks and dtypes."""
    if floating(x).rank != axes + 2:
        raise OpError(f"`x` must be [n, channels, {SPATIAL[axes]}], but is {x}", argument="x")
    if floating(weight, "weight").rank != axes + 2:
        raise OpError(f"`weight` must have {axes + 2} axes, but is {weight}", argument="weight")
    same_dtype("weight", x, weight)
    if groups < 1:
        raise OpError(f"`groups` must be at least 1, but is {groups}", argument="groups", code="E0414")
    kernel = [size.constant for size in weight.shape[2:]]
    if None in kernel:
        raise OpError(f"the kernel must be known when compiling, but `weight` is {weight}", argument="weight")
    return [k for k in kernel if k is not None]


def _matching_channels(x: TensorType, weight: TensorType, reads: Dim, groups: int) -> None:
    in_groups = f" in {groups} groups" if groups > 1 else ""
    what = f"the channels of {x} and those that the weight {weight} reads{in_groups} must be equal"
    agreed(x.shape[1], reads, what, "weight")


def _divisible(channels: Dim, groups: int, x: TensorType) -> None:
    if (channels % groups).constant not in (0, None):
        raise OpError(f"{groups} groups don't divide the {channels} channels of {x}", argument="groups")


def _matching_bias(bias: TensorType | None, weight: TensorType, channels: Dim) -> None:
    if bias is None:
        return
    same_dtype("bias", weight, bias)
    if bias.rank != 1:
        raise OpError(f"`bias` must be [{channels}], but is {bias}", argument="bias")
    agreed(channels, bias.shape[0], "`bias` must have one element for each output channel", "bias")


# -- reference ---------------------------------------------------------------------------------------------------------


def _convolved(np: NumPy, x: Array, weight: Array, bias: Array | None, groups: int, window: Window) -> Array:
    axes = len(window.kernel)
    inner = [1, *range(2 + axes, 2 + 2 * axes)]  # channels and kernel
    parts = zip(np.split(window.patches(np, x, 0), groups, 1), np.split(weight, groups), strict=True)
    sums = [np.tensordot(patches, w, (inner, range(1, 2 + axes))) for patches, w in parts]
    y = np.moveaxis(np.concatenate(sums, -1), -1, 1)
    return y if bias is None else y + bias.reshape(-1, *[1] * axes)


def _spread(np: NumPy, x: Array, stride: Sequence[int]) -> Array:
    """With zeros between its elements, so that they are `stride` apart."""
    sizes = [(d - 1) * s + 1 for d, s in zip(x.shape[2:], stride, strict=True)]
    apart = np.zeros([*x.shape[:2], *sizes], x.dtype)
    apart[tuple([slice(None)] * 2 + [slice(None, None, s) for s in stride])] = x
    return apart
