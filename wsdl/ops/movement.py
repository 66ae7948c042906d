"""Operations that move elements and compute nothing: order, parts, wholes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from wsdl import limits
from wsdl.ir.dims import Dim, same
from wsdl.ir.graph import Value
from wsdl.ir.types import TensorType, shape_text
from wsdl.ir.views import View
from wsdl.ops._define import Array, Emitter, NumPy, OpError, Ref, Stacks, operation, require_equal
from wsdl.ops._lowering import axes_tensor, is_not_negative, not_negative, unsqueezed
from wsdl.ops._rules import agreed, axes_of, axis_of, divided, per_axis, same_dtype
from wsdl.ops.build import Build

LAST = 2**63 - 1  # ONNX Slice: as far as the axis goes
BEFORE_FIRST = -(2**63)
Gradients = dict[str, Value]


# -- order -------------------------------------------------------------------------------------------------------------


@operation(half="moves", mixes={})
def transpose(x: TensorType) -> TensorType:
    """A matrix with rows and columns exchanged, also written `x.T`. ONNX Transpose.

    transpose(x: f32[n, t]) -> f32[t, n]
    """
    if x.rank != 2:
        raise OpError(
            f"`.T` needs two axes, and {x} has {x.rank}", argument="x", help="`permute(x, [...])` orders any axes"
        )
    return x.with_shape(reversed(x.shape))


@transpose.reference
def _(np: NumPy, x: Array) -> Array:
    return x.T


@transpose.lowering
def _(e: Emitter, x: Ref) -> Ref:
    return e.node("Transpose", x, perm=[1, 0])


@transpose.view
def _(view: View, y: TensorType) -> View:
    return view.transposed


@transpose.gradient
def _(g: Build, dy: Value, y: Value, x: Value) -> Gradients:
    return {"x": g.transposed(dy)}


@operation(half="moves", mixes={})
def permute(x: TensorType, axes: list[int]) -> TensorType:
    """The axes in another order: the result's axis `i` is axis `axes[i]` of `x`. ONNX Transpose.

    permute(x: f32[n, t, 4], axes=[0, 2, 1]) -> f32[n, 4, t]
    """
    if len(axes_of(axes, x.rank, "axes")) != x.rank:
        raise OpError(f"{shape_text(axes)} must name each of the {x.rank} axes of {x}", argument="axes", code="E0414")
    return x.with_shape(x.shape[a] for a in axes)


@permute.reference
def _(np: NumPy, x: Array, axes: Sequence[int]) -> Array:
    return np.transpose(x, axes)


@permute.lowering
def _(e: Emitter, x: Ref, axes: Sequence[int]) -> Ref:
    return e.node("Transpose", x, perm=[axis_of(a, x.type.rank) for a in axes])


@permute.view
def _(view: View, y: TensorType, axes: Sequence[int]) -> View:
    return view.permute(axes)


@permute.batch
def _(stacks: Stacks, x: Value, axes: Sequence[int]) -> Any:
    return stacks.build("permute", stacks.stack(x), axes=[0, *(axis_of(a, x.type.rank) + 1 for a in axes)])


@permute.gradient
def _(g: Build, dy: Value, y: Value, x: Value, axes: Sequence[int]) -> Gradients:
    order = [axis_of(a, x.type.rank) for a in axes]
    return {"x": g("permute", dy, axes=[order.index(a) for a in range(x.type.rank)])}


@operation(half="moves", mixes={"x": "axis"})
def flip(x: TensorType, axis: int | list[int]) -> TensorType:
    """In reverse order along axes. ONNX Slice.

    flip(x: f32[n, t], axis=1) -> f32[n, t]
    """
    axes_of(axis, x.rank)
    return x


@flip.reference
def _(np: NumPy, x: Array, axis: int | Sequence[int]) -> Array:
    return np.flip(x, tuple(axes_of(axis, x.ndim)))


@flip.lowering
def _(e: Emitter, x: Ref, axis: int | Sequence[int]) -> Ref:
    axes = axes_of(axis, x.type.rank)
    backwards = [e.constant([number] * len(axes), "i64") for number in (-1, BEFORE_FIRST)]
    return e.node("Slice", x, *backwards, axes_tensor(e, axes), e.constant([-1] * len(axes), "i64"))


@flip.view
def _(view: View, y: TensorType, axis: int | Sequence[int]) -> View:
    return view.flip([axis] if isinstance(axis, int) else axis)


@flip.gradient
def _(g: Build, dy: Value, y: Value, x: Value, axis: int | list[int]) -> Gradients:
    return {"x": g("flip", dy, axis=axis)}


@operation(half="moves", mixes={"x": "axis"})
def roll(x: TensorType, shift: int | list[int], axis: int | list[int]) -> TensorType:
    """Shifted along axes; what leaves at the end comes in at the start. ONNX Slice and Concat.

    roll(x: f32[n, 9], shift=3, axis=1) -> f32[n, 9]
    """
    per_axis(shift, len(axes_of(axis, x.rank)), "shift", least=BEFORE_FIRST)
    return x


@roll.reference
def _(np: NumPy, x: Array, shift: int | Sequence[int], axis: int | Sequence[int]) -> Array:
    return np.roll(x, shift, axis)


@roll.lowering
def _(e: Emitter, x: Ref, shift: int | Sequence[int], axis: int | Sequence[int]) -> Ref:
    axes = [axis] if isinstance(axis, int) else axis
    for a, by in zip(axes, per_axis(shift, len(axes), "shift", least=BEFORE_FIRST), strict=True):
        size = e.node("Max", e.dims([x.type.shape[a]]), e.constant([1], "i64"))
        cut = e.node("Mod", e.constant([-by], "i64"), size)
        first, last, on = e.constant([0], "i64"), e.constant([LAST], "i64"), axes_tensor(e, [axis_of(a, x.type.rank)])
        x = e.node("Concat", e.node("Slice", x, cut, last, on), e.node("Slice", x, first, cut, on), axis=a).typed(
            x.type
        )
    return x


@roll.gradient
def _(g: Build, dy: Value, y: Value, x: Value, shift: int | list[int], axis: int | list[int]) -> Gradients:
    return {"x": g("roll", dy, shift=-shift if isinstance(shift, int) else [-by for by in shift], axis=axis)}


# -- parts -------------------------------------------------------------------------------------------------------------


@operation(half="moves", mixes={"x": lambda **cuts: _cut_axes(**cuts)})
def slice_(
    x: TensorType,
    starts: list[Dim],
    stops: list[Dim],
    axes: list[int] | None = None,
    steps: list[int] | None = None,
) -> TensorType:
    """A part of `x`, also written `x[a:b, c:d:2]`; negative numbers count from the end. ONNX Slice.

    slice(x: f32[n, 9], starts=[2], stops=[6], axes=[1]) -> f32[n, 4]
    """
    shape = list(x.shape)
    for axis, start, stop, step in _cuts(x.rank, starts, stops, axes, steps):
        low, high = (_bound(bound, shape[axis], axis, x) for bound in (start, stop))
        length = (high - low + (step - 1)) // step
        shape[axis] = Dim.of(max(0, length.constant)) if length.constant is not None else length
    return x.with_shape(shape)


@slice_.reference
def _(
    np: NumPy,
    x: Array,
    starts: Sequence[int],
    stops: Sequence[int],
    axes: Sequence[int] | None = None,
    steps: Sequence[int] | None = None,
) -> Array:
    parts = [slice(None)] * x.ndim
    for axis, start, stop, step in _cuts(x.ndim, starts, stops, axes, steps):
        parts[axis] = slice(start, stop, step)
    return x[tuple(parts)]


@slice_.lowering
def _(
    e: Emitter,
    x: Ref,
    starts: Sequence[Dim],
    stops: Sequence[Dim],
    axes: Sequence[int] | None = None,
    steps: Sequence[int] | None = None,
) -> Ref:
    cuts = _cuts(x.type.rank, starts, stops, axes, steps)
    for axis, start, stop, _ in cuts:  # ONNX gives what is there, but the type says how much that is
        low, high = (_bound(bound, x.type.shape[axis], axis, x.type) for bound in (start, stop))
        for size in low, high - low, x.type.shape[axis] - high:
            x = not_negative(e, x, size) if size.constant is None else x  # of constants the shape rule has taken care
    firsts = e.dims([Dim.of(start) for _, start, _, _ in cuts])
    ends = e.dims([Dim.of(LAST if same(stop, x.type.shape[axis]) else stop) for axis, _, stop, _ in cuts])
    return e.node(
        "Slice", x, firsts, ends, axes_tensor(e, [c[0] for c in cuts]), e.constant([c[3] for c in cuts], "i64")
    )


@slice_.view
def _(
    view: View,
    y: TensorType,
    starts: Sequence[Dim],
    stops: Sequence[Dim],
    axes: Sequence[int] | None = None,
    steps: Sequence[int] | None = None,
) -> View | None:
    bounds: list[tuple[int | None, int | None, int | None]] = [(None, None, None)] * len(view.shape)
    for axis, start, stop, step in _cuts(len(view.shape), starts, stops, axes, steps):
        low, high = (Dim.of(bound).constant for bound in (start, stop))
        if low is None or high is None:
            return None
        bounds[axis] = (low, min(high, view.shape[axis]), step)
    return view.slice(bounds)


@slice_.batch
def _(
    stacks: Stacks,
    x: Value,
    starts: Sequence[Dim],
    stops: Sequence[Dim],
    axes: Sequence[int] | None = None,
    steps: Sequence[int] | None = None,
) -> Any:
    on = [axis_of(a, x.type.rank) + 1 for a in (range(len(starts)) if axes is None else axes)]
    return stacks.build("slice", stacks.stack(x), starts=starts, stops=stops, axes=on, steps=steps)


@slice_.gradient
def _(
    g: Build,
    dy: Value,
    y: Value,
    x: Value,
    starts: Sequence[Dim],
    stops: Sequence[Dim],
    axes: Sequence[int] | None = None,
    steps: Sequence[int] | None = None,
) -> Gradients:
    """Zeros around it, and between its elements where the slice takes steps."""
    if y.type.elements.constant == 0:
        return {}
    widths = [[Dim.of(0), Dim.of(0)] for _ in x.type.shape]
    for axis, start, stop, step in _cuts(x.type.rank, starts, stops, axes, steps):
        size = x.type.shape[axis]
        low, high = (_bound(bound, size, axis, x.type) for bound in (start, stop))
        if step > 1:
            dy = _spread(g, dy, axis, step, high - low)
        widths[axis] = [low, size - high]
    return {"x": g("pad", dy, widths=widths) if any(w.constant != 0 for pair in widths for w in pair) else dy}


def _spread(g: Build, x: Value, axis: int, step: int, size: Dim) -> Value:
    """With `step - 1` zeros after each element along an axis, cut to `size`."""
    wide = x.type.shape[axis] * step
    padding = [[0, 0] for _ in range(x.type.rank + 1)]
    padding[axis + 1] = [0, step - 1]
    spread = g("pad", g("unsqueeze", x, axis=axis + 1), widths=padding)
    return g("slice", g.like(spread, x.type.with_dim(axis, wide)), starts=[0], stops=[size], axes=[axis])


def _cuts(
    rank: int,
    starts: Sequence[Dim | int],
    stops: Sequence[Dim | int],
    axes: Sequence[int] | None,
    steps: Sequence[int] | None,
) -> list[tuple[int, Any, Any, int]]:
    """Axis, start, stop and step of each cut."""
    on = list(range(len(starts))) if axes is None else list(axes)
    axes_of(on, rank, "axes")
    by = [1] * len(on) if steps is None else list(steps)
    if any(step < 1 for step in by):
        raise OpError("the step of a slice must be positive", argument="steps", help="`flip` reverses", code="E0414")
    if not len(starts) == len(stops) == len(on) == len(by):
        raise OpError("starts, stops, axes and steps must be equally many", argument="stops", code="E0414")
    return list(zip((axis_of(a, rank) for a in on), starts, stops, by, strict=True))


def _bound(bound: Dim | int, size: Dim, axis: int, x: TensorType) -> Dim:
    """A bound counted from the front."""
    at = Dim.of(bound)
    if at.constant is not None and at.constant < 0:
        at = at + size
    outside = (at - size).constant
    if (at.constant is not None and at.constant < 0) or (outside is not None and outside > 0):
        raise OpError(f"the slice goes to {bound}, but axis {axis} of {x} has {size} elements", code="E0414")
    return at


def _cut_axes(x: TensorType, **cuts: Any) -> list[int]:
    """The axes of which something is left out."""
    return [
        a for a, (old, new) in enumerate(zip(x.shape, slice_.infer(x, **cuts).shape, strict=True)) if not same(old, new)
    ]


@operation(half="moves", mixes={"x": "axis"}, steps_along="axis")
def split(x: TensorType, parts: int | list[Dim], axis: int = 0) -> tuple[TensorType, ...]:
    """`x` cut into several along an axis: into so many equal parts, or into parts of these sizes. ONNX Split.

    split(x: f32[n, t, 6], 3, axis=-1) -> f32[n, t, 2], f32[n, t, 2], f32[n, t, 2]
    """
    at = axis_of(axis, x.rank)
    return tuple(x.with_dim(at, size) for size in _sizes_of_parts(x, parts, at))


@split.reference
def _(np: NumPy, x: Array, parts: int | Sequence[int], axis: int = 0) -> tuple[Array, ...]:
    return tuple(np.split(x, parts if isinstance(parts, int) else np.cumsum(parts)[:-1], axis))


@split.lowering
def _(e: Emitter, x: Ref, parts: int | Sequence[Dim], axis: int = 0) -> list[Ref]:
    at = axis_of(axis, x.type.rank)
    sizes = e.dims([result.shape[at] for result in e.results])
    results = e.nodes("Split", x, sizes, outputs=len(e.results), axis=at)
    if unknown := [type.shape[at] for type in e.results if not is_not_negative(type.shape[at])]:
        e.assume(", ".join(f"{size} >= 0" for size in unknown))
    return results


@split.gradient
def _(g: Build, dy: list[Value | None], y: list[Value], x: Value, parts: int | list[Dim], axis: int = 0) -> Gradients:
    gradients = [g.zeros(part.type) if given is None else given for given, part in zip(dy, y, strict=True)]
    return {"x": g("concat", gradients, axis=axis)}


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


@operation(half="moves", mixes={"xs": "axis"})
def concat(xs: list[TensorType], axis: int) -> TensorType:
    """Tensors one behind another along an axis that they have; the other sizes agree. ONNX Concat.

    concat([a: f32[n, 3], b: f32[n, 4]], axis=1) -> f32[n, 7]
    """
    first, at = xs[0], axis_of(axis, xs[0].rank)
    same_dtype("xs", *xs)
    shape = list(first.shape)
    for x in xs[1:]:
        if x.rank != first.rank:
            raise OpError(f"{first} and {x} have different numbers of axes", argument="xs")
        for a, size in enumerate(x.shape):
            if a == at:
                shape[a] = shape[a] + size
            else:
                shape[a] = agreed(shape[a], size, f"the sizes along axis {a} of {first} and {x} must be equal", "xs")
    return first.with_shape(shape)


@concat.reference
def _(np: NumPy, xs: Sequence[Array], axis: int) -> Array:
    return np.concatenate(xs, axis)


@concat.lowering
def _(e: Emitter, xs: Sequence[Ref], axis: int) -> Ref:
    return e.node("Concat", *xs, axis=axis)


@concat.batch
def _(stacks: Stacks, xs: Sequence[Value], axis: int) -> Any:
    wholes = [stacks.stack(x) for x in xs]
    if any(whole is None for whole in wholes):
        return None
    return stacks.build("concat", wholes, axis=axis_of(axis, xs[0].type.rank) + 1)


@concat.gradient
def _(g: Build, dy: Value, y: Value, xs: list[Value], axis: int) -> dict[str, list[Value]]:
    at = axis_of(axis, y.type.rank)
    return {"xs": g.all("split", dy, parts=[x.type.shape[at] for x in xs], axis=at)}


@operation(half="moves", mixes={})
def stack(xs: list[TensorType], axis: int = 0) -> TensorType:
    """Tensors of one shape, one behind another along a new axis. ONNX Unsqueeze and Concat.

    stack([a: f32[n, t], b: f32[n, t]], axis=1) -> f32[n, 2, t]
    """
    first, at = xs[0], axis_of(axis, xs[0].rank + 1)
    same_dtype("xs", *xs)
    shape = first.shape
    for x in xs[1:]:
        what = f"{first} and {x} must have one shape"
        if x.rank != first.rank:
            raise OpError(what, argument="xs")
        shape = tuple(agreed(a, b, what, "xs") for a, b in zip(shape, x.shape, strict=True))
    return first.with_shape((*shape[:at], len(xs), *shape[at:]))


@stack.reference
def _(np: NumPy, xs: Sequence[Array], axis: int = 0) -> Array:
    return np.stack(xs, axis)


@stack.lowering
def _(e: Emitter, xs: Sequence[Ref], axis: int = 0) -> Ref:
    at = axis_of(axis, xs[0].type.rank + 1)
    return e.node("Concat", *(unsqueezed(e, x, at) for x in xs), axis=at)


@stack.gradient
def _(g: Build, dy: Value, y: Value, xs: list[Value], axis: int = 0) -> dict[str, list[Value]]:
    at = axis_of(axis, y.type.rank)
    return {"xs": [g("squeeze", part, axis=at) for part in g.all("split", dy, parts=len(xs), axis=at)]}


@operation(half="moves", mixes={"x": lambda **how: _repeated_axes(**how)})
def tile(x: TensorType, repeats: list[Dim]) -> TensorType:
    """`x` repeated as a whole, so often along each axis. ONNX Tile.

    tile(x: f32[n, 2], repeats=[1, 3]) -> f32[n, 6]
    """
    if len(repeats) != x.rank:
        raise OpError(f"`repeats` must have a number for each axis of {x}", argument="repeats", code="E0414")
    return x.with_shape(size * Dim.of(times) for size, times in zip(x.shape, repeats, strict=True))


def _repeated_axes(x: TensorType, repeats: Sequence[Dim]) -> list[int]:
    return [a for a, count in enumerate(repeats[len(repeats) - x.rank :]) if not same(count, 1)]


@tile.reference
def _(np: NumPy, x: Array, repeats: Sequence[int]) -> Array:
    return np.tile(x, repeats)


@tile.lowering
def _(e: Emitter, x: Ref, repeats: Sequence[Dim]) -> Ref:
    return e.node("Tile", x, e.dims([Dim.of(times) for times in repeats]))


@tile.gradient
def _(g: Build, dy: Value, y: Value, x: Value, repeats: Sequence[Dim]) -> Gradients:
    sizes = [d for times, size in zip(repeats, x.type.shape, strict=True) for d in (Dim.of(times), size)]
    return {"x": g("sum", g.like(dy, x.type.with_shape(sizes)), axis=list(range(0, len(sizes), 2)))}
