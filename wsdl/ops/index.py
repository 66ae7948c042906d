"""Picking elements by indices that are known at run time."""

from __future__ import annotations

from wsdl.ir.types import TensorType
from wsdl.ops._define import Array, Emitter, NumPy, OpError, Ref, operation, require_equal
from wsdl.ops._lowering import cast_to
from wsdl.ops._rules import axis_of, integer


@operation
def gather(x: TensorType, indices: TensorType, axis: int = 0) -> TensorType:
    """The parts of `x` at indices along an axis: a row of a table for each index. ONNX Gather.

    The axis is replaced by the axes of `indices`; a negative index counts from the end.
    """
    at = axis_of(axis, x.rank)
    integer(indices, "indices")
    return x.with_shape((*x.shape[:at], *indices.shape, *x.shape[at + 1 :]))


@gather.reference
def _(np: NumPy, x: Array, indices: Array, axis: int = 0) -> Array:
    return np.take(x, indices.astype(np.int64), axis)


@gather.lowering
def _(e: Emitter, x: Ref, indices: Ref, axis: int = 0) -> Ref:
    at, picks = axis_of(axis, x.type.rank), _as_indices(e, indices)
    stored, order = _behind_permute(e, x)
    parts = e.node("Gather", stored, picks, axis=order[at])
    if order == sorted(order):
        return parts
    new = indices.type.rank  # the stored order, with the picked axis replaced by the axes of the indices
    places = {a: [a + (new - 1) * (a > order[at])] for a in order}
    places[order[at]] = list(range(order[at], order[at] + new))
    return e.node("Transpose", parts, perm=[place for a in order for place in places[a]])


def _behind_permute(e: Emitter, x: Ref) -> tuple[Ref, list[int]]:
    """The stored tensor that `x` is with its axes in another order, and that order; else `x` itself."""
    found = e.parameter(x)
    if found is not None:
        stored, view = found
        if [step.kind for step in view.steps] == ["permute"]:
            return stored, list(view.steps[0].numbers)
    return x, list(range(x.type.rank))


def _as_indices(e: Emitter, indices: Ref) -> Ref:
    return indices if indices.type.dtype in ("i32", "i64") else cast_to(e, indices, "i64")


@operation
def take_along(x: TensorType, indices: TensorType, axis: int) -> TensorType:
    """For each index the element of `x` there along an axis, in its place along the others. ONNX GatherElements."""
    at = axis_of(axis, x.rank)
    if integer(indices, "indices").rank != x.rank:
        help = "`unsqueeze` adds an axis" if indices.rank < x.rank else None
        raise OpError(f"{indices} must have as many axes as {x}", argument="indices", help=help)
    for a, (size, picks) in enumerate(zip(x.shape, indices.shape, strict=True)):
        if a != at:
            what = f"the sizes along axis {a} of {x} and {indices} must be equal"
            require_equal(size, picks, what, argument="indices")
    return x.with_shape(indices.shape)


@take_along.reference
def _(np: NumPy, x: Array, indices: Array, axis: int) -> Array:
    return np.take_along_axis(x, indices.astype(np.int64), axis)


@take_along.lowering
def _(e: Emitter, x: Ref, indices: Ref, axis: int) -> Ref:
    return e.node("GatherElements", x, _as_indices(e, indices), axis=axis)
