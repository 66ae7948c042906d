"""Splits rows into parts by their group, and merges the parts. The sizes of parts are known at run time only."""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil
from typing import Any, NamedTuple

from wsdl.diagnostics import limits
from wsdl.ir.dims import Dim, part_of, product
from wsdl.ir.graph import Value
from wsdl.ir.types import TensorType
from wsdl.ops._define import Rules
from wsdl.ops._errors import OpError, require_equal
from wsdl.ops._groups import rows_and_rest, rows_of
from wsdl.ops._interfaces import Array, Emitter, NumPy, Ref
from wsdl.ops._lowering import cast_to
from wsdl.ops._rules import integer, same_dtype
from wsdl.ops.build import Build

Gradients = dict[str, Any]


def _all_axes_of_group(op: Any, x: TensorType, group: TensorType, *_: Any) -> Sequence[int]:
    """With a capacity, whether a row is in its part depends on the rows before it."""
    return range(group.rank) if op.capacity is not None else ()


class Partition(
    Rules,
    name="partition",
    half="expanded",
    mixes={"x": _all_axes_of_group, "group": _all_axes_of_group},
    integer_operands=["group"],
):
    """The rows of `x` in `count` parts: part `i` has the rows whose `group` is `i`, in order. ONNX TopK and Split.

    `group` has the leading axes of `x`, which are merged into one. With `several`, it has one more axis, with several
    groups for each row. Rows whose group is negative, or not below `count`, are in no part. With `capacity=1.25`, a
    part has at most 1.25 times the mean number of rows; further rows are in no part.

    The sizes of parts are known at run time only: `n.1` is the size of the first part of `n`.

        partition(x: f32[n, 4], group: i64[n], count=2) -> f32[n.1, 4], f32[n.2, 4]
    """

    count: int
    several: bool = False
    capacity: float | None = None

    def infer(self, x: TensorType, group: TensorType) -> tuple[TensorType, ...]:
        if not 1 <= self.count <= limits.REPETITIONS:
            most = f"`count` must be from 1 to {limits.REPETITIONS:,}, but is {self.count}"
            raise OpError(most, argument="count", code="E0414")
        if self.capacity is not None and not self.capacity > 0:
            raise OpError(f"`capacity` must be above 0, but is {self.capacity}", argument="capacity", code="E0414")
        rows, rest = rows_and_rest(x, group, self.several)
        return tuple(x.with_shape([part_of(rows, i + 1), *rest]) for i in range(self.count))

    def expand(self, b: Build, x: Value, group: Value) -> list[Value]:
        rows, _ = rows_and_rest(x.type, group.type, self.several)
        before = b.parts()
        sizes = [part_of(rows, before + i + 1) for i in range(self.count)]
        return b.all("partition_rows", x, group, rows=sizes, several=self.several, capacity=self.capacity)


class PartitionRows(
    Rules,
    name="partition_rows",
    internal=True,
    half="moves",
    mixes={"x": _all_axes_of_group, "group": _all_axes_of_group},
    steps_along=None,
    integer_operands=["group"],
):
    """`partition` with names for the sizes of its parts. ONNX TopK, Gather and Split."""

    rows: list[Dim]
    several: bool = False
    capacity: float | None = None

    def infer(self, x: TensorType, group: TensorType) -> tuple[TensorType, ...]:
        _, rest = rows_and_rest(x, group, self.several)
        return tuple(x.with_shape([size, *rest]) for size in self.rows)

    def reference(self, np: NumPy, x: Array, group: Array) -> list[Array]:
        count = len(self.rows)
        rows, members = rows_of(x, group, self.several), _members(np, group, count)
        most = group.size if self.capacity is None else ceil(self.capacity * group.size / count)
        return [rows[member[:most] // (group.shape[-1] if self.several else 1)] for member in members]

    def lower(self, e: Emitter, x: Ref, group: Ref) -> list[Ref]:
        count = len(self.rows)
        rows = _sorted(e, group, count)
        kept = rows.counts
        if self.capacity is not None:
            most = e.node("Mul", cast_to(e, e.node("Shape", rows.order), "f64"), e.constant([self.capacity], "f64"))
            most = e.node("Ceil", e.node("Div", most, e.constant([count], "f64")))
            kept = e.node("Min", kept, cast_to(e, most, "i64"))
        kept = e.node("Slice", kept, e.constant([0], "i64"), e.constant([count], "i64"))
        e.measured(self.rows, kept)
        return _split(e, x, group, self.several, rows, kept, count)

    def gradient(self, g: Build, dys: list[Value | None], ys: list[Value], x: Value, group: Value) -> Gradients:
        parts = [g.zeros(y.type) if dy is None else dy for dy, y in zip(dys, ys, strict=True)]
        dx = g("unpartition", parts, group)
        return {"x": g("sum", dx, axis=group.type.rank - 1) if self.several else dx}


class PartitionLike(
    Rules,
    name="partition_like",
    internal=True,
    half="moves",
    mixes={},
    steps_along=None,
    integer_operands=["group"],
):
    """The rows of `x` in parts with the sizes of `parts`: the gradient of `unpartition`. ONNX TopK, Gather, Split."""

    def infer(self, x: TensorType, group: TensorType, parts: list[TensorType]) -> tuple[TensorType, ...]:
        return tuple(parts)

    def reference(self, np: NumPy, x: Array, group: Array, parts: Sequence[Array]) -> list[Array]:
        rows, members = rows_of(x, group, False), _members(np, group, len(parts))
        return [rows[member[: len(part)]] for member, part in zip(members, parts, strict=True)]

    def lower(self, e: Emitter, x: Ref, group: Ref, parts: Sequence[Ref]) -> list[Ref]:
        kept = e.dims([part.type.shape[0] for part in parts])
        return _split(e, x, group, False, _sorted(e, group, len(parts)), kept, len(parts))

    def gradient(
        self, g: Build, dys: list[Value | None], ys: list[Value], x: Value, group: Value, parts: list[Value]
    ) -> Gradients:
        known = [g.zeros(y.type) if dy is None else dy for dy, y in zip(dys, ys, strict=True)]
        return {"x": g("unpartition", known, group)}


class Unpartition(Rules, name="unpartition", half="moves", mixes={}, steps_along=None, integer_operands=["group"]):
    """The inverse of `partition`: all rows in their original order, with zeros for rows in no part. ONNX Gather.

    `group` is the one passed to `partition`. The result has its axes, then those of a row of the parts. With `several`,
    the result has one row for each group of a row, to be summed.

        unpartition([a: f32[n, 4]], group: i64[n]) -> f32[n, 4]
    """

    def infer(self, parts: list[TensorType], group: TensorType) -> TensorType:
        first = parts[0]
        same_dtype("parts", *parts)
        if not first.rank:
            raise OpError("a part has rows, but this is a number", argument="parts")
        for part in parts[1:]:
            if part.rank != first.rank:
                raise OpError(f"{first} and {part} have different numbers of axes", argument="parts")
            for axis, (a, b) in enumerate(zip(first.shape[1:], part.shape[1:], strict=True), 1):
                require_equal(
                    a, b, f"the sizes along axis {axis} of {first} and {part} must be equal", argument="parts"
                )
        return first.with_shape([*integer(group, "group").shape, *first.shape[1:]])

    def reference(self, np: NumPy, parts: Sequence[Array], group: Array) -> Array:
        result = np.zeros((group.size, *parts[0].shape[1:]), parts[0].dtype)
        for part, member in zip(parts, _members(np, group, len(parts)), strict=True):
            result[member[: len(part)]] = part[: len(member)]
        return result.reshape(*group.shape, *parts[0].shape[1:])

    def lower(self, e: Emitter, parts: Sequence[Ref], group: Ref) -> Ref:
        rest = parts[0].type.shape[1:]
        rows = _sorted(e, group, len(parts))
        sizes = e.node("Concat", e.dims([part.type.shape[0] for part in parts]), e.constant([0], "i64"), axis=0)
        places = e.node("Add", e.node("Gather", _starts(e, sizes), rows.groups), rows.ranks)
        none = e.node("ReduceSum", sizes, keepdims=1)
        inside = e.node("Less", rows.ranks, e.node("Gather", sizes, rows.groups))
        places = e.node("Where", inside, places, none)
        places = e.node("ScatterElements", places, rows.order, places, axis=0)
        zeros = e.node("Expand", e.constant(0, parts[0].type.dtype), e.dims([Dim.of(1), *rest]))
        together = e.node("Concat", *parts, zeros, axis=0)
        result = e.node("Gather", together, places, axis=0)
        return e.reshape(result.typed(parts[0].type.with_shape([product(group.type.shape), *rest])), e.results[0].shape)

    def gradient(self, g: Build, dy: Value, y: Value, parts: list[Value], group: Value) -> Gradients:
        return {"parts": g.all("partition_like", dy, group, parts)}


# -- shapes ------------------------------------------------------------------------------------------------------------


def _members(np: NumPy, group: Array, count: int) -> list[Array]:
    """The positions of each part."""
    return [np.flatnonzero(group.ravel() == i) for i in range(count)]


# -- lowering ----------------------------------------------------------------------------------------------------------


class _Sorted(NamedTuple):
    """Positions sorted by their groups, which are 0 to `count`; `count` stands for no group. All are i64.

    order [m]           the positions
    groups [m]          their groups
    ranks [m]           the number of positions of the same group before each
    counts [count + 1]  the number of positions of each group
    """

    order: Ref
    groups: Ref
    ranks: Ref
    counts: Ref


def _sorted(e: Emitter, group: Ref, count: int) -> _Sorted:
    flat = e.node("Reshape", cast_to(e, group, "i64"), e.constant([-1], "i64"))
    none = e.constant(count, "i64")
    outside = e.node("Less", flat, e.constant(0, "i64"))
    flat = e.node("Min", e.node("Where", outside, none, flat), none)
    total = e.node("Shape", flat)
    groups, order = e.nodes("TopK", flat, total, outputs=2, axis=0, largest=0)
    ones = e.node("Expand", e.constant(1, "i64"), total)
    counts = e.node("ScatterElements", e.constant([0] * (count + 1), "i64"), groups, ones, axis=0, reduction="add")
    places = e.node("Range", e.constant(0, "i64"), e.node("Squeeze", total), e.constant(1, "i64"))
    ranks = e.node("Sub", places, e.node("Gather", _starts(e, counts), groups))
    return _Sorted(order, groups, ranks, counts)


def _starts(e: Emitter, sizes: Ref) -> Ref:
    """The start of each part in their concatenation."""
    return e.node("CumSum", sizes, e.constant(0, "i64"), exclusive=1)


def _split(e: Emitter, x: Ref, group: Ref, several: bool, rows: _Sorted, kept: Ref, count: int) -> list[Ref]:
    """The first rows of each of `count` groups, as many as `kept` has for the group."""
    axes = group.type.rank - several
    rest = x.type.shape[axes:]
    limits = e.node("Concat", kept, e.constant([0], "i64"), axis=0)
    order = e.node("Compress", rows.order, e.node("Less", rows.ranks, e.node("Gather", limits, rows.groups)), axis=0)
    if several:
        copies = e.node("Max", e.dims([group.type.shape[-1]]), e.constant([1], "i64"))
        order = e.node("Div", order, copies)
    flat = e.reshape(x, [product(x.type.shape[:axes]), *rest])
    picked = e.node("Gather", flat, order, axis=0)
    parts = [picked] if count == 1 else e.nodes("Split", picked, kept, outputs=count, axis=0)
    return [part.typed(type) for part, type in zip(parts, e.results, strict=True)]
