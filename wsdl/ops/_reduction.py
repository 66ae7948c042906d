"""Helpers for reductions: axes that are removed, or kept with size 1."""

from __future__ import annotations

from collections.abc import Sequence

from wsdl.ir.dims import Dim, product
from wsdl.ir.graph import Value
from wsdl.ir.types import DType, TensorType
from wsdl.ops._define import Rules
from wsdl.ops._errors import OpError
from wsdl.ops._interfaces import Emitter, Ref
from wsdl.ops._lowering import axes_tensor, cast_to, size_of, squeezed
from wsdl.ops._rules import axes_of
from wsdl.ops.build import Build

Axes = int | Sequence[int] | None
_OF_ONE_THE_SAME = ("ReduceSum", "ReduceMean", "ReduceMax", "ReduceMin", "ReduceProd")


def without(x: TensorType, axis: Axes, keepdims: bool) -> tuple[Dim, ...]:
    """The shape after reducing axes: left out, or kept as 1."""
    axes = axes_of(axis, x.rank)
    kept = (Dim.of(1) if i in axes else d for i, d in enumerate(x.shape) if keepdims or i not in axes)
    return tuple(kept)


def not_empty(x: TensorType, axis: Axes) -> None:
    if product([x.shape[a] for a in axes_of(axis, x.rank)]).constant == 0:
        raise OpError(f"the reduced axes of {x} have no elements to choose from", argument="x")


def summed_dtype(x: TensorType) -> DType:
    return x.dtype if x.is_float else "i64"


def reduced(e: Emitter, op_type: str, x: Ref, axis: Axes, keepdims: bool = False) -> Ref:
    """One of ONNX's reduction operators; none for axes of one element."""
    axes = axes_of(axis, x.type.rank)
    if op_type in _OF_ONE_THE_SAME and count_of(x.type, axes).constant == 1:
        return x if keepdims or not axes else squeezed(e, x, *axes)
    return e.node(op_type, x, axes_tensor(e, axes), keepdims=int(keepdims))


def widened(e: Emitter, x: Ref, dtype: DType) -> Ref:
    return x if x.type.dtype == dtype else cast_to(e, x, dtype).typed(x.type.with_dtype(dtype))


def count_of(x: TensorType, axis: Axes) -> Dim:
    return product([x.shape[a] for a in axes_of(axis, x.rank)])


class Reduction(Rules, reduces={"x": "axis"}):
    """Base of operations that reduce the elements along axes to one."""

    axis: int | list[int] | None = None
    keepdims: bool = False

    def _axes(self, x: TensorType) -> list[int]:
        return axes_of(self.axis, x.rank)

    def _count(self, x: TensorType) -> Dim:
        return count_of(x, self.axis)

    def _kept(self, g: Build, reduced: Value, x: Value) -> Value:
        """A result with the reduced axes as size 1, so that it broadcasts against `x`."""
        return reduced if self.keepdims or reduced.type.rank == 0 else g("unsqueeze", reduced, axis=self._axes(x.type))

    def _sum(self, g: Build, x: Value) -> Value:
        """The sum along the same axes."""
        return g("sum", x, axis=self._axes(x.type), keepdims=self.keepdims)

    def _node(self, e: Emitter, op_type: str, x: Ref, keepdims: bool | None = None) -> Ref:
        return reduced(e, op_type, x, self.axis, self.keepdims if keepdims is None else keepdims)


def product_of_integers(e: Emitter, x: Ref, axis: Axes) -> Ref:
    """One factor after the other: `ReduceProd` computes in f64, which loses digits."""
    axes = axes_of(axis, x.type.rank)
    kept = [a for a in range(x.type.rank) if a not in axes]
    shape, count = [x.type.shape[a] for a in kept], product([x.type.shape[a] for a in axes])
    order = [*axes, *kept]
    type = TensorType("i64", tuple(x.type.shape[a] for a in order))
    factors = widened(e, x, "i64") if order == sorted(order) else e.node("Transpose", widened(e, x, "i64"), perm=order)
    factors = e.reshape(factors.typed(type), [count, *shape])
    one = e.node("Expand", e.constant(1, "i64"), e.dims(shape)).typed(TensorType("i64", tuple(shape)))

    def step(i: Ref, carried: list[Ref]) -> list[Ref]:
        return [e.node("Mul", carried[0], e.node("Gather", factors, i))]

    return e.reshape(e.repeated(size_of(e, count), [one], step)[0], e.results[0].shape)
