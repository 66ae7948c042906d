"""Convolutions, and their transposes. Images are `[n, channels, height, width]`, weights have PyTorch's layouts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from wsdl.ir.dims import Dim, product
from wsdl.ir.graph import Value
from wsdl.ir.types import TensorType
from wsdl.ops._define import Array, Emitter, Mixes, NumPy, Operation, OpError, Ref, operation
from wsdl.ops._lowering import float_node
from wsdl.ops._rules import agreed, floating, per_axis, same_dtype
from wsdl.ops._windows import PerAxis, Window
from wsdl.ops.blocked import blocked_convolution, blocked_transpose
from wsdl.ops.build import Build
from wsdl.ops.conv_gradients import windows_added, windows_weighed

SPATIAL = {1: "length", 2: "height, width", 3: "depth, height, width"}


def _convolution(axes: int) -> Operation:
    def infer(
        x: TensorType,
        weight: TensorType,
        bias: TensorType | None = None,
        stride: int | list[int] = 1,
        pad: int | list[int] = 0,
        dilation: int | list[int] = 1,
        groups: int = 1,
    ) -> TensorType:
        kernel = _kernel(x, weight, axes, groups)
        _matching_channels(x, weight, weight.shape[1] * groups, groups)
        _divisible(weight.shape[0], groups, weight)
        _matching_bias(bias, weight, weight.shape[0])
        return x.with_shape((x.shape[0], weight.shape[0], *Window.of(kernel, stride, pad, dilation).places(x)))

    def reference(
        np: NumPy, x: Array, weight: Array, bias: Array | None = None, groups: int = 1, **window: PerAxis
    ) -> Array:
        return _convolved(np, x, weight, bias, groups, Window.of(weight.shape[2:], **window))

    def lowering(e: Emitter, x: Ref, weight: Ref, bias: Ref | None = None, groups: int = 1, **window: PerAxis) -> Ref:
        seen = Window.of(_kernel(x.type, weight.type, axes, groups), **window)
        blocked = blocked_convolution(e, x, weight, bias, seen, groups)
        return blocked or float_node(e, "Conv", x, weight, bias, group=groups, **seen.attributes)

    def gradient(
        g: Build,
        dy: Value,
        y: Value,
        x: Value,
        weight: Value,
        bias: Value | None = None,
        groups: int = 1,
        **given: PerAxis,
    ) -> dict[str, Value]:
        window = Window.of(_kernel(x.type, weight.type, axes, groups), **given)
        gradients = {
            "x": windows_added(g, dy, weight, x.type, window, groups),
            "weight": g("conv_weight_gradient", x, dy, kernel=window.kernel, groups=groups, **window.arguments),
        }
        return gradients if bias is None else {**gradients, "bias": _summed(g, dy)}

    doc = f"""Convolution over {SPATIAL[axes]}: a weighted sum of each window, for each output channel. ONNX Conv.

`x` is [n, channels, {SPATIAL[axes]}], `weight` is [out, channels // groups, *kernel], `bias` is [out].
Windows start every `stride` elements, over `pad` zeros put on both sides; `dilation` is the step within a window.
Each may be a list, with a number for each axis.

    conv{axes}d(x: f32[n, 3{", 16" * axes}], w: f32[8, 3{", 3" * axes}], pad=1) -> f32[n, 8{", 16" * axes}]"""
    return _declare(f"conv{axes}d", doc, infer, reference, lowering, gradient, output_axis=0)


def _transposed(axes: int) -> Operation:
    def infer(
        x: TensorType,
        weight: TensorType,
        bias: TensorType | None = None,
        stride: int | list[int] = 1,
        pad: int | list[int] = 0,
        output_pad: int | list[int] = 0,
        dilation: int | list[int] = 1,
        groups: int = 1,
    ) -> TensorType:
        window = Window.of(_kernel(x, weight, axes, groups), stride, pad, dilation)
        _matching_channels(x, weight, weight.shape[0], groups)
        _divisible(x.shape[1], groups, x)
        _matching_bias(bias, weight, weight.shape[1] * groups)
        sizes = []
        for i, more in enumerate(per_axis(output_pad, axes, "output_pad")):
            step, less, span = window.stride[i], window.pad[i], window.spans[i]
            if more >= max(step, window.dilation[i]):
                raise OpError("`output_pad` must be smaller than the stride", argument="output_pad", code="E0414")
            sizes.append((x.shape[i + 2] - 1) * step + (span - 2 * less + more))
            left = sizes[i].constant
            if left is not None and left < 1:
                what = f"nothing is left of axis {i + 2} of {x} when {less} elements are cut off on both sides"
                raise OpError(what, argument="pad")
        return x.with_shape((x.shape[0], weight.shape[1] * groups, *sizes))

    def reference(
        np: NumPy,
        x: Array,
        weight: Array,
        bias: Array | None = None,
        groups: int = 1,
        output_pad: PerAxis = 0,
        **window: PerAxis,
    ) -> Array:
        w = Window.of(weight.shape[2:], **window)
        apart = _spread(np, x, w.stride)
        ends = zip(w.spans, per_axis(output_pad, axes, "output_pad"), strict=True)
        around = np.pad(apart, [(0, 0), (0, 0), *((span - 1, span - 1 + more) for span, more in ends)])
        turned = [np.flip(part.swapaxes(0, 1), tuple(range(2, part.ndim))) for part in np.split(weight, groups)]
        y = _convolved(np, around, np.concatenate(turned), bias, groups, Window.of(w.kernel, dilation=w.dilation))
        left = [slice(p, d - p) for d, p in zip(y.shape[2:], w.pad, strict=True)]
        return y[tuple([slice(None)] * 2 + left)]

    def lowering(
        e: Emitter,
        x: Ref,
        weight: Ref,
        bias: Ref | None = None,
        groups: int = 1,
        output_pad: PerAxis = 0,
        **window: PerAxis,
    ) -> Ref:
        seen = Window.of(_kernel(x.type, weight.type, axes, groups), **window)
        more = per_axis(output_pad, axes, "output_pad")
        given = {"group": groups, "output_padding": more, **seen.attributes}
        blocked = blocked_transpose(e, x, weight, bias, seen, more, groups)
        return blocked or float_node(e, "ConvTranspose", x, weight, bias, **given)

    def gradient(
        g: Build,
        dy: Value,
        y: Value,
        x: Value,
        weight: Value,
        bias: Value | None = None,
        groups: int = 1,
        output_pad: PerAxis = 0,
        **given: PerAxis,
    ) -> dict[str, Value]:
        window = Window.of(_kernel(x.type, weight.type, axes, groups), **given)
        gradients = {
            "x": windows_weighed(g, dy, weight, x.type, window, groups),
            "weight": g("conv_weight_gradient", dy, x, kernel=window.kernel, groups=groups, **window.arguments),
        }
        return gradients if bias is None else {**gradients, "bias": _summed(g, dy)}

    doc = f"""The transpose of convolution over {SPATIAL[axes]}: each element adds a window. ONNX ConvTranspose.

`x` is [n, channels, {SPATIAL[axes]}], `weight` is [channels, out // groups, *kernel], as for the convolution that
it undoes, `bias` is [out]. Windows start every `stride` elements; `pad` elements are cut off on both sides of the
result, and `output_pad` are added at its end. Each may be a list, with a number for each axis.

    conv_transpose{axes}d(x: f32[n, 8{", 9" * axes}], w: f32[8, 3{", 2" * axes}], stride=2) -> f32[n, 3{", 18" * axes}]
"""
    return _declare(f"conv_transpose{axes}d", doc, infer, reference, lowering, gradient, output_axis=1)


def _declare(
    name: str, doc: str, infer: Any, reference: Any, lowering: Any, gradient: Any, *, output_axis: int
) -> Operation:
    mixes: Mixes = {"x": slice(1, None), "weight": slice(None), "bias": slice(None)}
    made = operation(infer, name, doc, half="f16", mixes=mixes, output_axis=output_axis)
    made.macs(lambda y, x, weight, **_: (x if output_axis else y).elements * product(weight.shape[1:]))
    made.reference(reference)
    made.lowering(lowering)
    made.gradient(gradient)
    return made


def _summed(g: Build, dy: Value) -> Value:
    """The gradient of a bias."""
    return g("sum", dy, axis=[0, *range(2, dy.type.rank)])


conv1d, conv2d, conv3d = (_convolution(axes) for axes in (1, 2, 3))
conv_transpose1d, conv_transpose2d, conv_transpose3d = (_transposed(axes) for axes in (1, 2, 3))


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
        raise OpError(f"the kernel must be known when compiling, and `weight` is {weight}", argument="weight")
    return [k for k in kernel if k is not None]


def _matching_channels(x: TensorType, weight: TensorType, reads: Dim, groups: int) -> None:
    in_groups = f" in {groups} groups" if groups > 1 else ""
    what = f"the channels of {x} and those that a weight of {weight} reads{in_groups} must be equal"
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
    agreed(channels, bias.shape[0], "`bias` must have a number for each output channel", "bias")


# -- reference ---------------------------------------------------------------------------------------------------------


def _convolved(np: NumPy, x: Array, weight: Array, bias: Array | None, groups: int, window: Window) -> Array:
    axes = len(window.kernel)
    inner = [1, *range(2 + axes, 2 + 2 * axes)]  # channels and kernel
    parts = zip(np.split(window.patches(np, x, 0), groups, 1), np.split(weight, groups), strict=True)
    sums = [np.tensordot(seen, w, (inner, range(1, 2 + axes))) for seen, w in parts]
    y = np.moveaxis(np.concatenate(sums, -1), -1, 1)
    return y if bias is None else y + bias.reshape(-1, *[1] * axes)


def _spread(np: NumPy, x: Array, stride: Sequence[int]) -> Array:
    """With zeros between its elements, so that they are `stride` apart."""
    sizes = [(d - 1) * s + 1 for d, s in zip(x.shape[2:], stride, strict=True)]
    apart = np.zeros([*x.shape[:2], *sizes], x.dtype)
    apart[tuple([slice(None)] * 2 + [slice(None, None, s) for s in stride])] = x
    return apart
