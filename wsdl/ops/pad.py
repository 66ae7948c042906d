"""Padding: with a value, or with elements of the tensor."""

from __future__ import annotations

from collections.abc import Sequence

from wsdl.ir.dims import Dim, same
from wsdl.ir.graph import Value
from wsdl.ir.types import TensorType
from wsdl.ops._define import Rules
from wsdl.ops._errors import OpError
from wsdl.ops._interfaces import Array, Emitter, NumPy, Ref
from wsdl.ops._lowering import axes_tensor, widely
from wsdl.ops._rules import element, one_of
from wsdl.ops.build import Build

NUMPY_MODES = {"constant": "constant", "reflect": "reflect", "replicate": "edge", "circular": "wrap"}
Widths = Sequence[Sequence[Dim]]


class Pad(
    Rules,
    name="pad",
    half="moves",
    mixes={"x": lambda op, x: _padded_axes(op.widths)},
    steps_along=None,
    unbounded=["value"],
):
    """`x` padded: `widths` has a pair for each axis, how many elements before and how many after it. ONNX Pad.

    The `mode` `constant` pads with `value`, the others with elements of `x`: `reflect` mirrors them at the last one,
    without repeating it; `replicate` repeats the last one; `circular` continues at the other end. `reflect` can add
    fewer elements than the axis has, `circular` no more than it has. The modes have PyTorch's names; in NumPy and ONNX
    `replicate` is `edge`, `circular` is `wrap`.

        pad(x: f32[n, 8], widths=[[0, 0], [2, 1]]) -> f32[n, 11]
    """

    widths: list[list[Dim]]
    value: float = 0.0
    mode: str = "constant"

    def infer(self, x: TensorType) -> TensorType:
        one_of(self.mode, NUMPY_MODES, "mode")
        pairs = [[Dim.of(w) for w in pair] for pair in self.widths]
        if len(pairs) != x.rank or any(len(pair) != 2 for pair in pairs):
            raise OpError(f"`widths` must be {x.rank} pairs, one for each axis of {x}", argument="widths", code="E0414")
        if any(w.constant is not None and w.constant < 0 for pair in pairs for w in pair):
            raise OpError(
                "a width can't be negative", argument="widths", help="a slice makes `x` smaller", code="E0414"
            )
        element(self.value, x.dtype, "value")
        if self.mode != "constant":
            if self.value:
                raise OpError(f"`value` is for `constant`, but `mode` is `{self.mode}`", argument="value", code="E0414")
            for axis, (size, pair) in enumerate(zip(x.shape, pairs, strict=True)):
                _enough(x, axis, size, pair, self.mode)
        return x.with_shape(before + size + behind for size, (before, behind) in zip(x.shape, pairs, strict=True))

    def reference(self, np: NumPy, x: Array) -> Array:
        if self.mode == "constant":
            return np.pad(x, self.widths, constant_values=self.value)
        return np.pad(x, self.widths, mode=NUMPY_MODES[self.mode])

    def lower(self, e: Emitter, x: Ref) -> Ref:
        if self.mode == "circular":
            return _joined(e, x, self.widths)
        pads = e.dims([Dim.of(pair[end]) for end in (0, 1) for pair in self.widths])
        if self.mode == "constant":
            return widely(
                e, lambda x, v: e.node("Pad", x, pads, v), x, e.constant(self.value, x.type.dtype), narrow=("i16",)
            )
        return widely(e, lambda x: e.node("Pad", x, pads, mode=NUMPY_MODES[self.mode]), x, narrow=("i16",))

    def gradient(self, g: Build, dy: Value, y: Value, x: Value) -> dict[str, Value]:
        """Each element gets its own gradient and those of the padding that repeats it."""
        if self.mode == "constant":
            befores = [Dim.of(before) for before, _ in self.widths]
            ends = [before + size for before, size in zip(befores, x.type.shape, strict=True)]
            return {"x": g("slice", dy, starts=befores, stops=ends)}
        for axis, (size, (before, behind)) in enumerate(zip(x.type.shape, self.widths, strict=True)):
            if Dim.of(before).constant == 0 and Dim.of(behind).constant == 0:
                continue
            onto = g.zeros(dy.type.with_dim(axis, size))
            dy = g("scatter_add", onto, _origin(g, size, Dim.of(before), Dim.of(behind), self.mode), dy, axis=axis)
        return {"x": dy}


def _padded_axes(widths: Widths) -> list[int]:
    return [a for a, pair in enumerate(widths) if not all(same(d, 0) for d in pair)]


def _enough(x: TensorType, axis: int, size: Dim, pair: Sequence[Dim], mode: str) -> None:
    """Check that the axis has enough elements for the padding."""
    most = {"reflect": size - 1, "replicate": None, "circular": size}[mode]
    for width in pair:
        if width.constant == 0:
            continue
        over = None if most is None else (width - most).constant
        if size.constant == 0 or (over is not None and over > 0):
            has = f"axis {axis} of {x} has {size}"
            raise OpError(f"`{mode}` can't add {width}: {has}", argument="widths", code="E0414")


def _joined(e: Emitter, x: Ref, widths: Widths) -> Ref:
    """Circular padding by concatenation: opset 18 has no mode for it, and that of ONNX Runtime 1.32 fails where `x` is
    empty."""
    result = x
    for axis, (size, (before, behind)) in enumerate(zip(x.type.shape, widths, strict=True)):
        at = axes_tensor(e, [axis])
        cuts = [(size - before, size), (Dim.of(0), Dim.of(behind))]
        last, first = (e.node("Slice", result, e.dims([start]), e.dims([stop]), at) for start, stop in cuts)
        result = e.node("Concat", last, result, first, axis=axis)
    return result


def _origin(g: Build, size: Dim, before: Dim, behind: Dim, mode: str) -> Value:
    """For each element of the padded axis the index that it repeats, as `i64[before + size + behind]`."""
    position = g("arange", start=Dim.of(0), stop=before + size + behind)
    position = g("sub", position, g.size(before, position.type))
    last = g.size(size - 1, position.type)
    if mode == "replicate":
        return g("minimum", g("maximum", position, 0), last)
    if mode == "reflect":
        back = g("abs", g("sub", g("abs", position), last))  # how far from the last one, on either side of it
        return g("abs", g("sub", back, last))
    count = g.size(size, position.type)
    under, over = (g("cast", g(*test), dtype="i64") for test in (("less", position, 0), ("greater", position, last)))
    return g("add", position, g("mul", g("sub", under, over), count))
