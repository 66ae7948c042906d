"""Sorting and searching along an axis."""

from __future__ import annotations

from itertools import pairwise

from wsdl.ir.dims import Dim
from wsdl.ir.graph import Value
from wsdl.ir.types import TensorType
from wsdl.ops._define import Rules
from wsdl.ops._errors import OpError
from wsdl.ops._interfaces import Array, Emitter, Numbers, NumPy, Ref, Types
from wsdl.ops._lowering import cast_to, doublings, size_of
from wsdl.ops._reduction import not_empty, without
from wsdl.ops._rules import axis_of, floating, numeric, same_dtype
from wsdl.ops.build import Build

INDEX = "an index is an integer"


class _Sorted(Rules):
    """Base of the elements along an axis in order, and of their indices."""

    axis: int = -1
    descending: bool = False

    def _topk(self, b: Build, x: Value) -> list[Value]:
        size = x.type.shape[axis_of(self.axis, x.type.rank)]
        return b.all("topk", x, k=size, axis=self.axis, largest=self.descending)


class Sort(_Sorted, name="sort", half="expanded", mixes={"x": "axis", "result": "axis"}):
    """The elements along an axis in order, the smallest first or, `descending`, the largest. ONNX TopK.

    NaN counts as the largest, as in PyTorch.

        sort(x: f32[n, t]) -> f32[n, t]
    """

    def infer(self, x: TensorType) -> TensorType:
        axis_of(self.axis, numeric(x).rank)
        return x

    def expand(self, b: Build, x: Value) -> Value:
        return self._topk(b, x)[0]


class Argsort(_Sorted, name="argsort", half="expanded", mixes={"x": "axis", "result": "axis"}, no_gradient=INDEX):
    """The indices of the elements along an axis in the order of `sort`. ONNX TopK.

    Equal elements keep their order, with `descending` too, as with PyTorch's `stable=True`. `take_along` with these
    indices gives `sort(x)`, and the `argsort` of an `argsort` is the rank of each element.

        argsort(x: f32[n, t]) -> i64[n, t]
    """

    def infer(self, x: TensorType) -> TensorType:
        axis_of(self.axis, numeric(x).rank)
        return x.with_dtype("i64")

    def expand(self, b: Build, x: Value) -> Value:
        return self._topk(b, x)[1]


class Quantile(Rules, name="quantile", half="expanded", mixes={"x": "axis"}):
    """The number below which the part `q` of the elements along an axis is, in a straight line between two elements.
    ONNX TopK and Gather.

    `q` is 0 for the smallest and 1 for the largest element; `quantile(x, 0.5)` is NumPy's median. It is NaN where an
    element is. Without `axis` it is that of the whole tensor.

        quantile(x: f32[n, 9], 0.25, axis=1) -> f32[n]
    """

    q: float
    axis: int | None = None
    keepdims: bool = False

    def infer(self, x: TensorType) -> TensorType:
        if not 0 <= self.q <= 1:
            raise OpError(f"`q` must be from 0 to 1, but is {self.q}", argument="q", code="E0414")
        not_empty(floating(x), self.axis)
        return x.with_shape(without(x, self.axis, self.keepdims))

    def expand(self, b: Build, x: Value) -> Value:
        result = self.infer(x.type)
        if self.axis is None:
            x = b("reshape", x, shape=[x.type.elements])
        axis = axis_of(-1 if self.axis is None else self.axis, x.type.rank)
        ordered = b("sort", x, axis=axis)
        below, above, last, away = b.all("quantile_places", x, q=self.q, axis=axis)
        low, high, largest = (b("take_along", ordered, place, axis=axis) for place in (below, above, last))
        between = b("add", low, b.mul(b("sub", high, low), away))
        return b.like(b("where", b("isnan", largest), largest, between), result)


class QuantilePlaces(
    Rules,
    name="quantile_places",
    internal=True,
    half="widest",
    mixes={"x": "axis"},
    steps_along=None,
    no_gradient=INDEX,
):
    """The places below and above a quantile among ordered elements, and the last place; and how far it is from below.

    A place is an index, how far is from 0 to 1; one along the axis, and the same along the others, so that rows can be
    cut. ONNX Mul, Floor, Sub and Cast, of a size, and Expand.
    """

    q: float
    axis: int

    def infer(self, x: TensorType) -> tuple[TensorType, TensorType, TensorType, TensorType]:
        one = x.with_dim(axis_of(self.axis, x.rank), Dim.of(1))
        index = one.with_dtype("i64")
        return index, index, index, one

    def reference(self, np: NumPy, x: Array) -> list[Array]:
        last = x.shape[self.axis] - 1
        below = np.floor(self.q * last)
        shape = [1 if axis == self.axis % x.ndim else size for axis, size in enumerate(x.shape)]
        return [np.full(shape, n) for n in (below, min(below + 1, last), last, self.q * last - below)]

    def lower(self, e: Emitter, x: Ref) -> list[Ref]:
        last, one = size_of(e, x.type.shape[axis_of(self.axis, x.type.rank)] - 1), e.constant(1, "i64")
        place = e.node("Mul", cast_to(e, last, "f64"), e.constant(self.q, "f64"))
        floor = e.node("Floor", place)
        below = cast_to(e, floor, "i64")
        above = e.node("Min", e.node("Add", below, one), last)
        away = cast_to(e, e.node("Sub", place, floor), x.type.dtype)
        return [e.node("Expand", n, e.dims(e.results[0].shape)) for n in (below, above, last, away)]


class Bucketize(
    Rules,
    name="bucketize",
    half="widest",
    mixes={"boundaries": slice(None)},
    steps_along=None,
    no_gradient=INDEX,
):
    """For each element of `x` the number of boundaries below it, or with `right` of those that are not above it.

    `boundaries` ascend, a list or a tensor of one axis. NaN is above all of them. PyTorch's `bucketize`, and with
    `right` NumPy's `digitize`. ONNX Loop, Gather and GreaterOrEqual, a binary search.

        bucketize(x: f32[n, t], boundaries: f32[5]) -> i64[n, t]
    """

    right: bool = False

    def infer(self, x: TensorType, boundaries: TensorType) -> TensorType:
        same_dtype("boundaries", numeric(x), boundaries)
        if boundaries.rank != 1:
            raise OpError(f"`boundaries` must have one axis, but is {boundaries}", argument="boundaries")
        return x.with_dtype("i64")

    def demand(self, types: Types, constants: Numbers) -> None:
        numbers = constants.get("boundaries", [])
        for low, high in pairwise(numbers):
            if not low <= high:
                message = f"boundaries ascend, but {high} comes after {low}"
                raise OpError(message, argument="boundaries", help="`sort` brings them into order", code="E0414")

    def reference(self, np: NumPy, x: Array, boundaries: Array) -> Array:
        x = x[..., np.newaxis]
        return np.sum(~(boundaries > x if self.right else boundaries >= x), axis=-1)

    def lower(self, e: Emitter, x: Ref, boundaries: Ref) -> Ref:
        """The result is from `low` to `high`, a range that each step halves."""
        result, count = e.results[0], boundaries.type.shape[0]
        padded = e.node("Concat", boundaries, e.constant([0], x.type.dtype), axis=0)  # read, but not used
        test = "Greater" if self.right else "GreaterOrEqual"

        def step(i: Ref, carried: list[Ref]) -> list[Ref]:
            low, high = carried
            middle = e.node("Div", e.node("Add", low, high), e.constant(2, "i64"))
            is_above = e.node(test, e.node("Gather", padded, middle), x)
            is_open = e.node("And", e.node("Not", is_above), e.node("Less", low, high))
            above = e.node("Add", middle, e.constant(1, "i64"))
            return [e.node("Where", is_open, above, low), e.node("Where", is_above, middle, high)]

        ends = [
            e.node("Expand", end, e.dims(result.shape)).typed(result)
            for end in (e.constant(0, "i64"), size_of(e, count))
        ]
        return e.repeated(doublings(e, count + 1), ends, step)[0]
