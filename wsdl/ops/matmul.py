"""The matrix product. A stored matrix that is read transposed is stored once, as it is: `Gemm` has a flag for that."""

from __future__ import annotations

from typing import Any

from wsdl.ir.dims import Dim, product, same
from wsdl.ir.graph import Value
from wsdl.ir.types import TensorType
from wsdl.ir.views import View
from wsdl.ops._define import Rules
from wsdl.ops._errors import OpError
from wsdl.ops._interfaces import Array, Emitter, Merged, NumPy, Ref, Stacks
from wsdl.ops._lowering import squeezed, unsqueezed
from wsdl.ops._rules import agreed, broadcast, floating, numeric, same_dtype
from wsdl.ops.build import Build


class Matmul(
    Rules, name="matmul", half="f16", mixes={}, reduces={"a": [-1], "b": lambda _, a, b: [-2] if b.rank > 1 else [0]}
):
    """`a @ b`: the matrix product over the last two axes; those before broadcast. ONNX MatMul and Gemm.

    `[..., i, k] @ [..., k, j]` is `[..., i, j]`. A vector `a` counts as a row, a vector `b` as a column.

        matmul(a: f32[n, t, 4], b: f32[4, 8]) -> f32[n, t, 8]
    """

    def infer(self, a: TensorType, b: TensorType) -> TensorType:
        for argument, x in ("a", a), ("b", b):
            if numeric(x, argument).dtype in ("i8", "i16", "u8"):
                help = f"`cast({argument}, i32)` converts it"
                raise OpError(f"`@` doesn't multiply {x.dtype}", argument=argument, help=help, code="E0403")
            if x.rank == 0:
                raise OpError(f"`@` needs axes, but `{argument}` is a scalar", argument=argument, help="use `*`")
        same_dtype("b", a, b)
        rows, columns = a.shape[-2:-1], b.shape[-1:] if b.rank > 1 else ()
        fits_transposed = b.rank == 2 and same(a.shape[-1], b.shape[-1])
        agreed(
            a.shape[-1],
            b.shape[-2] if b.rank > 1 else b.shape[0],
            f"the last axis of {a} and the {'second-last' if b.rank > 1 else 'only'} axis of {b} must be equal",
            argument="b",
            help="the shapes match transposed: use `.T`" if fits_transposed else None,
        )
        return a.with_shape((*broadcast(a.shape[:-2], b.shape[:-2]), *rows, *columns))

    def merge(self, b: Build, merged: Merged, y: Value, *_: Any) -> Value:
        return merged("sum", y)

    def reference(self, np: NumPy, a: Array, b: Array) -> Array:
        return np.matmul(a, b)

    def lower(self, e: Emitter, a: Ref, b: Ref) -> Ref:
        stored_a, stored_b = _behind_transpose(e, a), _behind_transpose(e, b)
        if stored_a is None and stored_b is None:
            return _product(e, a, b)
        matrices = b.type.rank <= 2 and (a.type.rank <= 2 or stored_a is None)
        if a.type.is_float and matrices:
            return _gemm(e, a, b, stored_a, stored_b)
        if min(a.type.rank, b.type.rank) == 1:
            return _product(e, a, b)
        swapped = e.node(
            "MatMul", stored_b or _transposed(e, b), stored_a or _transposed(e, a)
        )  # (a @ b).T is b.T @ a.T
        return _transposed(e, swapped.typed(e.results[0]))

    def batch(self, stacks: Stacks, a: Value, b: Value) -> Value | None:
        whole_a, whole_b = stacks.stack(a), stacks.stack(b)
        if whole_a is None or a.type.rank < 2 or b.type.rank < 2:
            return None
        if b.type.rank != (2 if whole_b is None else a.type.rank):
            return None
        product: Value = stacks.build("matmul", whole_a, whole_b or b)
        return product

    def macs(self, y: TensorType, a: TensorType, b: TensorType) -> Dim:
        return y.elements * a.shape[-1]

    def gradient(self, g: Build, dy: Value, y: Value, a: Value, b: Value) -> dict[str, Value]:
        """If `b` is one matrix, its gradient is a single matrix product: one for each element of the batch, added up
        later, would take memory for as many copies of `b`."""
        if b.type.rank <= 2:
            rows, inner = product(a.type.shape[:-1]), a.type.shape[-1]
            columns = b.type.shape[1] if b.type.rank == 2 else Dim.of(1)
            flat_a, flat_b, flat_dy = (
                g.like(x, x.type.with_shape(shape))
                for x, shape in ((a, (rows, inner)), (b, (inner, columns)), (dy, (rows, columns)))
            )
            is_wide = ((columns - inner * 2).constant or 0) > 0
            scaled = g.scaled_rows(dy, rows, columns) if is_wide else None
            if scaled is not None:  # it is cheaper to scale the narrower matrix
                flat_dy, column = scaled
                by_a = g.mul(g("gemm", flat_dy, flat_b, trans_b=True), column)
                by_b = g("gemm", g.mul(flat_a, column), flat_dy, trans_a=True)
            else:
                by_a, by_b = g("gemm", flat_dy, flat_b, trans_b=True), g("gemm", flat_a, flat_dy, trans_a=True)
            return {"a": g.like(by_a, a.type), "b": g.like(by_b, b.type)}
        if a.type.rank == 1:
            row, dy = g("unsqueeze", a, axis=0), g("unsqueeze", dy, axis=-2)
            return {
                "a": g("squeeze", g("matmul", dy, _turned(g, b)), axis=-2),
                "b": g("matmul", _turned(g, row), dy),
            }
        return {"a": g("matmul", dy, _turned(g, b)), "b": g("matmul", _turned(g, a), dy)}


def _product(e: Emitter, a: Ref, b: Ref) -> Ref:
    """A vector becomes a column: ONNX Runtime 1.32 computes the product of a transposed matrix and a vector wrongly."""
    if b.type.rank > 1 or a.type.rank == 1:
        return e.node("MatMul", a, b)
    return squeezed(e, e.node("MatMul", a, unsqueezed(e, b, 1)), -1)


def _gemm(e: Emitter, a: Ref, b: Ref, stored_a: Ref | None, stored_b: Ref | None) -> Ref:
    """`Gemm` over stored matrices as they are; the leading axes of `a` become rows around it."""
    rows, inner = product(a.type.shape[:-1]), a.type.shape[-1]
    columns = b.type.shape[1:] or (Dim.of(1),)
    left = stored_a or e.reshape(a, (rows, inner))
    right = stored_b or e.reshape(b, (inner, *columns))
    y = e.node("Gemm", left, right, transA=int(stored_a is not None), transB=int(stored_b is not None))
    return e.reshape(y.typed(a.type.with_shape((rows, *columns))), e.results[0].shape)


def _turned(g: Build, x: Value) -> Value:
    return g("permute", x, axes=_swapped(x.type.rank))


class Gemm(
    Rules,
    name="gemm",
    internal=True,
    half="f16",
    mixes={},
    reduces={
        "a": lambda op, a, b: [0] if op.trans_a else [1],
        "b": lambda op, a, b: [1] if op.trans_b else [0],
    },
):
    """`a @ b` of two floating-point matrices, each optionally transposed. ONNX Gemm.

    For the gradients of `@`; programs write `a.T @ b`.
    """

    trans_a: bool = False
    trans_b: bool = False

    def infer(self, a: TensorType, b: TensorType) -> TensorType:
        same_dtype("b", floating(a, "a"), floating(b, "b"))
        for argument, x in ("a", a), ("b", b):
            if x.rank != 2:
                help = "`@` multiplies tensors of any rank"
                raise OpError(f"`{argument}` must be a matrix, but is {x}", argument=argument, help=help)
        (rows, inner), (inner_b, columns) = _matrix(a, self.trans_a), _matrix(b, self.trans_b)
        agreed(inner, inner_b, f"the inner axes of {a} and {b} must be equal", argument="b")
        return a.with_shape((rows, columns))

    def macs(self, y: TensorType, a: TensorType, b: TensorType) -> Dim:
        return y.elements * _matrix(a, self.trans_a)[1]

    def merge(self, b: Build, merged: Merged, y: Value, *_: Any) -> Value:
        return merged("sum", y)

    def reference(self, np: NumPy, a: Array, b: Array) -> Array:
        return (a.T if self.trans_a else a) @ (b.T if self.trans_b else b)

    def lower(self, e: Emitter, a: Ref, b: Ref) -> Ref:
        stored_a, stored_b = _behind_transpose(e, a), _behind_transpose(e, b)
        turn_a, turn_b = self.trans_a != (stored_a is not None), self.trans_b != (stored_b is not None)
        return e.node("Gemm", stored_a or a, stored_b or b, transA=int(turn_a), transB=int(turn_b))

    def batch(self, stacks: Stacks, a: Value, b: Value) -> Value | None:
        """The rows of all steps make one matrix."""
        whole, build = stacks.stack(a), stacks.build
        if whole is None or stacks.stack(b) is not None or self.trans_a:
            return None
        rows = whole.type.with_shape((product(whole.type.shape[:2]), whole.type.shape[2]))
        y = build("gemm", build.like(whole, rows), b, trans_b=self.trans_b)
        steps: Value = build.like(y, y.type.with_shape((*whole.type.shape[:2], y.type.shape[1])))
        return steps

    def gradient(self, g: Build, dy: Value, y: Value, a: Value, b: Value) -> dict[str, Value]:
        by_a = (b, dy, self.trans_b, True) if self.trans_a else (dy, b, False, not self.trans_b)
        by_b = (dy, a, True, self.trans_a) if self.trans_b else (a, dy, not self.trans_a, False)
        return {
            name: g("gemm", left, right, trans_a=turn_left, trans_b=turn_right)
            for name, (left, right, turn_left, turn_right) in (("a", by_a), ("b", by_b))
        }


def _matrix(x: TensorType, transposed: bool) -> tuple[Dim, Dim]:
    rows, columns = x.shape
    return (columns, rows) if transposed else (rows, columns)


def _behind_transpose(e: Emitter, x: Ref) -> Ref | None:
    """The stored tensor of which `x` is the transpose of the last two axes; `None` if it is none."""
    parameter = e.parameter(x)
    if parameter is None or x.type.rank < 2:
        return None
    stored, view = parameter
    if view.is_identity or stored.type.rank != x.type.rank:
        return None
    return stored if view.reads_like(View.identity(view.source).permute(_swapped(x.type.rank))) else None


def _transposed(e: Emitter, x: Ref) -> Ref:
    return e.node("Transpose", x, perm=_swapped(x.type.rank))


def _swapped(rank: int) -> list[int]:
    return [*range(rank - 2), rank - 1, rank - 2]
