"""Operations that make tensors of numbers: constants, fillings, ranges, sizes, triangles."""

from __future__ import annotations

from collections.abc import Sequence

from wsdl.ir.dims import Dim
from wsdl.ir.graph import Value
from wsdl.ir.types import INTEGERS, DType, TensorType, holds
from wsdl.ops._define import Array, Emitter, Numbers, NumPy, Operation, OpError, Ref, Types, internal, operation
from wsdl.ops._lowering import cast_to, expanded, not_negative, size_of, squeezed, unsqueezed
from wsdl.ops._rules import axis_of, integer
from wsdl.ops.build import Build

NO_OPERAND = "it depends on no tensor"


@internal(half="makes", mixes={})
def constant(value: float | bool | list[float] | list[list[float]], dtype: DType = "f32") -> TensorType:
    """A number, or nested lists of numbers, as a tensor. An ONNX initializer."""
    shape: list[int] = []
    level: object = value
    while isinstance(level, list):
        shape.append(len(level))
        level = level[0] if level else None
    if not _is_regular(value, shape):
        raise OpError("the lists of a constant must be equally long at each depth", argument="value")
    return TensorType.of(dtype, shape)


@constant.reference
def _(np: NumPy, value: object, dtype: DType = "f32") -> Array:
    return np.array(value)


@constant.lowering
def _(e: Emitter, value: object, dtype: DType = "f32") -> Ref:
    return e.constant(value, dtype)


constant.no_gradient(NO_OPERAND)


def _is_regular(value: object, shape: Sequence[int]) -> bool:
    if not shape or not isinstance(value, list):
        return not shape and not isinstance(value, list)
    return len(value) == shape[0] and all(_is_regular(v, shape[1:]) for v in value)


# -- fillings ----------------------------------------------------------------------------------------------------------


@operation(half="makes", mixes={})
def full(shape: list[Dim], value: float | bool, dtype: DType = "f32") -> TensorType:
    """A tensor that holds one value everywhere. ONNX Expand.

    full([n, 2], 0.5) -> f32[n, 2]
    """
    if dtype != "bool" and not isinstance(value, bool):
        if dtype in INTEGERS and isinstance(value, float):
            raise OpError(f"{value} is a fraction, and {dtype} holds integers", argument="value", code="E0403")
        if not holds(dtype, value):
            message = f"{value} is {'less' if value < 0 else 'more'} than {dtype} can hold"
            raise OpError(message, argument="value", code="E0414")
    return TensorType.of(dtype, _sizes(shape))


@full.reference
def _(np: NumPy, shape: Sequence[int], value: float, dtype: DType = "f32") -> Array:
    return np.full(shape, value)


@full.lowering
def _(e: Emitter, shape: Sequence[Dim], value: float, dtype: DType = "f32") -> Ref:
    return expanded(e, e.constant(value, dtype), [Dim.of(d) for d in shape])


full.no_gradient(NO_OPERAND)


def _filling(name: str, value: int, doc: str) -> Operation:
    def infer(shape: list[Dim], dtype: DType = "f32") -> TensorType:
        return TensorType.of(dtype, _sizes(shape))

    made = operation(infer, name, f"{doc}\n\n    {name}([n, 4]) -> f32[n, 4]", half="makes", mixes={})
    made.reference(lambda np, shape, dtype="f32": np.full(shape, value))
    made.lowering(lambda e, shape, dtype="f32": expanded(e, e.constant(value, dtype), [Dim.of(d) for d in shape]))
    made.no_gradient(NO_OPERAND)
    return made


_filling("zeros", 0, "A tensor of zeros. ONNX Expand.")
_filling("ones", 1, "A tensor of ones. ONNX Expand.")


def _sizes(shape: Sequence[Dim | int]) -> Sequence[Dim | int]:
    for size in map(Dim.of, shape):
        if size.constant is not None and size.constant < 0:
            raise OpError(f"a size can't be {size}", argument="shape", code="E0405")
    return shape


# -- numbers of positions ----------------------------------------------------------------------------------------------


@operation(half="as is", mixes={"result": [0]})
def arange(start: Dim, stop: Dim | None = None) -> TensorType:
    """The integers from `start` up to but without `stop`; `arange(n)` starts at 0. ONNX Range.

    arange(t) -> i64[t]
    """
    low, high = _ends(start, stop)
    length = (high - low).constant
    if length is not None and length < 0:
        raise OpError(f"the range from {low} to {high} goes backwards", argument="start", help="`flip` reverses")
    return TensorType.of("i64", [high - low])


@arange.reference
def _(np: NumPy, start: int, stop: int | None = None) -> Array:
    return np.arange(start) if stop is None else np.arange(start, stop)


@arange.lowering
def _(e: Emitter, start: Dim, stop: Dim | None = None) -> Ref:
    low, high = _ends(start, stop)
    end = not_negative(e, size_of(e, high).typed(TensorType.of("i64")), high - low)
    return e.node("Range", size_of(e, low), end, e.constant(1, "i64"))


arange.no_gradient(NO_OPERAND)


def _ends(start: Dim | int, stop: Dim | int | None) -> tuple[Dim, Dim]:
    return (Dim.of(0), Dim.of(start)) if stop is None else (Dim.of(start), Dim.of(stop))


@internal(half="as is", mixes={})
def size(dim: Dim) -> TensorType:
    """A dimension as a number, i64. ONNX Shape."""
    return TensorType.of("i64")


@size.reference
def _(np: NumPy, dim: int) -> Array:
    return np.array(dim)


@size.lowering
def _(e: Emitter, dim: Dim) -> Ref:
    return size_of(e, Dim.of(dim))


size.no_gradient(NO_OPERAND)


@operation(half="makes", mixes={})
def one_hot(indices: TensorType, depth: int, dtype: DType = "f32", axis: int = -1) -> TensorType:
    """1 at each index along a new axis of size `depth`, 0 elsewhere. ONNX OneHot.

    An index that is not from 0 to `depth - 1` stops the run, as in PyTorch.

        one_hot(indices: i64[n, t], depth=5, axis=1) -> f32[n, 5, t]
    """
    at = axis_of(axis, integer(indices, "indices").rank + 1)
    if depth < 1:
        raise OpError(f"`depth` must be at least 1, but is {depth}", argument="depth", code="E0414")
    return TensorType.of(dtype, (*indices.shape[:at], depth, *indices.shape[at:]))


@one_hot.demand
def _(types: Types, numbers: Numbers, depth: int, dtype: DType = "f32", axis: int = -1) -> None:
    beyond = next((n for n in numbers.get("indices", []) if not 0 <= n < depth), None)
    if beyond is not None:
        raise OpError(f"there is no place {beyond} among {depth}", argument="indices", code="E0237")


@one_hot.reference
def _(np: NumPy, indices: Array, depth: int, dtype: DType = "f32", axis: int = -1) -> Array:
    if not ((indices >= 0) & (indices < depth)).all():
        raise IndexError("an index is out of range")
    places = np.arange(depth).reshape([-1, *[1] * (indices.ndim - axis % (indices.ndim + 1))])
    return places == np.expand_dims(indices.astype(np.int64), axis)


@one_hot.lowering
def _(e: Emitter, indices: Ref, depth: int, dtype: DType = "f32", axis: int = -1) -> Ref:
    count, places = e.constant(depth, "i64"), cast_to(e, indices, "i64").typed(indices.type.with_dtype("i64"))
    if e.numbers(indices) is None:
        beyond = e.node("Not", e.node("Equal", places, e.node("Mod", places, count)))
        places = e.stopped(places, beyond, f"indices from 0 to {depth - 1} for `one_hot`")
    if indices.type.rank == 0:  # there is no operator for a single one
        hot = squeezed(e, e.node("OneHot", unsqueezed(e, places, 0), count, e.constant([0, 1], "f32")), 0)
    else:
        hot = e.node("OneHot", places, count, e.constant([0, 1], "f32"), axis=axis)
    return hot if dtype == "f32" else cast_to(e, hot, dtype)


one_hot.no_gradient("an index is a whole number")


# -- triangles ---------------------------------------------------------------------------------------------------------


def _triangle(name: str, upper: bool, doc: str) -> Operation:
    def infer(x: TensorType, diagonal: int = 0) -> TensorType:
        if x.rank < 2:
            raise OpError(f"a triangle needs two axes, and {x} has {x.rank}", argument="x")
        return x

    def lowering(e: Emitter, x: Ref, diagonal: int = 0) -> Ref:
        return e.node("Trilu", x, e.constant(diagonal, "i64"), upper=int(upper))

    def gradient(g: Build, dy: Value, y: Value, x: Value, diagonal: int = 0) -> dict[str, Value]:
        return {"x": g(name, dy, diagonal=diagonal)}

    made = operation(
        infer, name, f"{doc}\n\n    {name}(x: f32[n, t, t]) -> f32[n, t, t]", half="moves", mixes={"x": [-2, -1]}
    )
    made.reference(lambda np, x, diagonal=0: getattr(np, name)(x, diagonal))
    made.lowering(lowering)
    made.gradient(gradient)
    return made


_triangle("tril", False, "The lower triangle of matrices, with `diagonal` more above the main one. ONNX Trilu.")
_triangle("triu", True, "The upper triangle of matrices, without `diagonal` more above the main one. ONNX Trilu.")
