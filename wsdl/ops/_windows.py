"""Windows that move over spatial axes, for convolution and pooling."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from wsdl.ir.dims import Dim
from wsdl.ir.types import TensorType
from wsdl.ops._errors import OpError
from wsdl.ops._interfaces import Array, NumPy
from wsdl.ops._rules import per_axis

PerAxis = int | Sequence[int]


@dataclass(frozen=True)
class Window:
    """The size of a window, and how it moves: one number for each spatial axis.

    It starts every `stride` elements, over `pad` elements put on both sides; `dilation` is the step within it.
    """

    kernel: list[int]
    stride: list[int]
    pad: list[int]
    dilation: list[int]

    @staticmethod
    def of(kernel: Sequence[int], stride: PerAxis = 1, pad: PerAxis = 0, dilation: PerAxis = 1) -> Window:
        axes = len(kernel)
        return Window(
            per_axis(kernel, axes, "kernel", least=1),
            per_axis(stride, axes, "stride", least=1),
            per_axis(pad, axes, "pad"),
            per_axis(dilation, axes, "dilation", least=1),
        )

    @property
    def spans(self) -> list[int]:
        """The number of elements that it extends over, along each axis."""
        return [d * (k - 1) + 1 for k, d in zip(self.kernel, self.dilation, strict=True)]

    @property
    def attributes(self) -> dict[str, list[int] | None]:
        """The attributes of ONNX operators, without `dilations` where all are 1."""
        dilations = self.dilation if max(self.dilation) > 1 else None
        return {"kernel_shape": self.kernel, "strides": self.stride, "pads": self.pad * 2, "dilations": dilations}

    @property
    def arguments(self) -> dict[str, list[int]]:
        """The arguments of operations, without the kernel."""
        return {"stride": self.stride, "pad": self.pad, "dilation": self.dilation}

    def beyond(self, x: TensorType) -> list[int] | None:
        """How far the last windows extend past the end with `ceil`; `None` where a size is known at run time only."""
        sizes, counts = x.with_shape(x.shape[2:]).sizes, x.with_shape(self.places(x, ceil=True)).sizes
        if sizes is None or counts is None:
            return None
        rows = zip(sizes, counts, self.stride, self.spans, self.pad, strict=True)
        return [max(0, (count - 1) * stride + span - 2 * pad - size) for size, count, stride, span, pad in rows]

    def places(self, x: TensorType, *, ceil: bool = False) -> list[Dim]:
        """The number of windows along each axis of `[n, channels, ...]`; with `ceil` the last may extend past the
        end."""
        return [self._places_along(i, x, ceil) for i in range(x.rank - 2)]

    def _places_along(self, i: int, x: TensorType, ceil: bool) -> Dim:
        size, stride, pad, span = x.shape[i + 2], self.stride[i], self.pad[i], self.spans[i]
        room = size + (2 * pad - span)
        if room.constant is not None and room.constant < 0:
            padding = f" and {2 * pad} of padding" if pad else ""
            raise OpError(
                f"a window of {span} elements doesn't fit into axis {i + 2} of {x}, which has {size}{padding}",
                argument="x",
                help="a smaller kernel or dilation, or more padding, makes it fit",
            )
        if not ceil:
            return room // stride + 1
        count = (room + (stride - 1)) // stride + 1
        if pad + stride - 1 < span:
            return count
        if size.constant is None or count.constant is None:  # the last window may start past the end, and is dropped
            what = f"with `ceil` and a stride beyond the kernel, the size of axis {i + 2} of {x} must be known"
            raise OpError(what, argument="ceil")
        return count - int((count.constant - 1) * stride >= size.constant + pad)

    def patches(self, np: NumPy, x: Array, fill: float, *, ceil: bool = False, beyond: float = 0) -> Array:
        """The elements of each window, `[n, channels, *places, *kernel]`: `fill` in the padding, `beyond` past it."""
        counts = self.places(TensorType.of("f32", x.shape), ceil=ceil)
        padded = np.pad(x, [(0, 0), (0, 0), *((pad, pad) for pad in self.pad)], constant_values=fill)
        if ceil:
            padded = np.pad(padded, [(0, 0), (0, 0), *((0, s - 1) for s in self.stride)], constant_values=beyond)
        views = np.lib.stride_tricks.sliding_window_view(padded, self.spans, axis=tuple(range(2, x.ndim)))
        every = [slice(None)] * 2
        starts = [
            slice(0, count.constant * s, s) for count, s in zip(counts, self.stride, strict=True) if count.constant
        ]
        within = [slice(None, None, d) for d in self.dilation]
        return views[tuple(every + starts + within)]
