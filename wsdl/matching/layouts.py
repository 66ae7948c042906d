"""How a tensor of a file is turned into the shape of a parameter: as it is, transposed, with other axes of size 1, in
the layout of another framework, or a part of it."""

from __future__ import annotations

from collections.abc import Iterator
from math import prod

from wsdl.ir.views import View
from wsdl.matching.conventions import TRANSPOSED_LAYERS, TRANSPOSED_LEAVES
from wsdl.matching.families import Shape
from wsdl.matching.names import raw_parts

# Keras's convolutions: from [height, width, inputs, outputs] to [outputs, inputs, height, width].
_CHANNELS_LAST = {2: (1, 0), 3: (2, 1, 0), 4: (3, 2, 0, 1), 5: (4, 3, 0, 1, 2)}


def is_transposed(name: str) -> bool:
    """Whether by the name of a tensor its layer keeps matrices as [inputs, outputs]."""
    parts = raw_parts(name)
    layer = parts[-2] if len(parts) > 1 else ""
    return parts[-1] in TRANSPOSED_LEAVES or layer in TRANSPOSED_LAYERS or name.startswith("onnx::MatMul")


def views(shape: Shape, wanted: Shape, transposed: bool) -> Iterator[View]:
    """The views of a tensor of one shape that have another shape, the likeliest first. For a `transposed` tensor, axes
    are exchanged even where the shapes are equal."""
    whole = View.identity(shape)
    if transposed and len(shape) in _CHANNELS_LAST:
        turned = whole.permute(_CHANNELS_LAST[len(shape)])
        if turned.shape == wanted:
            yield turned
        elif len(shape) == 4 and wanted == (shape[2] * shape[3], 1, *shape[:2]):  # depthwise
            yield whole.permute((2, 3, 0, 1)).reshape(wanted)
    if shape == wanted:
        yield whole
    elif len(shape) == 2 and shape[::-1] == wanted:
        yield whole.transposed
    elif _long(shape) == _long(wanted) and prod(shape) == prod(wanted):
        yield whole.reshape(wanted)


def rows(view: View, start: int, stop: int) -> View:
    """Some rows of a view; the view itself for all of them."""
    return view if (start, stop) == (0, view.shape[0]) else view.slice([(start, stop, None)])


def cut(shape: Shape, wanted: Shape, last: bool) -> View | None:
    """The first or the last rows of a tensor that has more than are wanted; `None` for others."""
    if len(shape) != len(wanted) or len(shape) < 2 or shape[1:] != wanted[1:] or shape[0] <= wanted[0]:
        return None
    whole = View.identity(shape)
    return rows(whole, shape[0] - wanted[0], shape[0]) if last else rows(whole, 0, wanted[0])


def _long(shape: Shape) -> list[int]:
    return [size for size in shape if size != 1]
