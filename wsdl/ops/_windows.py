"""Windows that move over spatial axes, for convolution and pooling."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from wsdl.ir.dims import Dim
from wsdl.ir.types import TensorType
from wsdl.ops._errors import OpError
from wsdl.ops._interfaces import Array, NumPy
from wsdl.ops._rules import per_axis

PerAxis = int | Sequence[int]
Padding = int | str | Sequence[int] | Sequence[Sequence[int]]  # the same everywhere, by axis, or a pair for each axis
SAME = "same"


@dataclass(frozen=True)
class Window:
    """The size of a window, and how it moves: one number for each spatial axis.

    It starts every `stride` elements, over elements put `before` and `behind` each axis; `dilation` is the step within
    it. Where it is `same`, the padding depends on the sizes (`same_padding`).
    """

    kernel: list[int]
    stride: list[int]
    before: list[int]
    behind: list[int]
    dilation: list[int]
    same: bool = False

    @staticmethod
    def of(kernel: Sequence[int], stride: PerAxis = 1, pad: Padding = 0, dilation: PerAxis = 1) -> Window:
        axes = len(kernel)
        before, behind = _sides(0 if pad == SAME else pad, axes)
        return Window(
            per_axis(kernel, axes, "kernel", least=1),
            per_axis(stride, axes, "stride", least=1),
            before,
            behind,
            per_axis(dilation, axes, "dilation", least=1),
            pad == SAME,
        )

    @property
    def is_padded(self) -> bool:
        return any(self.before) or any(self.behind)

    @property
    def pad(self) -> list[int] | list[list[int]]:
        """The padding as an argument: a number for each axis, or a pair for each where the sides differ."""
        if self.before == self.behind:
            return self.before
        return [list(pair) for pair in zip(self.before, self.behind, strict=True)]

    @property
    def spans(self) -> list[int]:
        """The number of elements that it extends over, along each axis."""
        return [d * (k - 1) + 1 for k, d in zip(self.kernel, self.dilation, strict=True)]

    @property
    def around(self) -> Window:
        """That of the transpose with a stride of 1, as a convolution with the kernel flipped."""
        before, behind = (
            [n - 1 - p for n, p in zip(self.spans, pads, strict=True)] for pads in (self.before, self.behind)
        )
        return replace(self, before=before, behind=behind)

    @property
    def attributes(self) -> dict[str, list[int] | None]:
        """The attributes of ONNX operators, without `dilations` where all are 1."""
        dilations = self.dilation if max(self.dilation) > 1 else None
        return {
            "kernel_shape": self.kernel,
            "strides": self.stride,
            "pads": self.before + self.behind,
            "dilations": dilations,
        }

    @property
    def arguments(self) -> dict[str, list[int] | list[list[int]]]:
        """The arguments of operations, without the kernel."""
        return {"stride": self.stride, "pad": self.pad, "dilation": self.dilation}

    def beyond(self, x: TensorType) -> list[int] | None:
        """How far the last windows extend past the end with `ceil`; `None` where a size is known at run time only."""
        sizes, counts = x.with_shape(x.shape[2:]).sizes, x.with_shape(self.places(x, ceil=True)).sizes
        if sizes is None or counts is None:
            return None
        ends = [(count - 1) * s + span for count, s, span in zip(counts, self.stride, self.spans, strict=True)]
        padded = [sum(row) for row in zip(sizes, self.before, self.behind, strict=True)]
        return [max(0, end - size) for end, size in zip(ends, padded, strict=True)]

    def same_padding(self, x: TensorType) -> list[list[Dim]]:
        """Of each axis how many elements before and behind it make `size / stride` windows, rounded up.

        TensorFlow's `SAME`, ONNX's `SAME_UPPER`: of an odd number the one more is behind. Raises `OpError`.
        """
        pairs = []
        for axis, (size, stride, span) in enumerate(zip(x.shape[2:], self.stride, self.spans, strict=True), 2):
            total = (size - 1) // stride * stride + span - size
            if total.constant is None and 1 < span < stride:
                what = f'with `pad="same"` and a stride beyond the kernel, the size of axis {axis} of {x} must be known'
                raise OpError(what, argument="pad")
            if span == 1 or (total.constant or 0) < 0:
                total = Dim.of(0)
            pairs.append([total // 2, total - total // 2])
        return pairs

    @property
    def cut_to_stride(self) -> Window:
        """Of the transpose with the padding `same`: as much is cut off as its windows overlap, the one more behind."""
        overlaps = [max(0, span - stride) for span, stride in zip(self.spans, self.stride, strict=True)]
        return replace(self, before=[n // 2 for n in overlaps], behind=[n - n // 2 for n in overlaps])

    def places(self, x: TensorType, *, ceil: bool = False) -> list[Dim]:
        """The number of windows along each axis of `[n, channels, ...]`; with `ceil` the last may extend past the
        end."""
        if self.same:
            pads = [before + behind for before, behind in self.same_padding(x)]
            return [self._places_along(i, x, pad, ceil=False) for i, pad in enumerate(pads)]
        pads = [Dim.of(before + behind) for before, behind in zip(self.before, self.behind, strict=True)]
        return [self._places_along(i, x, pad, ceil) for i, pad in enumerate(pads)]

    def _places_along(self, i: int, x: TensorType, pad: Dim, ceil: bool) -> Dim:
        size, stride, span = x.shape[i + 2], self.stride[i], self.spans[i]
        room = size + (pad - span)
        if room.constant is not None and room.constant < 0:
            padding = f" and {pad} of padding" if pad.constant else ""
            raise OpError(
                f"a window of {span} elements doesn't fit into axis {i + 2} of {x}, which has {size}{padding}",
                argument="x",
                help="a smaller kernel or dilation, or more padding, makes it fit",
            )
        if not ceil:
            return room // stride + 1
        count = (room + (stride - 1)) // stride + 1
        if self.before[i] + stride - 1 < span:
            return count
        if size.constant is None or count.constant is None:  # the last window may start past the end, and is dropped
            what = f"with `ceil` and a stride beyond the kernel, the size of axis {i + 2} of {x} must be known"
            raise OpError(what, argument="ceil")
        return count - int((count.constant - 1) * stride >= size.constant + self.before[i])

    def patches(self, np: NumPy, x: Array, fill: float, *, ceil: bool = False, beyond: float = 0) -> Array:
        """The elements of each window, `[n, channels, *places, *kernel]`: `fill` in the padding, `beyond` past it."""
        counts = self.places(TensorType.of("f32", x.shape), ceil=ceil)
        padded = np.pad(x, [(0, 0), (0, 0), *zip(self.before, self.behind, strict=True)], constant_values=fill)
        if ceil:
            padded = np.pad(padded, [(0, 0), (0, 0), *((0, s - 1) for s in self.stride)], constant_values=beyond)
        views = np.lib.stride_tricks.sliding_window_view(padded, self.spans, axis=tuple(range(2, x.ndim)))
        every = [slice(None)] * 2
        starts = [
            slice(0, count.constant * s, s) for count, s in zip(counts, self.stride, strict=True) if count.constant
        ]
        within = [slice(None, None, d) for d in self.dilation]
        return views[tuple(every + starts + within)]


def _sides(pad: Padding, axes: int) -> tuple[list[int], list[int]]:
    """How many elements are put before each axis, and how many behind."""
    if isinstance(pad, str):
        help = 'write `"same"`, or how many elements: 0 for none, one number for each axis, or a pair'
        raise OpError(f"`pad` can't be `{pad}`", argument="pad", help=help, code="E0414")
    sides = [pad] * axes if isinstance(pad, int) else pad
    pairs = [(side, side) if isinstance(side, int) else (side[0], side[-1]) for side in sides]
    if len(pairs) != axes or any(not isinstance(side, int) and len(side) > 2 for side in sides):
        what = f"`pad` must have a number or a pair of numbers for each of {axes} axes"
        help = f"a pair is put before and behind its axis: `pad=[{', '.join(['[0, 1]'] * axes)}]`"
        raise OpError(what, argument="pad", help=help, code="E0414")
    before, behind = zip(*pairs, strict=True)
    return per_axis(before, axes, "pad"), per_axis(behind, axes, "pad")
