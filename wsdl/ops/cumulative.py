"""Results for all elements up to each one, along an axis: cumulative sums and products, linear recurrences."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from wsdl.ir.dims import Dim
from wsdl.ir.graph import Value
from wsdl.ir.types import TensorType
from wsdl.ops._define import Rules
from wsdl.ops._interfaces import Array, Emitter, NumPy, Ref
from wsdl.ops._lowering import axes_tensor, doublings
from wsdl.ops._reduction import summed_dtype, widened
from wsdl.ops._rules import agreed, axis_of, floating, numeric, same_dtype
from wsdl.ops.build import Build

Gradients = dict[str, Value]


class Cumsum(Rules, name="cumsum", half="f32", mixes={"x": "axis"}, steps_along=None):
    """The sum of all elements up to each one, along an axis. ONNX CumSum.

    `reverse` starts at the end; an `exclusive` sum leaves out the element itself, so that the first is 0.

        cumsum(x: f32[n, t], axis=1) -> f32[n, t]
    """

    axis: int
    reverse: bool = False
    exclusive: bool = False

    def infer(self, x: TensorType) -> TensorType:
        axis_of(self.axis, x.rank)
        return numeric(x).with_dtype(summed_dtype(x))

    def reference(self, np: NumPy, x: Array) -> Array:
        return _accumulated(np, np.cumsum, 0, self, x)

    def lower(self, e: Emitter, x: Ref) -> Ref:
        x = widened(e, x, summed_dtype(x.type))
        at = e.constant(axis_of(self.axis, x.type.rank), "i64")
        return e.node("CumSum", x, at, reverse=int(self.reverse), exclusive=int(self.exclusive))

    def gradient(self, g: Build, dy: Value, y: Value, x: Value) -> Gradients:
        return {"x": g("cumsum", dy, axis=self.axis, reverse=not self.reverse, exclusive=self.exclusive)}


class Cumprod(Rules, name="cumprod", half="f32", mixes={"x": "axis"}, steps_along="axis"):
    """The product of all elements up to each one, along an axis; of integers as i64. ONNX Loop, Slice, Mul and Concat.

    `reverse` starts at the end; an `exclusive` product leaves out the element itself, so that the first is 1. The
    gradient divides by no element, so zeros have theirs.

        cumprod(x: f32[n, t], axis=1) -> f32[n, t]
    """

    axis: int
    reverse: bool = False
    exclusive: bool = False

    def infer(self, x: TensorType) -> TensorType:
        axis_of(self.axis, x.rank)
        return numeric(x).with_dtype(summed_dtype(x))

    def reference(self, np: NumPy, x: Array) -> Array:
        return _accumulated(np, np.cumprod, 1, self, x)

    def lower(self, e: Emitter, x: Ref) -> Ref:
        x, axis = widened(e, x, summed_dtype(x.type)), axis_of(self.axis, x.type.rank)
        if self.exclusive:
            x = _moved(e, x, axis, self.reverse, first=1).typed(x.type)

        def step(parts: _Halves, xs: list[Ref]) -> list[Ref]:
            return [parts.combined(xs[0], lambda late, early: e.node("Mul", late, early))]

        return _doubled(e, [x], axis, self.reverse, step)[0]

    def gradient(self, g: Build, dy: Value, y: Value, x: Value) -> Gradients:
        """The product of the elements before, times what a unit of it adds to the results from there on."""
        axis = axis_of(self.axis, x.type.rank)
        before = y if self.exclusive else g("cumprod", x, axis=axis, reverse=self.reverse, exclusive=True)
        dy = _next(g, dy, axis, self.reverse) if self.exclusive else dy
        factors = _next(g, x, axis, self.reverse)
        after = g("linear_recurrence", factors, dy, axis=axis, reverse=not self.reverse)
        return {"x": g.mul(before, after)}


class LinearRecurrence(
    Rules,
    name="linear_recurrence",
    internal=True,
    half="f32",
    mixes={"a": "axis", "b": "axis"},
    steps_along=None,
):
    """`y[i] = a[i] * y[i - 1] + b[i]` along an axis, of which the first is `b[0]`.

    `reverse` starts at the end. ONNX Loop, Slice, Mul, Add and Concat.

        linear_recurrence(a: f32[n, t], b: f32[n, t], axis=1) -> f32[n, t]
    """

    axis: int
    reverse: bool = False

    def infer(self, a: TensorType, b: TensorType) -> TensorType:
        same_dtype("b", floating(a, "a"), b)
        axis_of(self.axis, a.rank)
        what = f"the sizes of {a} and {b} must be equal"
        return a.with_shape([agreed(*sizes, what, "b") for sizes in zip(a.shape, b.shape, strict=True)])

    def reference(self, np: NumPy, a: Array, b: Array) -> Array:
        step = -1 if self.reverse else 1
        a, b = (np.moveaxis(x, self.axis, 0)[::step] for x in (a, b))
        y = b.copy()
        for i in range(1, len(y)):
            y[i] += a[i] * y[i - 1]
        return np.moveaxis(y[::step], 0, self.axis)

    def lower(self, e: Emitter, a: Ref, b: Ref) -> Ref:
        def step(parts: _Halves, carried: list[Ref]) -> list[Ref]:
            y, a = carried
            factor = parts.late(a)
            y = parts.combined(y, lambda late, early: e.node("Add", late, e.node("Mul", factor, early)))
            return [y, parts.combined(a, lambda late, early: e.node("Mul", late, early))]

        return _doubled(e, [b, a], axis_of(self.axis, a.type.rank), self.reverse, step)[0]

    def gradient(self, g: Build, dy: Value, y: Value, a: Value, b: Value) -> Gradients:
        axis = axis_of(self.axis, a.type.rank)
        db = g("linear_recurrence", _next(g, a, axis, self.reverse), dy, axis=axis, reverse=not self.reverse)
        return {"a": g.mul(db, _next(g, y, axis, not self.reverse)), "b": db}


def _next(g: Build, x: Value, axis: int, reverse: bool) -> Value:
    """For each element the one that comes after it, 0 for the last."""
    size = x.type.shape[axis]
    widths = [[Dim.of(0), Dim.of(0)] for _ in x.type.shape]
    widths[axis] = [Dim.of(int(reverse)), Dim.of(int(not reverse))]
    start = Dim.of(int(not reverse))
    return g("slice", g("pad", x, widths=widths), starts=[start], stops=[start + size], axes=[axis])


# -- lowering ----------------------------------------------------------------------------------------------------------


class _Halves:
    """Tensors cut at `distance` from the first element along an axis: each element that has one `distance` before it
    is late, each that has one `distance` behind it is early."""

    def __init__(self, e: Emitter, axis: int, reverse: bool, distance: Ref) -> None:
        self.e, self.axis, self.reverse = e, axis, reverse
        self.ends = axes_tensor(e, [0]), axes_tensor(e, [2**63 - 1])
        self.distance, self.back = distance, e.node("Neg", distance)

    def late(self, x: Ref) -> Ref:
        return self._until(x, self.back) if self.reverse else self._from(x, self.distance)

    def early(self, x: Ref) -> Ref:
        return self._from(x, self.distance) if self.reverse else self._until(x, self.back)

    def combined(self, x: Ref, combine: Callable[[Ref, Ref], Ref]) -> Ref:
        """Each late element combined with the early one at its distance; the first ones stay."""
        first = self._from(x, self.back) if self.reverse else self._until(x, self.distance)
        late = combine(self.late(x), self.early(x))
        return self.e.node("Concat", *((late, first) if self.reverse else (first, late)), axis=self.axis)

    def _from(self, x: Ref, start: Ref) -> Ref:
        return self.e.node("Slice", x, start, self.ends[1], axes_tensor(self.e, [self.axis]))

    def _until(self, x: Ref, stop: Ref) -> Ref:
        return self.e.node("Slice", x, self.ends[0], stop, axes_tensor(self.e, [self.axis]))


def _doubled(
    e: Emitter, carried: Sequence[Ref], axis: int, reverse: bool, step: Callable[[_Halves, list[Ref]], list[Ref]]
) -> list[Ref]:
    """What each element and all before it give together, in a logarithmic number of steps: each has the results of the
    last 1, 2, 4, … elements (Hillis and Steele 1986). The `carried` have known types, and one size along the axis."""
    size = carried[0].type.shape[axis]

    def doubled(i: Ref, before: list[Ref]) -> list[Ref]:
        distance, *xs = before
        return [e.node("Add", distance, distance), *step(_Halves(e, axis, reverse, distance), xs)]

    one = axes_tensor(e, [1]).typed(TensorType.of("i64", [1]))
    return e.repeated(doublings(e, size), [one, *carried], doubled)[1:]


def _moved(e: Emitter, x: Ref, axis: int, reverse: bool, first: int) -> Ref:
    """Each element in the place of the next one; `first` in that of the first, nothing where there are none."""
    zero, one, last = (axes_tensor(e, [n]) for n in (0, 1, -1))
    along = axes_tensor(e, [axis])
    fill = e.node("Slice", x, zero, one, along)
    fill = e.node("Expand", e.constant(first, x.type.dtype), e.node("Shape", fill))
    if reverse:
        return e.node("Concat", e.node("Slice", x, one, axes_tensor(e, [2**63 - 1]), along), fill, axis=axis)
    return e.node("Concat", fill, e.node("Slice", x, zero, last, along), axis=axis)


def _accumulated(np: NumPy, accumulate: Any, first: int, op: Cumsum | Cumprod, x: Array) -> Array:
    """`np.cumsum` or `np.cumprod` with the options of the operation; an exclusive result begins with `first`."""
    x = np.flip(x, op.axis) if op.reverse else x
    total: Array = accumulate(x, op.axis)
    if op.exclusive:  # not the difference or the quotient to `x`, which rounds
        total = np.roll(total, 1, op.axis)
        np.moveaxis(total, op.axis, 0)[:1] = first
    return np.flip(total, op.axis) if op.reverse else total
