"""Reductions of the rows of each group, and softmax over them: the edges of each node of a graph, the points of each
cell. As in PyTorch Geometric."""

from __future__ import annotations

from math import inf, nan
from typing import Any

from wsdl.diagnostics import limits
from wsdl.ir.dims import Dim, product
from wsdl.ir.graph import Value
from wsdl.ir.types import TensorType
from wsdl.ops._define import Rules
from wsdl.ops._errors import OpError
from wsdl.ops._groups import axes_of_group, rows_and_rest, rows_of
from wsdl.ops._interfaces import Array, Emitter, Merged, NumPy, Ref
from wsdl.ops._lowering import expanded
from wsdl.ops._rules import floating
from wsdl.ops.build import Build
from wsdl.ops.scatter import scattered_rows

Gradients = dict[str, Value]


class _Segments(Rules):
    """Base of reductions of the rows of each group."""

    count: Dim

    def infer(self, x: TensorType, group: TensorType) -> TensorType:
        _, rest = rows_and_rest(floating(x), group, several=False)
        known = Dim.of(self.count).constant
        if known is not None and not 1 <= known <= limits.PARAMETER:
            raise OpError(f"`count` must be at least 1, but is {known}", argument="count", code="E0414")
        return x.with_shape([self.count, *rest])

    def _sums(self, b: Build, x: Value, group: Value) -> Value:
        return b("scatter_add", b.zeros(self.infer(x.type, group.type)), group, x)

    def _rows(self, b: Build, x: Value, group: Value) -> Value:
        """How many rows each group has, in the dtype of `x`, [count]."""
        return self._sums(b, b("ones", shape=list(group.type.shape), dtype=x.type.dtype), group)

    def _beside(self, b: Build, rows: Value, results: Value) -> Value:
        """A number for each group, so that it broadcasts to the results."""
        return b("reshape", rows, shape=[Dim.of(self.count), *[Dim.of(1)] * (results.type.rank - 1)])


class SegmentSum(_Segments, name="segment_sum", half="expanded", mixes={"x": slice(None)}, integer_operands=["group"]):
    """The sum of the rows of each of `count` groups, 0 for a group without rows. ONNX ScatterElements.

    `group` has the first axes of `x`, and integers below `count`; a negative one counts from the end.

        segment_sum(x: f32[n, 4], group: i64[n], count=3) -> f32[3, 4]
    """

    def expand(self, b: Build, x: Value, group: Value) -> Value:
        return self._sums(b, x, group)


class SegmentMean(
    _Segments, name="segment_mean", half="expanded", mixes={"x": slice(None)}, integer_operands=["group"]
):
    """The mean of the rows of each of `count` groups, 0 for a group without rows. ONNX ScatterElements and Div.

    `group` has the first axes of `x`, and integers below `count`; a negative one counts from the end.

        segment_mean(x: f32[n, 4], group: i64[n], count=3) -> f32[3, 4]
    """

    def expand(self, b: Build, x: Value, group: Value) -> Value:
        sums = self._sums(b, x, group)
        rows = b("maximum", self._rows(b, x, group), 1.0)
        return b("div", sums, self._beside(b, rows, sums))


class SegmentMax(_Segments, name="segment_max", half="expanded", mixes={"x": slice(None)}, integer_operands=["group"]):
    """The largest elements of the rows of each of `count` groups, 0 for a group without rows, NaN for one with a NaN.
    ONNX ScatterElements.

    `group` has the first axes of `x`, and integers below `count`; a negative one counts from the end.

        segment_max(x: f32[n, 4], group: i64[n], count=3) -> f32[3, 4]
    """

    def expand(self, b: Build, x: Value, group: Value) -> Value:
        largest = b("segment_largest", x, group, count=self.count)
        rows = self._rows(b, x, group)
        result = b("where", b("greater", self._beside(b, rows, largest), 0.0), largest, b.zeros(largest.type))
        nans = self._sums(b, b.mask(b("not_equal", x, x), x.type), group)
        return b("where", b("greater", nans, 0.0), b.constant(nan, x.type), result)


class SegmentMin(_Segments, name="segment_min", half="expanded", mixes={"x": slice(None)}, integer_operands=["group"]):
    """The smallest elements of the rows of each of `count` groups, 0 for a group without rows, NaN for one with a NaN.
    ONNX ScatterElements and Neg.

    `group` has the first axes of `x`, and integers below `count`; a negative one counts from the end.

        segment_min(x: f32[n, 4], group: i64[n], count=3) -> f32[3, 4]
    """

    def expand(self, b: Build, x: Value, group: Value) -> Value:
        return b("neg", b("segment_max", b("neg", x), group, count=self.count))


class SegmentSoftmax(
    _Segments, name="segment_softmax", half="expanded", mixes={"x": slice(None)}, integer_operands=["group"]
):
    """Softmax over the rows of each of `count` groups: the results of a group add up to 1, for each element of a row.
    ONNX ScatterElements, Gather, Exp and Div.

    `group` has the first axes of `x`, and integers below `count`; a negative one counts from the end. PyTorch
    Geometric's `softmax`, the attention of each node over its edges.

        segment_softmax(x: f32[n, 4], group: i64[n], count=3) -> f32[n, 4]
    """

    def infer(self, x: TensorType, group: TensorType) -> TensorType:
        super().infer(x, group)
        return x

    def expand(self, b: Build, x: Value, group: Value) -> Value:
        largest = b("stop_gradient", b("segment_largest", x, group, count=self.count))
        powers = b("exp", b("sub", x, b("gather", largest, group)))
        sums = b("segment_sum", powers, group, count=self.count)
        return b("div", powers, b("gather", sums, group))


class SegmentLargest(
    _Segments,
    name="segment_largest",
    internal=True,
    half="moves",
    mixes={},
    reduces={"x": axes_of_group, "group": slice(None)},
    steps_along=None,
    integer_operands=["group"],
):
    """The largest elements of the rows of each group, minus infinity for a group without rows. ONNX ScatterElements.

    Of rows with a NaN the result isn't defined: ONNX Runtime 1.32 only keeps one that comes last.
    """

    def reference(self, np: NumPy, x: Array, group: Array) -> Array:
        result = np.full((self.count, *x.shape[group.ndim :]), -np.inf, x.dtype)
        np.maximum.at(result, group.ravel().astype(np.int64), rows_of(x, group, several=False))
        return result

    def merge(self, b: Build, merged: Merged, y: Value, *_: Any) -> Value:
        return merged("max", y)

    def share(self, b: Build, merged: Merged, y: Value, x: Value, group: Value) -> Value:
        """Equal shares for all elements with that value, in any part."""
        tied = self._tied(b, merged("max", y), x, group)
        count = merged("sum", self._sums(b, tied, group))
        return b("div", self._sums(b, b.mul(x, tied), group), b("maximum", count, 1.0))

    def lower(self, e: Emitter, x: Ref, group: Ref) -> Ref:
        result = e.results[0]
        lowest = expanded(e, e.constant(-inf, result.dtype), result.shape).typed(result)
        return scattered_rows(e, "max", lowest, group, x, product(result.shape[1:]))

    def gradient(self, g: Build, dy: Value, y: Value, x: Value, group: Value) -> Gradients:
        """Equal shares for all elements with that value."""
        tied = self._tied(g, y, x, group)
        shares = g("div", dy, g("maximum", self._sums(g, tied, group), 1.0))
        return {"x": g.mul(tied, g("gather", shares, group))}

    def _tied(self, b: Build, largest: Value, x: Value, group: Value) -> Value:
        """1 for each element that is the largest of its group, 0 for others."""
        return b.mask(b("equal", x, b("gather", largest, group)), x.type)
