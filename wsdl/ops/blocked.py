"""Convolutions in ONNX Runtime's blocked layout, for training on this machine; never in a compiled file.

On a CPU the runtime's fast convolution needs blocks of channels to be contiguous (`[n, c / block, h, w, block]`), and
filters likewise. It rearranges stored weights when it loads a model, but not weights that are inputs, as those in
training are, so these would take the slow path. Here its operators for that layout (`com.microsoft.nchwc`) are written
explicitly. The number of channels in a block depends on the CPU (`Emitter.block`; 0 where there is no such layout, and
in every file).

Measured in docs/measurements/training-steps.md.
"""

from __future__ import annotations

from math import prod

from wsdl.ir.dims import Dim
from wsdl.ir.types import TensorType
from wsdl.ops._interfaces import Emitter, Ref
from wsdl.ops._windows import Window

DOMAIN = "com.microsoft.nchwc"
LARGEST = 256 * 256  # input times output channels: a larger filter takes too long to rearrange at each step


def blocked_convolution(e: Emitter, x: Ref, weight: Ref, bias: Ref | None, window: Window, groups: int) -> Ref | None:
    """The convolution of `x` [n, in, h, w] with `weight` [out, in, *kernel]; `None` where the layout can't be used."""
    if groups > 1 or not _fits(e, x.type, weight.type):
        return None
    turned = e.node("Transpose", weight, perm=[1, 0, 2, 3])
    filters = _filters(e, turned, [weight.type.shape[a] for a in (1, 0, 2, 3)])
    return _convolved(e, x, filters, bias, weight.type.shape[0], **window.attributes)


def blocked_transpose(
    e: Emitter, x: Ref, weight: Ref, bias: Ref | None, window: Window, more: list[int], groups: int
) -> Ref | None:
    """The transpose of a convolution, with `weight` [in, out, *kernel], as a convolution with the kernel flipped."""
    around = window.around
    is_cut = min(around.before + around.behind) < 0
    if groups > 1 or any(more) or max(window.stride) > 1 or is_cut or not _fits(e, x.type, weight.type):
        return None
    start, stop, axes = (e.constant([number, other], "i64") for number, other in ((-1, -1), (-(1 << 31),) * 2, (2, 3)))
    filters = _filters(e, e.node("Slice", weight, start, stop, axes, start), list(weight.type.shape))
    return _convolved(e, x, filters, bias, weight.type.shape[1], **around.attributes)


def fits_weight_gradient(e: Emitter, x: TensorType, upstream: TensorType, window: Window, groups: int) -> bool:
    """Can `blocked_weight_gradient` be used?"""
    sizes, counts = (t.with_shape(t.shape[2:]).sizes for t in (x, upstream))
    result = x.with_shape([upstream.shape[1], x.shape[1], *window.kernel])
    return groups == 1 and sizes is not None and counts is not None and _fits(e, x, result)


def blocked_weight_gradient(e: Emitter, x: Ref, upstream: Ref, window: Window) -> Ref:
    """The gradient of the weight as a convolution with samples and channels exchanged: of `x` as [in, n, h, w] with the
    gradient of the result, `upstream`, as filters [out, n, *places]; strides become dilations.

    Samples are padded with zeros to whole blocks: for few of them products are faster.
    """
    n, out, *places = upstream.type.shape
    sizes, counts = ([size.evaluate({}) for size in t.type.shape[2:]] for t in (x, upstream))
    whole = (n + (e.block - 1)) // e.block * e.block
    behind = [
        (count - 1) * stride + span - size - pad
        for count, stride, span, size, pad in zip(
            counts, window.stride, window.spans, sizes, window.before, strict=True
        )
    ]
    before = [Dim.of(number) for number in (0, 0, *window.before)]
    padded = e.node("Pad", x, e.dims([*before, whole - n, *(Dim.of(number) for number in (0, *behind))]))
    filled = upstream
    if (whole - n).constant != 0:
        filled = e.node("Pad", upstream, e.dims([*[Dim.of(0)] * 4, whole - n, *[Dim.of(0)] * 3]))
    filters = _filters(e, filled, [whole, out, *places])
    turned = e.node("Transpose", padded, perm=[1, 0, 2, 3])
    exchanged = Window.of(counts, window.dilation, dilation=window.stride).attributes
    y = _convolved(e, turned, filters, None, out, **exchanged)
    return e.node("Transpose", y, perm=[1, 0, 2, 3])


def _fits(e: Emitter, x: TensorType, weight: TensorType) -> bool:
    """Are images and filters in whole blocks, and the filters not too large?"""
    channels, kernel = ([d.constant or 0 for d in part] for part in (weight.shape[:2], weight.shape[2:]))
    if not e.block or x.dtype != "f32" or x.rank != 4 or prod(kernel) == 1:
        return False
    return all(c > 0 and c % e.block == 0 for c in channels) and prod(channels) <= LARGEST


def _filters(e: Emitter, weight: Ref, shape: list[Dim]) -> Ref:
    """Filters [in, out, *kernel] rearranged: [out / block, in / block, *kernel, block of in, block of out]."""
    rows, columns, *kernel = shape
    inner, block = Dim.of(1), Dim.of(e.block)
    for size in kernel:
        inner = inner * size
    reordered = e.node("ReorderInput", weight, domain=DOMAIN)
    apart = e.node("Reshape", reordered, e.dims([rows // e.block, block, columns // e.block, inner, block]))
    moved = e.node("Transpose", apart, perm=[2, 0, 3, 1, 4])
    return e.node("Reshape", moved, e.dims([columns, rows, *kernel]))


def _convolved(e: Emitter, x: Ref, filters: Ref, bias: Ref | None, out: Dim, **window: list[int] | None) -> Ref:
    y = e.node("Conv", e.node("ReorderInput", x, domain=DOMAIN), filters, bias, domain=DOMAIN, **window)
    return e.node("ReorderOutput", y, domain=DOMAIN, channels=out.constant)
