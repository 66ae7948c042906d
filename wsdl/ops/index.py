"""Elements selected by indices or by order."""

from __future__ import annotations

from collections.abc import Sequence

from wsdl.ir.dims import Dim
from wsdl.ir.graph import Value
from wsdl.ir.types import TensorType
from wsdl.ops._define import Rules
from wsdl.ops._errors import OpError, require_equal
from wsdl.ops._interfaces import Array, Emitter, Numbers, NumPy, Ref, Types
from wsdl.ops._lowering import cast_to, from_start
from wsdl.ops._rules import axis_of, numeric
from wsdl.ops.build import Build


class Gather(Rules, name="gather", half="moves", mixes={"x": "axis"}, steps_along=None, integer_operands=["indices"]):
    """The slices of `x` at indices along an axis, such as a row of a table for each index. ONNX Gather.

    The axis is replaced by the axes of `indices`. A negative index counts from the end, as in NumPy; with
    `from_end=false` it stops the run, as one that is too large does.

        gather(x: f32[9, 4], indices: i64[n, t]) -> f32[n, t, 4]
    """

    axis: int = 0
    from_end: bool = True

    def infer(self, x: TensorType, indices: TensorType) -> TensorType:
        at = axis_of(self.axis, x.rank)
        return x.with_shape((*x.shape[:at], *indices.shape, *x.shape[at + 1 :]))

    def demand(self, types: Types, constants: Numbers) -> None:
        x = types["x"]
        _must_be_there(x, constants.get("indices", []), axis_of(self.axis, x.rank), self.from_end)

    def reference(self, np: NumPy, x: Array, indices: Array) -> Array:
        return np.take(x, _checked(np, indices, self.from_end), self.axis)

    def lower(self, e: Emitter, x: Ref, indices: Ref) -> Ref:
        at, picks = axis_of(self.axis, x.type.rank), as_indices(e, indices)
        stored, order = _behind_permute(e, x)
        parts = _picked(e, "Gather", stored, picks, x.type.shape[at], order[at], self.from_end)
        if order == sorted(order):
            return parts
        new = indices.type.rank  # the stored order, with the picked axis replaced by the axes of the indices
        axes_after = {a: [a + (new - 1) * (a > order[at])] for a in order}
        axes_after[order[at]] = list(range(order[at], order[at] + new))
        return e.node("Transpose", parts, perm=[position for a in order for position in axes_after[a]])

    def gradient(self, g: Build, dy: Value, y: Value, x: Value, indices: Value) -> dict[str, Value]:
        return {"x": g("scatter_add", g.zeros(x.type), indices, dy, axis=self.axis)}


def _behind_permute(e: Emitter, x: Ref) -> tuple[Ref, list[int]]:
    """The stored tensor of which `x` is a permutation, and the order of the axes; otherwise `x` itself."""
    parameter = e.parameter(x)
    if parameter is not None:
        stored, view = parameter
        if [step.kind for step in view.steps] == ["permute"]:
            return stored, list(view.steps[0].numbers)
    return x, list(range(x.type.rank))


def as_indices(e: Emitter, indices: Ref) -> Ref:
    if indices.type.dtype in ("i32", "i64"):
        return indices
    return cast_to(e, indices, "i64").typed(indices.type.with_dtype("i64"))


def _picked(e: Emitter, op_type: str, x: Ref, indices: Ref, size: Dim, axis: int, from_end: bool) -> Ref:
    if from_end:
        return e.node(op_type, x, indices, axis=axis)
    parts = e.node(op_type, x, from_start(e, indices, size), axis=axis)
    e.assume(f"indices from 0 to {size - 1}")
    return parts


def _must_be_there(x: TensorType, indices: Sequence[float], axis: int, from_end: bool) -> None:
    """Raises `OpError` for a constant index that is out of range."""
    size = x.shape[axis].constant
    beyond = next((n for n in indices if size is not None and not -size * from_end <= n < size), None)
    if beyond is not None:
        message = f"there is no element {beyond} along axis {axis} of {x}"
        raise OpError(message, argument="indices", help="elements are counted from 0", code="E0237")


def _checked(np: NumPy, indices: Array, from_end: bool) -> Array:
    if not from_end and (indices < 0).any():
        raise IndexError("an index is negative")
    return indices.astype(np.int64)


class TakeAlong(
    Rules, name="take_along", half="moves", mixes={"x": "axis"}, steps_along=None, integer_operands=["indices"]
):
    """Elements of `x` at indices along an axis, each at its own position along the others. ONNX GatherElements.

    A negative index counts from the end, as in NumPy, or with `from_end=false` stops the run, as in PyTorch's `gather`.

        take_along(x: f32[n, 9], indices: i64[n, t], axis=1) -> f32[n, t]
    """

    axis: int
    from_end: bool = True

    def infer(self, x: TensorType, indices: TensorType) -> TensorType:
        at = axis_of(self.axis, x.rank)
        if indices.rank != x.rank:
            help = "`unsqueeze` adds an axis" if indices.rank < x.rank else None
            raise OpError(f"{indices} must have as many axes as {x}", argument="indices", help=help)
        for a, (size, picks) in enumerate(zip(x.shape, indices.shape, strict=True)):
            if a != at:
                what = f"the sizes along axis {a} of {x} and {indices} must be equal"
                require_equal(size, picks, what, argument="indices")
        return x.with_shape(indices.shape)

    def demand(self, types: Types, constants: Numbers) -> None:
        x = types["x"]
        _must_be_there(x, constants.get("indices", []), axis_of(self.axis, x.rank), self.from_end)

    def reference(self, np: NumPy, x: Array, indices: Array) -> Array:
        return np.take_along_axis(x, _checked(np, indices, self.from_end), self.axis)

    def lower(self, e: Emitter, x: Ref, indices: Ref) -> Ref:
        at = axis_of(self.axis, x.type.rank)
        return _picked(e, "GatherElements", x, as_indices(e, indices), x.type.shape[at], self.axis, self.from_end)

    def gradient(self, g: Build, dy: Value, y: Value, x: Value, indices: Value) -> dict[str, Value]:
        return {"x": g("scatter_add_along", g.zeros(x.type), indices, dy, axis=self.axis)}


class Topk(Rules, name="topk", half="moves", mixes={"x": "axis", "result": "axis"}, steps_along="axis"):
    """The `k` largest elements along an axis, or the smallest, in order; and their indices, as i64. ONNX TopK.

    Of equal elements the first comes first. `k` can be a dynamic dimension; the run checks that the axis has that many
    elements.

        topk(x: f32[n, 5], k=2) -> f32[n, 2], i64[n, 2]
    """

    k: Dim
    axis: int = -1
    largest: bool = True

    def infer(self, x: TensorType) -> tuple[TensorType, TensorType]:
        at, count = axis_of(self.axis, numeric(x).rank), Dim.of(self.k)
        missing = (count - x.shape[at]).constant
        if count.constant is not None and count.constant < 0:
            raise OpError(f"`k` can't be {count}", argument="k", code="E0414")
        if missing is not None and missing > 0:
            raise OpError(
                f"`k` is {count}, but axis {self.axis} of {x} has {x.shape[at]} elements", argument="k", code="E0414"
            )
        values = x.with_dim(at, count)
        return values, values.with_dtype("i64")

    def reference(self, np: NumPy, x: Array) -> tuple[Array, Array]:
        if self.largest:  # sort in reverse, so that of equal elements the first comes first
            order = (
                x.shape[self.axis] - 1 - np.flip(np.argsort(np.flip(x, self.axis), self.axis, kind="stable"), self.axis)
            )
        else:
            order = np.argsort(x, self.axis, kind="stable")
        positions = np.take(order, np.arange(self.k), self.axis)
        return np.take_along_axis(x, positions, self.axis), positions

    def lower(self, e: Emitter, x: Ref) -> list[Ref]:
        dtype = x.type.dtype
        given = cast_to(e, x, "f32") if dtype == "bf16" else x
        values, axes_after = e.nodes(
            "TopK", given, e.dims([Dim.of(self.k)]), outputs=2, axis=self.axis, largest=int(self.largest)
        )
        e.assume(f"{x.type.shape[axis_of(self.axis, x.type.rank)]} >= {self.k}")
        return [cast_to(e, values, dtype) if dtype == "bf16" else values, axes_after]

    def gradient(self, g: Build, dy: list[Value | None], y: list[Value], x: Value) -> dict[str, Value]:
        """To the elements that were selected."""
        if dy[0] is None:
            return {}
        return {"x": g("scatter_add_along", g.zeros(x.type), y[1], dy[0], axis=self.axis)}
