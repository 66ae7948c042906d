"""Operations that create tensors: constants, filled tensors, ranges, sizes, triangles."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from wsdl.ir.dims import Dim
from wsdl.ir.graph import Value
from wsdl.ir.types import DType, TensorType
from wsdl.ops._define import Rules
from wsdl.ops._errors import OpError
from wsdl.ops._interfaces import Array, Emitter, Numbers, NumPy, Ref, Types
from wsdl.ops._lowering import cast_to, expanded, not_negative, size_of, squeezed, unsqueezed
from wsdl.ops._rules import axis_of, element
from wsdl.ops.build import Build

NO_OPERAND = "it depends on no tensor"


class Constant(Rules, name="constant", internal=True, half="makes", mixes={}, steps_along=None, no_gradient=NO_OPERAND):
    """A number, or nested lists of numbers, as a tensor. An ONNX initializer."""

    value: float | bool | list[float] | list[list[float]]
    dtype: DType = "f32"

    def infer(self) -> TensorType:
        shape: list[int] = []
        level: object = self.value
        while isinstance(level, list):
            shape.append(len(level))
            level = level[0] if level else None
        if not _is_regular(self.value, shape):
            raise OpError("the nested lists of a constant must have equal lengths at each depth", argument="value")
        return TensorType.of(self.dtype, shape)

    def reference(self, np: NumPy) -> Array:
        return np.array(self.value)

    def lower(self, e: Emitter) -> Ref:
        return e.constant(self.value, self.dtype)


def _is_regular(value: object, shape: Sequence[int]) -> bool:
    if not shape or not isinstance(value, list):
        return not shape and not isinstance(value, list)
    return len(value) == shape[0] and all(_is_regular(v, shape[1:]) for v in value)


# -- filled tensors ----------------------------------------------------------------------------------------------------


class Full(Rules, name="full", half="makes", mixes={}, steps_along=None, no_gradient=NO_OPERAND, unbounded=["value"]):
    """A tensor that holds one value everywhere. ONNX Expand.

    full([n, 2], 0.5) -> f32[n, 2]
    """

    shape: list[Dim]
    value: float | bool
    dtype: DType = "f32"

    def infer(self) -> TensorType:
        element(self.value, self.dtype, "value")
        return TensorType.of(self.dtype, _sizes(self.shape))

    def reference(self, np: NumPy) -> Array:
        return np.full(self.shape, self.value)

    def lower(self, e: Emitter) -> Ref:
        return expanded(e, e.constant(self.value, self.dtype), [Dim.of(d) for d in self.shape])


class _Filled(Rules):
    """Base of tensors of one number."""

    shape: list[Dim]
    dtype: DType = "f32"

    number: ClassVar[int]

    def infer(self) -> TensorType:
        return TensorType.of(self.dtype, _sizes(self.shape))

    def reference(self, np: NumPy) -> Array:
        return np.full(self.shape, self.number)

    def lower(self, e: Emitter) -> Ref:
        return expanded(e, e.constant(self.number, self.dtype), [Dim.of(d) for d in self.shape])


class Zeros(_Filled, name="zeros", half="makes", mixes={}, steps_along=None, no_gradient=NO_OPERAND):
    """A tensor of zeros. ONNX Expand.

    zeros([n, 4]) -> f32[n, 4]
    """

    number = 0


class Ones(_Filled, name="ones", half="makes", mixes={}, steps_along=None, no_gradient=NO_OPERAND):
    """A tensor of ones. ONNX Expand.

    ones([n, 4]) -> f32[n, 4]
    """

    number = 1


def _sizes(shape: Sequence[Dim | int]) -> Sequence[Dim | int]:
    for size in map(Dim.of, shape):
        if size.constant is not None and size.constant < 0:
            raise OpError(f"a size can't be {size}", argument="shape", code="E0405")
    return shape


# -- positions ---------------------------------------------------------------------------------------------------------


class Arange(Rules, name="arange", half="as is", mixes={"result": [0]}, steps_along=None, no_gradient=NO_OPERAND):
    """The integers from `start` up to but without `stop`; `arange(n)` starts at 0. ONNX Range.

    arange(t) -> i64[t]
    """

    start: Dim
    stop: Dim | None = None

    def infer(self) -> TensorType:
        low, high = _ends(self.start, self.stop)
        length = (high - low).constant
        if length is not None and length < 0:
            raise OpError(f"the range from {low} to {high} goes backwards", argument="start", help="`flip` reverses")
        return TensorType.of("i64", [high - low])

    def reference(self, np: NumPy) -> Array:
        return np.arange(self.start) if self.stop is None else np.arange(self.start, self.stop)

    def lower(self, e: Emitter) -> Ref:
        low, high = _ends(self.start, self.stop)
        end = not_negative(e, size_of(e, high).typed(TensorType.of("i64")), high - low)
        return e.node("Range", size_of(e, low), end, e.constant(1, "i64"))


def _ends(start: Dim | int, stop: Dim | int | None) -> tuple[Dim, Dim]:
    return (Dim.of(0), Dim.of(start)) if stop is None else (Dim.of(start), Dim.of(stop))


class Size(Rules, name="size", internal=True, half="as is", mixes={}, steps_along=None, no_gradient=NO_OPERAND):
    """A dimension as a number, i64. ONNX Shape."""

    dim: Dim

    def infer(self) -> TensorType:
        return TensorType.of("i64")

    def reference(self, np: NumPy) -> Array:
        return np.array(self.dim)

    def lower(self, e: Emitter) -> Ref:
        return size_of(e, Dim.of(self.dim))


class OneHot(
    Rules,
    name="one_hot",
    half="makes",
    mixes={},
    steps_along=None,
    no_gradient="an index is an integer",
    integer_operands=["indices"],
):
    """1 at each index along a new axis of size `depth`, 0 elsewhere. ONNX OneHot.

    An index outside 0 to `depth - 1` stops the run, as in PyTorch.

        one_hot(indices: i64[n, t], depth=5, axis=1) -> f32[n, 5, t]
    """

    depth: int
    dtype: DType = "f32"
    axis: int = -1

    def infer(self, indices: TensorType) -> TensorType:
        at = axis_of(self.axis, indices.rank + 1)
        if self.depth < 1:
            raise OpError(f"`depth` must be at least 1, but is {self.depth}", argument="depth", code="E0414")
        return TensorType.of(self.dtype, (*indices.shape[:at], self.depth, *indices.shape[at:]))

    def demand(self, types: Types, constants: Numbers) -> None:
        beyond = next((n for n in constants.get("indices", []) if not 0 <= n < self.depth), None)
        if beyond is not None:
            raise OpError(f"the index {beyond} is outside 0 to {self.depth - 1}", argument="indices", code="E0237")

    def reference(self, np: NumPy, indices: Array) -> Array:
        if not ((indices >= 0) & (indices < self.depth)).all():
            raise IndexError("an index is out of range")
        positions = np.arange(self.depth).reshape([-1, *[1] * (indices.ndim - self.axis % (indices.ndim + 1))])
        return positions == np.expand_dims(indices.astype(np.int64), self.axis)

    def lower(self, e: Emitter, indices: Ref) -> Ref:
        count, positions = (
            e.constant(self.depth, "i64"),
            cast_to(e, indices, "i64").typed(indices.type.with_dtype("i64")),
        )
        if e.numbers(indices) is None:
            beyond = e.node("Not", e.node("Equal", positions, e.node("Mod", positions, count)))
            positions = e.stopped(positions, beyond, f"indices from 0 to {self.depth - 1} for `one_hot`")
        if indices.type.rank == 0:  # the operator needs an axis
            hot = squeezed(e, e.node("OneHot", unsqueezed(e, positions, 0), count, e.constant([0, 1], "f32")), 0)
        else:
            hot = e.node("OneHot", positions, count, e.constant([0, 1], "f32"), axis=self.axis)
        return hot if self.dtype == "f32" else cast_to(e, hot, self.dtype)


# -- triangles ---------------------------------------------------------------------------------------------------------


class _Triangle(Rules, mixes={"x": [-2, -1]}):
    """Base of both triangles."""

    diagonal: int = 0

    upper: ClassVar[bool]

    def infer(self, x: TensorType) -> TensorType:
        if x.rank < 2:
            raise OpError(f"a triangle needs two axes, but {x} has {x.rank}", argument="x")
        return x

    def reference(self, np: NumPy, x: Array) -> Array:
        return getattr(np, self.name)(x, self.diagonal)

    def lower(self, e: Emitter, x: Ref) -> Ref:
        return e.node("Trilu", x, e.constant(self.diagonal, "i64"), upper=int(self.upper))

    def gradient(self, g: Build, dy: Value, y: Value, x: Value) -> dict[str, Value]:
        return {"x": g(self.name, dy, diagonal=self.diagonal)}


class Tril(_Triangle, name="tril", half="moves", steps_along=None):
    """The lower triangle of matrices, up to `diagonal` diagonals above the main one. ONNX Trilu.

    tril(x: f32[n, t, t]) -> f32[n, t, t]
    """

    upper = False


class Triu(_Triangle, name="triu", half="moves", steps_along=None):
    """The upper triangle of matrices, from `diagonal` diagonals above the main one. ONNX Trilu.

    triu(x: f32[n, t, t]) -> f32[n, t, t]
    """

    upper = True
