"""Windows taken out of a tensor as columns, and columns added up to a tensor."""

from __future__ import annotations

from math import gcd, prod
from typing import Any

from wsdl.ir.dims import Dim, product
from wsdl.ir.graph import Value
from wsdl.ir.types import TensorType, shape_text
from wsdl.ops._define import Rules
from wsdl.ops._errors import OpError
from wsdl.ops._interfaces import Array, Emitter, NumPy, Ref
from wsdl.ops._lowering import axes_tensor, size_of, unsqueezed, widely
from wsdl.ops._rules import agreed, axis_of, divided, floating, image, per_axis
from wsdl.ops._windows import Window
from wsdl.ops.build import Build

MANY_SLICES = 32  # along one axis; ten times faster than Gather, which copies the elements of the last axis one by one
MANY_PIECES, SHORT_PIECE = 16, 4  # of a window; shorter ones are copied slower than elements


class _Columns(Rules):
    """Base of both: `stride`, `pad` and `dilation` as in convolutions."""

    kernel: int | list[int]
    stride: int | list[int] = 1
    pad: int | list[int] | list[list[int]] = 0
    dilation: int | list[int] = 1

    def window(self, axes: int) -> Window:
        return Window.of(per_axis(self.kernel, axes, "kernel", least=1), self.stride, self.pad, self.dilation)


class Unfold(_Columns, name="unfold", half="moves", mixes={"x": slice(2, None)}, steps_along=None):
    """The windows of `[n, channels, ...]` as columns `[n, channels * elements of the kernel, places]`: im2col.

    ONNX Slice and Concat. Windows start every `stride` elements, over `pad` zeros put on both sides; `dilation` is the
    step within a window. A convolution is `matmul(weight, unfold(x))`. PyTorch's `F.unfold`, for one to three spatial
    axes.

        unfold(x: f32[n, 3, 16, 16], kernel=3, pad=1) -> f32[n, 27, 256]
    """

    def infer(self, x: TensorType) -> TensorType:
        window = self.window(image(x).rank - 2)
        n, channels, *_ = x.shape
        return x.with_shape([n, channels * prod(window.kernel), product(window.places(x))])

    def reference(self, np: NumPy, x: Array) -> Array:
        axes = x.ndim - 2
        patches = self.window(axes).patches(np, x, 0)  # [n, channels, *places, *kernel]
        kernel, places = patches.shape[2 + axes :], patches.shape[2 : 2 + axes]
        order = [0, 1, *range(2 + axes, 2 + 2 * axes), *range(2, 2 + axes)]
        return patches.transpose(order).reshape(x.shape[0], x.shape[1] * prod(kernel), prod(places))

    def lower(self, e: Emitter, x: Ref) -> Ref:
        """Axis by axis: those of the kernel come in front of the places."""
        window = self.window(x.type.rank - 2)
        places = window.places(x.type)

        def compute(x: Ref) -> Ref:
            columns = x
            if window.is_padded:
                columns = e.node("Pad", x, e.constant([0, 0, *window.before, 0, 0, *window.behind], "i64"))
            for i, count in enumerate(places):
                columns = _windows_along(e, columns, window, i, count)
            shape = [*x.type.shape[:2], *map(Dim.of, window.kernel), *places]
            return e.reshape(columns.typed(x.type.with_shape(shape)), e.results[0].shape)

        return widely(e, compute, x)

    def gradient(self, g: Build, dy: Value, y: Value, x: Value) -> dict[str, Value]:
        window = self.window(x.type.rank - 2)
        return {"x": g("fold", dy, size=list(x.type.shape[2:]), kernel=window.kernel, **window.arguments)}


def _windows_along(e: Emitter, x: Ref, window: Window, i: int, count: Dim) -> Ref:
    """Spatial axis `i` of `x` [n, channels, kernel (i axes), places (i axes), size, ...] in windows: its elements of
    the kernel become an axis behind the others of the kernel, and `count` places take the place of its size."""
    size, step, apart = window.kernel[i], window.stride[i], window.dilation[i]
    at, axis = 2 + i, 2 + 2 * i
    if size > MANY_SLICES:
        places = e.node("Range", e.constant(0, "i64"), size_of(e, count), e.constant(1, "i64"))
        starts = e.node("Mul", places, e.constant(step, "i64"))
        offsets = e.constant([[apart * o] for o in range(size)], "i64")
        picked = e.node("Gather", x, e.node("Add", offsets, starts), axis=axis)
        rank = len(window.kernel) + 3 + i
        order = [a for a in range(rank) if a != axis]
        return e.node("Transpose", picked, perm=[*order[:at], axis, *order[at:]])
    parts = []
    for offset in range(size):
        start = Dim.of(offset * apart)
        stop = start + ((count - 1) * step + 1)
        on, steps = axes_tensor(e, [axis]), e.constant([step], "i64")
        parts.append(unsqueezed(e, e.node("Slice", x, e.dims([start]), e.dims([stop]), on, steps), at))
    return parts[0] if size == 1 else e.node("Concat", *parts, axis=at)


class Fold(_Columns, name="fold", half="f32", mixes={"x": [1, 2], "result": slice(2, None)}, steps_along=None):
    """Columns `[n, channels * elements of the kernel, places]` added up to `[n, channels, *size]`: col2im. ONNX Col2Im.

    Each element is the sum of those that `unfold` would copy it to: where windows overlap, `fold(unfold(x))` is a
    multiple of `x`. PyTorch's `F.fold`, for one to three spatial axes.

        fold(x: f32[n, 27, 256], size=[16, 16], kernel=3, pad=1) -> f32[n, 3, 16, 16]
    """

    size: list[Dim]

    def infer(self, x: TensorType) -> TensorType:
        axes = len(self.size)
        if floating(x).rank != 3 or not 1 <= axes <= 3:
            what = f"`x` must be [n, channels * elements of the kernel, places], but is {x}"
            raise OpError(what, argument="x") if axes else OpError("`size` is empty", argument="size", code="E0414")
        window = self.window(axes)
        n, rows, columns = x.shape
        elements = prod(window.kernel)
        channels = divided(
            rows, Dim.of(elements), f"axis 1 of {x} must hold the {elements} elements of the kernel", "x"
        )
        y = x.with_shape([n, channels, *self.size])
        places = product(window.places(y))
        agreed(columns, places, f"{x} must have a column for each place of the kernel in {shape_text(y.shape)}", "size")
        return y

    def reference(self, np: NumPy, x: Array) -> Array:
        axes = len(self.size)
        window = self.window(axes)
        n, channels = x.shape[0], x.shape[1] // prod(window.kernel)
        sizes = [sum(row) for row in zip(self.size, window.before, window.behind, strict=True)]
        around = np.zeros([n, channels, *sizes], x.dtype)
        places = [d.evaluate({}) for d in window.places(TensorType.of("f32", [n, channels, *self.size]))]
        columns = x.reshape(n, channels, *window.kernel, *places)
        for offset in np.ndindex(*window.kernel):
            at = [
                slice(o * d, o * d + (count - 1) * s + 1, s)
                for o, d, s, count in zip(offset, window.dilation, window.stride, places, strict=True)
            ]
            around[(slice(None), slice(None), *at)] += columns[(slice(None), slice(None), *offset)]
        inside = [slice(p, p + s) for p, s in zip(window.before, self.size, strict=True)]
        return around[(slice(None), slice(None), *inside)]

    def lower(self, e: Emitter, x: Ref) -> Ref:
        window = self.window(len(self.size))
        attributes: dict[str, Any] = {**window.attributes, "kernel_shape": None}
        sizes = e.dims([Dim.of(size) for size in self.size])
        return e.node("Col2Im", x, sizes, e.constant(window.kernel, "i64"), **attributes)

    def gradient(self, g: Build, dy: Value, y: Value, x: Value) -> dict[str, Value]:
        window = self.window(len(self.size))
        return {"x": g("unfold", dy, kernel=window.kernel, **window.arguments)}


class Windows(Rules, name="windows", half="expanded", mixes={"x": "axis"}):
    """The windows of `size` elements along an axis: their number takes its place, their elements become the last axis.

    They start every `step` elements. ONNX Slice and Concat. PyTorch's `Tensor.unfold(axis, size, step)`.

        windows(x: f32[n, 16, 3], size=4, step=2, axis=1) -> f32[n, 7, 3, 4]
    """

    size: int
    step: int = 1
    axis: int = -1

    def infer(self, x: TensorType) -> TensorType:
        axis = axis_of(self.axis, x.rank)
        window = Window.of([self.size], self.step)
        room = x.shape[axis] - self.size
        if room.constant is not None and room.constant < 0:
            what = f"a window of {self.size} elements doesn't fit into axis {axis} of {x}"
            raise OpError(what, argument="size", code="E0414")
        count = room // window.stride[0] + 1
        return x.with_shape([*x.shape[:axis], count, *x.shape[axis + 1 :], self.size])

    def expand(self, b: Build, x: Value) -> Value:
        axis, rank = axis_of(self.axis, x.type.rank), x.type.rank
        others = [a for a in range(rank) if a != axis]
        rest, count = [x.type.shape[a] for a in others], self.infer(x.type).shape[axis]
        last = x if axis == rank - 1 else b("permute", x, axes=[*others, axis])
        lines = b("reshape", last, shape=[product(rest), x.type.shape[axis]])
        windows = b("reshape", self._of_lines(b, lines, count), shape=[*rest, count, self.size])
        return b("permute", windows, axes=[*range(axis), rank - 1, *range(axis, rank - 1), rank])

    def _of_lines(self, b: Build, lines: Value, count: Dim) -> Value:
        """Those of [rows, t], as [rows, count, size]."""
        rows = lines.type.shape[0]
        piece = pieces_of(self.size, self.step)
        if piece is None:
            alone = b("unsqueeze", lines, axis=1)
            return b("permute", b("unfold", alone, kernel=[self.size], stride=self.step), axes=[0, 2, 1])
        used, step = (count - 1) * self.step + self.size, self.step // piece
        whole = b("slice", lines, starts=[0], stops=[used], axes=[1])
        pieces = b("reshape", whole, shape=[rows, used // piece, piece])
        parts = [
            b("slice", pieces, starts=[i], stops=[(count - 1) * step + (i + 1)], axes=[1], steps=[step])
            for i in range(self.size // piece)
        ]
        return b("concat", parts, axis=2) if len(parts) > 1 else parts[0]


def pieces_of(size: int, step: int) -> int | None:
    """The longest pieces of which windows can be put together, where these are few and not short."""
    piece = gcd(size, step)
    return piece if size // piece <= MANY_PIECES and piece >= SHORT_PIECE else None
