"""Sums, means and extremes of elements that indices put together."""

from __future__ import annotations

from math import nan
from typing import Any

from wsdl.ir.dims import Dim, product
from wsdl.ir.graph import Value
from wsdl.ir.types import TensorType
from wsdl.ops._define import OPERATIONS, Rules
from wsdl.ops._errors import OpError, require_equal
from wsdl.ops._interfaces import Array, Emitter, Merged, NumPy, Ref
from wsdl.ops._lowering import cast_to, size_of
from wsdl.ops._rules import axis_of, floating, same_dtype
from wsdl.ops.build import Build
from wsdl.ops.index import as_indices


def _axes_of_indices(op: Any, x: TensorType, indices: TensorType, updates: TensorType) -> range:
    """The axes of `updates` that are those of `indices`."""
    return range(op.axis % x.rank, op.axis % x.rank + indices.rank)


class _Scatter(Rules):
    """Base of what reduces `updates` onto the slices that `gather` selects."""

    axis: int = 0

    def infer(self, x: TensorType, indices: TensorType, updates: TensorType) -> TensorType:
        [picked] = OPERATIONS["gather"].result_types(x=floating(x), indices=indices, axis=self.axis)
        _must_be_shaped(updates, picked, f"`gather` of {x} at {indices}")
        return x

    def _reduced(self, np: NumPy, reduce: Any, x: Array, indices: Array, updates: Array) -> Array:
        at, result = self.axis % x.ndim, np.moveaxis(x, self.axis, 0).copy()
        new = list(range(indices.ndim))
        reduce.at(result, indices.astype(np.int64), np.moveaxis(updates, [at + a for a in new], new))
        return np.moveaxis(result, 0, at)

    def _lowered(self, e: Emitter, reduction: str, x: Ref, indices: Ref, updates: Ref) -> Ref:
        at, new = axis_of(self.axis, x.type.rank), indices.type.rank
        rest = [d for a, d in enumerate(x.type.shape) if a != at]
        order = [at, *(a for a in range(x.type.rank) if a != at)]
        if at > 0:
            picks_first = [at + a for a in range(new)]
            others = [a for a in range(updates.type.rank) if a not in picks_first]
            x = e.node("Transpose", x, perm=order).typed(x.type.with_shape(x.type.shape[a] for a in order))
            updates = e.node("Transpose", updates, perm=picks_first + others)
        y = scattered_rows(e, reduction, x, indices, updates, product(rest))
        return e.node("Transpose", y, perm=[order.index(a) for a in range(len(order))]) if at > 0 else y


class ScatterAdd(
    _Scatter,
    name="scatter_add",
    half="f32",
    mixes={"x": "axis"},
    steps_along=None,
    integer_operands=["indices"],
    reduces={"indices": slice(None), "updates": _axes_of_indices},
):
    """`x` with `updates` added to the slices that `gather` selects at these indices. ONNX ScatterElements.

    `updates` have the shape of `gather(x, indices, axis)`. Indices may repeat; a negative one counts from the end.

        scatter_add(x: f32[9, 4], indices: i64[n, t], updates: f32[n, t, 4]) -> f32[9, 4]
    """

    def apart(self, b: Build, x: Value, indices: Value, updates: Value) -> Value | None:
        """The updates scattered into zeros, then added to `x`."""
        if b.is_zeros(x):
            return None
        return b("add", x, b("scatter_add", b.zeros(x.type), indices, updates, axis=self.axis))

    def merge(self, b: Build, merged: Merged, y: Value, *_: Any) -> Value:
        return merged("sum", y)

    def reference(self, np: NumPy, x: Array, indices: Array, updates: Array) -> Array:
        return self._reduced(np, np.add, x, indices, updates)

    def lower(self, e: Emitter, x: Ref, indices: Ref, updates: Ref) -> Ref:
        return self._lowered(e, "add", x, indices, updates)

    def gradient(self, g: Build, dy: Value, y: Value, x: Value, indices: Value, updates: Value) -> dict[str, Value]:
        return {"x": dy, "updates": g("gather", dy, indices, axis=self.axis)}


class ScatterMax(_Scatter, name="scatter_max", half="expanded", mixes={"x": "axis"}, integer_operands=["indices"]):
    """`x`, with the largest of an element and its `updates` in the slices that `gather` selects at these indices.
    ONNX ScatterElements.

    `updates` have the shape of `gather(x, indices, axis)`. Indices may repeat; a negative one counts from the end. NaN
    stays NaN. Equal elements share the gradient. `segment_max` starts without `x`.

        scatter_max(x: f32[9, 4], indices: i64[n, t], updates: f32[n, t, 4]) -> f32[9, 4]
    """

    def expand(self, b: Build, x: Value, indices: Value, updates: Value) -> Value:
        largest = b("scatter_largest", x, indices, updates, axis=self.axis)
        nans = b.mask(b("isnan", x), x.type)
        nans = b("scatter_add", nans, indices, b.mask(b("isnan", updates), x.type), axis=self.axis)
        return b("where", b("greater", nans, 0.0), b.constant(nan, x.type), largest)


class ScatterMin(_Scatter, name="scatter_min", half="expanded", mixes={"x": "axis"}, integer_operands=["indices"]):
    """`x`, with the smallest of an element and its `updates` in the slices that `gather` selects at these indices.
    ONNX ScatterElements and Neg.

    `updates` have the shape of `gather(x, indices, axis)`. Indices may repeat; a negative one counts from the end. NaN
    stays NaN. Equal elements share the gradient. `segment_min` starts without `x`.

        scatter_min(x: f32[9, 4], indices: i64[n, t], updates: f32[n, t, 4]) -> f32[9, 4]
    """

    def expand(self, b: Build, x: Value, indices: Value, updates: Value) -> Value:
        return b("neg", b("scatter_max", b("neg", x), indices, b("neg", updates), axis=self.axis))


class ScatterMean(_Scatter, name="scatter_mean", half="expanded", mixes={"x": "axis"}, integer_operands=["indices"]):
    """`x`, with the mean of the `updates` in place of the slices that `gather` selects at these indices.

    ONNX ScatterElements, Div and Where.

    `updates` have the shape of `gather(x, indices, axis)`. Indices may repeat; a negative one counts from the end. What
    no index selects stays as it is: PyTorch's `scatter_reduce` with `include_self=False`.

        scatter_mean(x: f32[9, 4], indices: i64[n, t], updates: f32[n, t, 4]) -> f32[9, 4]
    """

    def expand(self, b: Build, x: Value, indices: Value, updates: Value) -> Value:
        axis = axis_of(self.axis, x.type.rank)
        sums = b("scatter_add", b.zeros(x.type), indices, updates, axis=axis)
        ones = b("ones", shape=list(indices.type.shape), dtype=x.type.dtype)
        counts = b("scatter_add", b.zeros(x.type.with_shape([x.type.shape[axis]])), indices, ones)
        counts = b("reshape", counts, shape=[x.type.shape[axis], *[Dim.of(1)] * (x.type.rank - axis - 1)])
        return b("where", b("greater", counts, 0.0), b("div", sums, b("maximum", counts, 1.0)), x)


class ScatterLargest(
    _Scatter,
    name="scatter_largest",
    internal=True,
    half="moves",
    mixes={"x": "axis", "indices": slice(None), "updates": lambda op, *types: _axes_of_indices(op, *types)},
    steps_along=None,
    integer_operands=["indices"],
):
    """`scatter_max` of numbers: of NaN it isn't defined. ONNX ScatterElements.

    ONNX Runtime 1.32 only keeps a NaN that comes last.
    """

    def apart(self, b: Build, x: Value, indices: Value, updates: Value) -> Value:
        """The largest updates of each slice, which can be merged, then those that are larger than `x`."""
        axis, new = axis_of(self.axis, x.type.rank), indices.type.rank
        rest = [a for a in range(updates.type.rank) if not axis <= a < axis + new]
        rows = b("permute", updates, axes=[*range(axis, axis + new), *rest])
        largest = b("segment_largest", rows, indices, count=x.type.shape[axis])
        back = [*range(1, axis + 1), 0, *range(axis + 1, x.type.rank)]
        return b("maximum", x, b("permute", largest, axes=back))

    def reference(self, np: NumPy, x: Array, indices: Array, updates: Array) -> Array:
        return self._reduced(np, np.maximum, x, indices, updates)

    def lower(self, e: Emitter, x: Ref, indices: Ref, updates: Ref) -> Ref:
        return self._lowered(e, "max", x, indices, updates)

    def gradient(self, g: Build, dy: Value, y: Value, x: Value, indices: Value, updates: Value) -> dict[str, Value]:
        """Equal shares for `x` and all updates with that value."""
        of_x = g.mask(g("equal", x, y), x.type)
        of_updates = g.mask(g("equal", updates, g("gather", y, indices, axis=self.axis)), x.type)
        count = g("scatter_add", of_x, indices, of_updates, axis=self.axis)
        share = g("div", dy, g("maximum", count, 1.0))
        of_updates = g.mul(of_updates, g("gather", share, indices, axis=self.axis))
        return {"x": g.mul(of_x, share), "updates": of_updates}


class ScatterAddAlong(
    Rules,
    name="scatter_add_along",
    half="f32",
    mixes={"x": "axis", "indices": "axis", "updates": "axis"},
    steps_along=None,
    integer_operands=["indices"],
):
    """`x` with `updates` added to the elements that `take_along` selects at these indices. ONNX ScatterElements.

    `updates` have the shape of `indices`, which may repeat; a negative one counts from the end.

        scatter_add_along(x: f32[n, 9], indices: i64[n, t], updates: f32[n, t], axis=1) -> f32[n, 9]
    """

    axis: int

    def infer(self, x: TensorType, indices: TensorType, updates: TensorType) -> TensorType:
        [result] = OPERATIONS["take_along"].result_types(x=floating(x), indices=indices, axis=self.axis)
        _must_be_shaped(updates, result, f"the indices {indices}")
        return x

    def reference(self, np: NumPy, x: Array, indices: Array, updates: Array) -> Array:
        positions = list(np.indices(indices.shape))
        positions[self.axis] = indices.astype(np.int64)
        result = x.copy()
        np.add.at(result, tuple(positions), updates)
        return result

    def lower(self, e: Emitter, x: Ref, indices: Ref, updates: Ref) -> Ref:
        return _scattered(e, "add", x, as_indices(e, indices), updates, self.axis)

    def gradient(self, g: Build, dy: Value, y: Value, x: Value, indices: Value, updates: Value) -> dict[str, Value]:
        return {"x": dy, "updates": g("take_along", dy, indices, axis=self.axis)}


# -- lowering ----------------------------------------------------------------------------------------------------------


def scattered_rows(e: Emitter, reduction: str, x: Ref, indices: Ref, updates: Ref, width: Dim) -> Ref:
    """`x`, with rows of `width` elements, after a reduction of each with the rows of `updates` at its index. Each
    element by itself, over flattened tensors, at `index * width + column`.

    `ScatterND` would take whole rows, but ONNX Runtime 1.32 adds in several threads without synchronization: where an
    index repeats, additions are lost.
    """
    flat = e.constant([-1], "i64")
    rows = e.node("Reshape", cast_to(e, indices, "i64"), e.constant([-1, 1], "i64"))
    columns = e.node("Range", e.constant(0, "i64"), size_of(e, width), e.constant(1, "i64"))
    places = e.node("Add", e.node("Mul", rows, size_of(e, width)), columns)
    flat_x, flat_places, flat_updates = (e.node("Reshape", t, flat) for t in (x, places, updates))
    y = _scattered(e, reduction, flat_x.typed(x.type), flat_places, flat_updates, axis=0)
    return e.reshape(y.typed(x.type.with_shape([x.type.elements])), x.type.shape)


def _scattered(e: Emitter, reduction: str, x: Ref, indices: Ref, updates: Ref, axis: int) -> Ref:
    """16-bit floats are reduced in f32, for which there is a kernel."""
    dtype = x.type.dtype
    if dtype in ("f16", "bf16"):
        x, updates = cast_to(e, x, "f32"), cast_to(e, updates, "f32")
    y = e.node("ScatterElements", x, indices, updates, axis=axis, reduction=reduction)
    return cast_to(e, y, dtype) if dtype in ("f16", "bf16") else y


def _must_be_shaped(updates: TensorType, expected: TensorType, what: str) -> None:
    same_dtype("updates", expected, updates)
    if updates.rank != expected.rank:
        raise OpError(f"{updates} must have the shape of {what}: {expected}", argument="updates")
    for a, (size, actual) in enumerate(zip(expected.shape, updates.shape, strict=True)):
        require_equal(
            size, actual, f"the sizes along axis {a} of {what} and of {updates} must be equal", argument="updates"
        )
