"""Operations that move elements and compute nothing: reorder, slice and split, join."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from wsdl.diagnostics import limits
from wsdl.ir.dims import Dim, same
from wsdl.ir.graph import Value
from wsdl.ir.types import TensorType, shape_text
from wsdl.ir.views import View
from wsdl.ops._define import Rules
from wsdl.ops._errors import OpError, require_equal
from wsdl.ops._interfaces import Array, Emitter, NumPy, Ref, Stacks
from wsdl.ops._lowering import axes_tensor, is_not_negative, not_negative, unsqueezed
from wsdl.ops._rules import agreed, axes_of, axis_of, divided, per_axis, same_dtype
from wsdl.ops.build import Build

LAST = 2**63 - 1  # ONNX Slice: to the end of the axis
BEFORE_FIRST = -(2**63)
Gradients = dict[str, Value]


# -- order -------------------------------------------------------------------------------------------------------------


class Transpose(Rules, name="transpose", half="moves", mixes={}, steps_along=None):
    """A matrix with rows and columns exchanged, also written `x.T`. ONNX Transpose.

    transpose(x: f32[n, t]) -> f32[t, n]
    """

    def infer(self, x: TensorType) -> TensorType:
        if x.rank != 2:
            raise OpError(
                f"`.T` needs two axes, but {x} has {x.rank}", argument="x", help="`permute(x, [...])` orders any axes"
            )
        return x.with_shape(reversed(x.shape))

    def reference(self, np: NumPy, x: Array) -> Array:
        return x.T

    def lower(self, e: Emitter, x: Ref) -> Ref:
        return e.node("Transpose", x, perm=[1, 0])

    def view(self, view: View, y: TensorType) -> View:
        return view.transposed

    def gradient(self, g: Build, dy: Value, y: Value, x: Value) -> Gradients:
        return {"x": g.transposed(dy)}


class Permute(Rules, name="permute", half="moves", mixes={}):
    """The axes in another order: the result's axis `i` is axis `axes[i]` of `x`. ONNX Transpose.

    permute(x: f32[n, t, 4], axes=[0, 2, 1]) -> f32[n, 4, t]
    """

    axes: list[int]

    def infer(self, x: TensorType) -> TensorType:
        if len(axes_of(self.axes, x.rank, "axes")) != x.rank:
            raise OpError(
                f"{shape_text(self.axes)} must name each of the {x.rank} axes of {x}", argument="axes", code="E0414"
            )
        return x.with_shape(x.shape[a] for a in self.axes)

    def reference(self, np: NumPy, x: Array) -> Array:
        return np.transpose(x, self.axes)

    def lower(self, e: Emitter, x: Ref) -> Ref:
        return e.node("Transpose", x, perm=[axis_of(a, x.type.rank) for a in self.axes])

    def view(self, view: View, y: TensorType) -> View:
        return view.permute(self.axes)

    def batch(self, stacks: Stacks, x: Value) -> Any:
        return stacks.build("permute", stacks.stack(x), axes=[0, *(axis_of(a, x.type.rank) + 1 for a in self.axes)])

    def gradient(self, g: Build, dy: Value, y: Value, x: Value) -> Gradients:
        order = [axis_of(a, x.type.rank) for a in self.axes]
        return {"x": g("permute", dy, axes=[order.index(a) for a in range(x.type.rank)])}


class Flip(Rules, name="flip", half="moves", mixes={"x": "axis"}, steps_along=None):
    """`x` in reverse order along axes. ONNX Slice.

    flip(x: f32[n, t], axis=1) -> f32[n, t]
    """

    axis: int | list[int]

    def infer(self, x: TensorType) -> TensorType:
        axes_of(self.axis, x.rank)
        return x

    def reference(self, np: NumPy, x: Array) -> Array:
        return np.flip(x, tuple(axes_of(self.axis, x.ndim)))

    def lower(self, e: Emitter, x: Ref) -> Ref:
        axes = axes_of(self.axis, x.type.rank)
        backwards = [e.constant([number] * len(axes), "i64") for number in (-1, BEFORE_FIRST)]
        return e.node("Slice", x, *backwards, axes_tensor(e, axes), e.constant([-1] * len(axes), "i64"))

    def view(self, view: View, y: TensorType) -> View:
        return view.flip([self.axis] if isinstance(self.axis, int) else self.axis)

    def gradient(self, g: Build, dy: Value, y: Value, x: Value) -> Gradients:
        return {"x": g("flip", dy, axis=self.axis)}


class Roll(Rules, name="roll", half="moves", mixes={"x": "axis"}, steps_along=None):
    """`x` shifted along axes; elements that leave at the end come in at the start. ONNX Slice and Concat.

    roll(x: f32[n, 9], shift=3, axis=1) -> f32[n, 9]
    """

    shift: int | list[int]
    axis: int | list[int]

    def infer(self, x: TensorType) -> TensorType:
        per_axis(self.shift, len(axes_of(self.axis, x.rank)), "shift", least=BEFORE_FIRST)
        return x

    def reference(self, np: NumPy, x: Array) -> Array:
        return np.roll(x, self.shift, self.axis)

    def lower(self, e: Emitter, x: Ref) -> Ref:
        axes = [self.axis] if isinstance(self.axis, int) else self.axis
        for a, by in zip(axes, per_axis(self.shift, len(axes), "shift", least=BEFORE_FIRST), strict=True):
            size = e.node("Max", e.dims([x.type.shape[a]]), e.constant([1], "i64"))
            cut = e.node("Mod", e.constant([-by], "i64"), size)
            first, last, on = (
                e.constant([0], "i64"),
                e.constant([LAST], "i64"),
                axes_tensor(e, [axis_of(a, x.type.rank)]),
            )
            x = e.node("Concat", e.node("Slice", x, cut, last, on), e.node("Slice", x, first, cut, on), axis=a).typed(
                x.type
            )
        return x

    def gradient(self, g: Build, dy: Value, y: Value, x: Value) -> Gradients:
        return {
            "x": g(
                "roll",
                dy,
                shift=-self.shift if isinstance(self.shift, int) else [-by for by in self.shift],
                axis=self.axis,
            )
        }


# -- parts -------------------------------------------------------------------------------------------------------------


class Slice(Rules, name="slice", half="moves", mixes={"x": lambda op, x: op.cut(x)}):
    """A part of `x`, also written `x[a:b, c:d:2]`; negative numbers count from the end. ONNX Slice.

    slice(x: f32[n, 9], starts=[2], stops=[6], axes=[1]) -> f32[n, 4]
    """

    starts: list[Dim]
    stops: list[Dim]
    axes: list[int] | None = None
    steps: list[int] | None = None

    def infer(self, x: TensorType) -> TensorType:
        shape = list(x.shape)
        for axis, start, stop, step in self.cuts(x.rank):
            low, high = (_bound(bound, shape[axis], axis, x) for bound in (start, stop))
            length = (high - low + (step - 1)) // step
            shape[axis] = Dim.of(max(0, length.constant)) if length.constant is not None else length
        return x.with_shape(shape)

    def reference(self, np: NumPy, x: Array) -> Array:
        parts = [slice(None)] * x.ndim
        for axis, start, stop, step in self.cuts(x.ndim):
            parts[axis] = slice(start, stop, step)
        return x[tuple(parts)]

    def lower(self, e: Emitter, x: Ref) -> Ref:
        cuts = self.cuts(x.type.rank)
        for axis, start, stop, _ in cuts:  # ONNX cuts what the axis has, but the type promises a size
            low, high = (_bound(bound, x.type.shape[axis], axis, x.type) for bound in (start, stop))
            for size in low, high - low, x.type.shape[axis] - high:
                if size.constant is None:  # the shape rule has checked constants
                    x = not_negative(e, x, size)
        firsts = e.dims([Dim.of(start) for _, start, _, _ in cuts])
        ends = e.dims([Dim.of(LAST if same(stop, x.type.shape[axis]) else stop) for axis, _, stop, _ in cuts])
        on, steps = axes_tensor(e, [c[0] for c in cuts]), e.constant([c[3] for c in cuts], "i64")
        return e.node("Slice", x, firsts, ends, on, steps)

    def view(self, view: View, y: TensorType) -> View | None:
        bounds: list[tuple[int | None, int | None, int | None]] = [(None, None, None)] * len(view.shape)
        for axis, start, stop, step in self.cuts(len(view.shape)):
            low, high = (Dim.of(bound).constant for bound in (start, stop))
            if low is None or high is None:
                return None
            bounds[axis] = (low, min(high, view.shape[axis]), step)
        return view.slice(bounds)

    def batch(self, stacks: Stacks, x: Value) -> Any:
        on = [axis + 1 for axis, *_ in self.cuts(x.type.rank)]
        return stacks.build("slice", stacks.stack(x), starts=self.starts, stops=self.stops, axes=on, steps=self.steps)

    def gradient(self, g: Build, dy: Value, y: Value, x: Value) -> Gradients:
        """Zeros around it, and between its elements where the step is not 1."""
        if y.type.elements.constant == 0:
            return {}
        widths = [[Dim.of(0), Dim.of(0)] for _ in x.type.shape]
        for axis, start, stop, step in self.cuts(x.type.rank):
            size = x.type.shape[axis]
            low, high = (_bound(bound, size, axis, x.type) for bound in (start, stop))
            if step > 1:
                dy = _spread(g, dy, axis, step, high - low)
            widths[axis] = [low, size - high]
        return {"x": g("pad", dy, widths=widths) if any(w.constant != 0 for pair in widths for w in pair) else dy}

    def cuts(self, rank: int) -> list[tuple[int, Any, Any, int]]:
        """Axis, start, stop and step of each cut."""
        on = list(range(len(self.starts))) if self.axes is None else list(self.axes)
        axes_of(on, rank, "axes")
        by = [1] * len(on) if self.steps is None else list(self.steps)
        if any(step < 1 for step in by):
            help = "`flip` reverses"
            raise OpError("the step of a slice must be positive", argument="steps", help=help, code="E0414")
        if not len(self.starts) == len(self.stops) == len(on) == len(by):
            raise OpError("starts, stops, axes and steps must have the same length", argument="stops", code="E0414")
        return list(zip((axis_of(a, rank) for a in on), self.starts, self.stops, by, strict=True))

    def cut(self, x: TensorType) -> list[int]:
        """The axes along which elements are left out."""
        return [a for a, (old, new) in enumerate(zip(x.shape, self.infer(x).shape, strict=True)) if not same(old, new)]


def _spread(g: Build, x: Value, axis: int, step: int, size: Dim) -> Value:
    """With `step - 1` zeros after each element along an axis, cut to `size`."""
    wide = x.type.shape[axis] * step
    padding = [[0, 0] for _ in range(x.type.rank + 1)]
    padding[axis + 1] = [0, step - 1]
    spread = g("pad", g("unsqueeze", x, axis=axis + 1), widths=padding)
    return g("slice", g.like(spread, x.type.with_dim(axis, wide)), starts=[0], stops=[size], axes=[axis])


def _bound(bound: Dim | int, size: Dim, axis: int, x: TensorType) -> Dim:
    """A bound, counted from the start."""
    at = Dim.of(bound)
    if at.constant is not None and at.constant < 0:
        at = at + size
    outside = (at - size).constant
    if (at.constant is not None and at.constant < 0) or (outside is not None and outside > 0):
        raise OpError(f"the slice goes to {bound}, but axis {axis} of {x} has {size} elements", code="E0414")
    return at


class Split(Rules, name="split", half="moves", mixes={"x": "axis"}, steps_along="axis"):
    """`x` cut into parts along an axis: a number of equal ones, or parts of the given sizes. ONNX Split.

    split(x: f32[n, t, 6], 3, axis=-1) -> f32[n, t, 2], f32[n, t, 2], f32[n, t, 2]
    """

    parts: int | list[Dim]
    axis: int = 0

    def infer(self, x: TensorType) -> tuple[TensorType, ...]:
        at = axis_of(self.axis, x.rank)
        return tuple(x.with_dim(at, size) for size in _sizes_of_parts(x, self.parts, at))

    def reference(self, np: NumPy, x: Array) -> tuple[Array, ...]:
        return tuple(np.split(x, self.parts if isinstance(self.parts, int) else np.cumsum(self.parts)[:-1], self.axis))

    def lower(self, e: Emitter, x: Ref) -> list[Ref]:
        at = axis_of(self.axis, x.type.rank)
        sizes = e.dims([result.shape[at] for result in e.results])
        results = e.nodes("Split", x, sizes, outputs=len(e.results), axis=at)
        if unknown := [type.shape[at] for type in e.results if not is_not_negative(type.shape[at])]:
            e.assume(", ".join(f"{size} >= 0" for size in unknown))
        return results

    def gradient(self, g: Build, dy: list[Value | None], y: list[Value], x: Value) -> Gradients:
        gradients = [
            g.zeros(part.type) if gradient_of_part is None else gradient_of_part
            for gradient_of_part, part in zip(dy, y, strict=True)
        ]
        return {"x": g("concat", gradients, axis=self.axis)}


def _sizes_of_parts(x: TensorType, parts: int | Sequence[Dim | int], axis: int) -> list[Dim]:
    size, what = x.shape[axis], f"axis {axis} of {x} must split into the parts asked for"
    if isinstance(parts, int):
        if parts < 1:
            raise OpError(f"`x` can't be split into {parts} parts", argument="parts", code="E0414")
        if parts > limits.ELEMENTS:
            raise OpError(
                f"`x` can't be split into {parts:,} parts: at most {limits.ELEMENTS:,}", argument="parts", code="E0414"
            )
        return [divided(size, Dim.of(parts), what, "parts")] * parts
    sizes = [Dim.of(p) for p in parts]
    require_equal(size, sum(sizes, Dim.of(0)), what, argument="parts")
    return sizes


# -- wholes ------------------------------------------------------------------------------------------------------------


class Concat(Rules, name="concat", half="moves", mixes={"xs": "axis"}):
    """Tensors joined along an existing axis; the other sizes are equal. ONNX Concat.

    concat([a: f32[n, 3], b: f32[n, 4]], axis=1) -> f32[n, 7]
    """

    axis: int

    def infer(self, xs: list[TensorType]) -> TensorType:
        first, at = xs[0], axis_of(self.axis, xs[0].rank)
        same_dtype("xs", *xs)
        shape = list(first.shape)
        for x in xs[1:]:
            if x.rank != first.rank:
                raise OpError(f"{first} and {x} have different numbers of axes", argument="xs")
            for a, size in enumerate(x.shape):
                if a == at:
                    shape[a] = shape[a] + size
                else:
                    shape[a] = agreed(
                        shape[a], size, f"the sizes along axis {a} of {first} and {x} must be equal", "xs"
                    )
        return first.with_shape(shape)

    def reference(self, np: NumPy, xs: Sequence[Array]) -> Array:
        return np.concatenate(xs, self.axis)

    def lower(self, e: Emitter, xs: Sequence[Ref]) -> Ref:
        return e.node("Concat", *xs, axis=self.axis)

    def batch(self, stacks: Stacks, xs: Sequence[Value]) -> Any:
        wholes = [stacks.stack(x) for x in xs]
        if any(whole is None for whole in wholes):
            return None
        return stacks.build("concat", wholes, axis=axis_of(self.axis, xs[0].type.rank) + 1)

    def gradient(self, g: Build, dy: Value, y: Value, xs: list[Value]) -> dict[str, list[Value]]:
        at = axis_of(self.axis, y.type.rank)
        return {"xs": g.all("split", dy, parts=[x.type.shape[at] for x in xs], axis=at)}


class Stack(Rules, name="stack", half="moves", mixes={}, steps_along=None):
    """Tensors of the same shape, joined along a new axis. ONNX Unsqueeze and Concat.

    stack([a: f32[n, t], b: f32[n, t]], axis=1) -> f32[n, 2, t]
    """

    axis: int = 0

    def infer(self, xs: list[TensorType]) -> TensorType:
        first, at = xs[0], axis_of(self.axis, xs[0].rank + 1)
        same_dtype("xs", *xs)
        shape = first.shape
        for x in xs[1:]:
            what = f"{first} and {x} must have the same shape"
            if x.rank != first.rank:
                raise OpError(what, argument="xs")
            shape = tuple(agreed(a, b, what, "xs") for a, b in zip(shape, x.shape, strict=True))
        return first.with_shape((*shape[:at], len(xs), *shape[at:]))

    def reference(self, np: NumPy, xs: Sequence[Array]) -> Array:
        return np.stack(xs, self.axis)

    def lower(self, e: Emitter, xs: Sequence[Ref]) -> Ref:
        at = axis_of(self.axis, xs[0].type.rank + 1)
        return e.node("Concat", *(unsqueezed(e, x, at) for x in xs), axis=at)

    def gradient(self, g: Build, dy: Value, y: Value, xs: list[Value]) -> dict[str, list[Value]]:
        at = axis_of(self.axis, y.type.rank)
        return {"xs": [g("squeeze", part, axis=at) for part in g.all("split", dy, parts=len(xs), axis=at)]}


class Tile(Rules, name="tile", half="moves", mixes={"x": lambda op, x: op.repeated(x)}, steps_along=None):
    """`x` repeated as a whole along each axis, as often as `repeats` says. ONNX Tile.

    tile(x: f32[n, 2], repeats=[1, 3]) -> f32[n, 6]
    """

    repeats: list[Dim]

    def infer(self, x: TensorType) -> TensorType:
        if len(self.repeats) != x.rank:
            raise OpError(f"`repeats` must have one number for each axis of {x}", argument="repeats", code="E0414")
        return x.with_shape(size * Dim.of(times) for size, times in zip(x.shape, self.repeats, strict=True))

    def reference(self, np: NumPy, x: Array) -> Array:
        return np.tile(x, self.repeats)

    def lower(self, e: Emitter, x: Ref) -> Ref:
        return e.node("Tile", x, e.dims([Dim.of(times) for times in self.repeats]))

    def gradient(self, g: Build, dy: Value, y: Value, x: Value) -> Gradients:
        sizes = [d for times, size in zip(self.repeats, x.type.shape, strict=True) for d in (Dim.of(times), size)]
        return {"x": g("sum", g.like(dy, x.type.with_shape(sizes)), axis=list(range(0, len(sizes), 2)))}

    def repeated(self, x: TensorType) -> list[int]:
        """The axes along which it is repeated."""
        return [a for a, count in enumerate(self.repeats) if not same(count, 1)]
