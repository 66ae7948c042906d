"""Reductions along axes: sums, means, extremes. Without `axis` they take in the whole tensor."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

from wsdl.ir.dims import Dim, product
from wsdl.ir.graph import Value
from wsdl.ir.types import DType, TensorType
from wsdl.ops._define import Array, Emitter, Merged, NumPy, Operation, OpError, Ref, internal, operation
from wsdl.ops._lowering import axes_tensor, cast_to, size_of, widely
from wsdl.ops._rules import axes_of, axis_of, floating, numeric
from wsdl.ops.build import Build

Axes = int | Sequence[int] | None
Gradients = dict[str, Value]


def without(x: TensorType, axis: Axes, keepdims: bool) -> tuple[Dim, ...]:
    """The shape after reducing axes: left out, or kept as 1."""
    axes = axes_of(axis, x.rank)
    kept = (Dim.of(1) if i in axes else d for i, d in enumerate(x.shape) if keepdims or i not in axes)
    return tuple(kept)


def _not_empty(x: TensorType, axis: Axes) -> None:
    if product([x.shape[a] for a in axes_of(axis, x.rank)]).constant == 0:
        raise OpError(f"there is nothing to choose from along the reduced axes of {x}", argument="x")


def _summed_dtype(x: TensorType) -> DType:
    return x.dtype if x.is_float else "i64"


def reduced(e: Emitter, op_type: str, x: Ref, axis: Axes, keepdims: bool = False) -> Ref:
    """The result of one of ONNX's operators of reduction."""
    axes = axes_of(axis, x.type.rank)
    return e.node(op_type, x, axes_tensor(e, axes), keepdims=int(keepdims))


def _widened(e: Emitter, x: Ref, dtype: DType) -> Ref:
    return x if x.type.dtype == dtype else cast_to(e, x, dtype).typed(x.type.with_dtype(dtype))


def _count(x: TensorType, axis: Axes) -> Dim:
    return product([x.shape[a] for a in axes_of(axis, x.rank)])


def _kept(g: Build, reduced: Value, x: Value, axis: Axes, keepdims: bool = False) -> Value:
    """A result with the axes that it has lost, so that it broadcasts against `x`."""
    axes = axes_of(axis, x.type.rank)
    return reduced if keepdims or reduced.type.rank == 0 else g("unsqueeze", reduced, axis=axes)


# -- sums --------------------------------------------------------------------------------------------------------------


@operation(half="f32", mixes={}, steps_along="axis")
def sum_(x: TensorType, axis: int | list[int] | None = None, keepdims: bool = False) -> TensorType:
    """The sum along axes; of integers and bools as i64. ONNX ReduceSum; of i64 also BitwiseAnd.

    sum(x: f32[n, t, 3], axis=1) -> f32[n, 3]
    """
    return TensorType(_summed_dtype(x), without(x, axis, keepdims))


sum_.reduces(x="axis")


@sum_.merge
def _(b: Build, merged: Merged, y: Value, **_: Any) -> Value:
    return merged("sum", y)


@sum_.reference
def _(np: NumPy, x: Array, axis: Axes = None, keepdims: bool = False) -> Array:
    return np.sum(x, axis=tuple(axes_of(axis, x.ndim)), keepdims=keepdims)


@sum_.lowering
def _(e: Emitter, x: Ref, axis: Axes = None, keepdims: bool = False) -> Ref:
    if x.type.dtype != "i64":
        return reduced(e, "ReduceSum", _widened(e, x, _summed_dtype(x.type)), axis, keepdims)
    half = 2**32  # ONNX Runtime adds up integers in f64, which holds 53 bits: so the two halves of each by themselves
    low = e.node("BitwiseAnd", x, e.constant(half - 1, "i64")).typed(x.type)
    high = e.node("Div", e.node("Sub", x, low), e.constant(half, "i64")).typed(x.type)
    sums = [reduced(e, "ReduceSum", part, axis, keepdims) for part in (low, high)]
    return e.node("Add", sums[0], e.node("Mul", sums[1], e.constant(half, "i64")))


@sum_.gradient
def _(g: Build, dy: Value, y: Value, x: Value, axis: Axes = None, keepdims: bool = False) -> Gradients:
    return {"x": g.expand(_kept(g, dy, x, axis, keepdims), x.type)}


@internal(half="f32", mixes={})
def sum_squares(x: TensorType) -> TensorType:
    """`sum(x * x)` in one pass over `x`. ONNX ReduceSumSquare.

    sum_squares(x: f32[n, t]) -> f32[]
    """
    return floating(x).with_shape(())


sum_squares.reduces(x=slice(None))


@sum_squares.merge
def _(b: Build, merged: Merged, y: Value, **_: Any) -> Value:
    return merged("sum", y)


@sum_squares.reference
def _(np: NumPy, x: Array) -> Array:
    return np.sum(x * x)


@sum_squares.lowering
def _(e: Emitter, x: Ref) -> Ref:
    return e.node("ReduceSumSquare", x, keepdims=0)


@sum_squares.gradient
def _(g: Build, dy: Value, y: Value, x: Value) -> Gradients:
    return {"x": g("mul", x, g("mul", dy, 2.0))}


@operation(half="f32", mixes={})
def prod(x: TensorType, axis: int | list[int] | None = None, keepdims: bool = False) -> TensorType:
    """The product along axes; of integers as i64. ONNX ReduceProd; of integers Loop and Mul.

    prod(x: f32[n, t, 3], axis=-1) -> f32[n, t]
    """
    return TensorType(_summed_dtype(numeric(x)), without(x, axis, keepdims))


prod.reduces(x="axis")


@prod.merge
def _(b: Build, merged: Merged, y: Value, **_: Any) -> Value:
    return merged("prod", y)


@prod.share
def _(b: Build, merged: Merged, y: Value, x: Value, axis: Axes = None, keepdims: bool = False) -> Value:
    """Each element times the product of all others, which is 0 where one of them is."""
    axes = axes_of(axis, x.type.rank)
    is_zero = b.mask(b("equal", x, 0.0), x.type)
    others = b("add", x, is_zero)  # 1 in place of 0
    product = merged("prod", b("prod", others, axis=axes, keepdims=True))
    zeros = merged("sum", b("sum", is_zero, axis=axes, keepdims=True))
    matters = b.mask(b("equal", is_zero, zeros), x.type)
    factors = b("stop_gradient", b.mul(b("div", product, others), matters))
    return b("sum", b("mul", x, factors), axis=axes, keepdims=keepdims)


@prod.reference
def _(np: NumPy, x: Array, axis: Axes = None, keepdims: bool = False) -> Array:
    return np.prod(x, axis=tuple(axes_of(axis, x.ndim)), keepdims=keepdims)


@prod.lowering
def _(e: Emitter, x: Ref, axis: Axes = None, keepdims: bool = False) -> Ref:
    if x.type.is_float:
        return reduced(e, "ReduceProd", x, axis, keepdims)
    return _product_of_integers(e, x, axis)


def _product_of_integers(e: Emitter, x: Ref, axis: Axes) -> Ref:
    """One factor after the other: `ReduceProd` goes by way of f64, which rounds."""
    axes = axes_of(axis, x.type.rank)
    kept = [a for a in range(x.type.rank) if a not in axes]
    shape, count = [x.type.shape[a] for a in kept], product([x.type.shape[a] for a in axes])
    order = [*axes, *kept]
    type = TensorType("i64", tuple(x.type.shape[a] for a in order))
    factors = (
        _widened(e, x, "i64") if order == sorted(order) else e.node("Transpose", _widened(e, x, "i64"), perm=order)
    )
    factors = e.reshape(factors.typed(type), [count, *shape])
    one = e.node("Expand", e.constant(1, "i64"), e.dims(shape)).typed(TensorType("i64", tuple(shape)))

    def step(i: Ref, carried: list[Ref]) -> list[Ref]:
        return [e.node("Mul", carried[0], e.node("Gather", factors, i))]

    return e.reshape(e.repeated(size_of(e, count), [one], step)[0], e.results[0].shape)


@prod.gradient
def _(g: Build, dy: Value, y: Value, x: Value, axis: Axes = None, keepdims: bool = False) -> Gradients:
    """The product of all others: where one of them is 0 only that one has a gradient, where several are none has."""
    axes = axes_of(axis, x.type.rank)
    is_zero = g.mask(g("equal", x, 0.0), x.type)
    others = g("add", x, is_zero)  # 1 in place of 0
    zeros = g("sum", is_zero, axis=axes, keepdims=True)
    quotient = g("div", g("prod", others, axis=axes, keepdims=True), others)
    matters = g.mask(g("equal", is_zero, zeros), x.type)
    return {"x": g.mul(quotient, matters, _kept(g, dy, x, axis, keepdims))}


@operation(half="f32", mixes={}, steps_along="axis")
def mean(x: TensorType, axis: int | list[int] | None = None, keepdims: bool = False) -> TensorType:
    """The mean along axes; of bools the share of those that are true, as f32. Of no elements it is NaN.

    ONNX ReduceMean; where there may be no elements, of which ONNX leaves it open, ReduceSum and Div.

        mean(x: f32[n, t, 3], axis=1) -> f32[n, 3]
    """
    dtype = "f32" if x.dtype == "bool" else floating(x).dtype
    return TensorType(dtype, without(x, axis, keepdims))


mean.reduces(x="axis")


@mean.merge
def _(b: Build, merged: Merged, y: Value, x: Value, axis: Axes = None, **_: Any) -> Value:
    return merged("mean", y, b.number_of(_count(x.type, axis), y.type))


@mean.share
def _(b: Build, merged: Merged, y: Value, x: Value, axis: Axes = None, keepdims: bool = False) -> Value:
    total = b("sum", x if x.type.is_float else b.mask(x, y.type), axis=axes_of(axis, x.type.rank), keepdims=keepdims)
    return b("div", total, merged.size(_count(x.type, axis), y.type))


@mean.reference
def _(np: NumPy, x: Array, axis: Axes = None, keepdims: bool = False) -> Array:
    axes = tuple(axes_of(axis, x.ndim))
    return np.sum(x, axis=axes, keepdims=keepdims) / np.prod([x.shape[a] for a in axes])


@mean.lowering
def _(e: Emitter, x: Ref, axis: Axes = None, keepdims: bool = False) -> Ref:
    return _mean(e, _widened(e, x, e.results[0].dtype), axis, keepdims)


def _mean(e: Emitter, x: Ref, axis: Axes, keepdims: bool) -> Ref:
    """NaN where there is nothing: ONNX Runtime's ReduceMean gives 0 there. `x` has a known type."""
    count, dtype = _count(x.type, axis), x.type.dtype
    if count.constant:
        return reduced(e, "ReduceMean", x, axis, keepdims)
    wide = x if dtype in ("f32", "f64") else _widened(e, x, "f32")  # the sum may be beyond 16 bits
    total = reduced(e, "ReduceSum", wide, axis, keepdims)
    mean = e.node("Div", total, cast_to(e, size_of(e, count), wide.type.dtype))
    return mean if wide is x else cast_to(e, mean, dtype)


@mean.gradient
def _(g: Build, dy: Value, y: Value, x: Value, axis: Axes = None, keepdims: bool = False) -> Gradients:
    share = g("div", dy, g.size(_count(x.type, axis), dy.type))
    return {"x": g.expand(_kept(g, share, x, axis, keepdims), x.type)}


@operation(half="f32", mixes={})
def var(x: TensorType, axis: int | list[int] | None = None, keepdims: bool = False, correction: int = 0) -> TensorType:
    """The variance along axes: squared differences from the mean, divided by their number minus `correction`.

    `correction=1` is the estimate from a sample, PyTorch's default; 0, NumPy's default, is what normalisation uses.
    Of no elements it is NaN. ONNX ReduceMean, or ReduceSum and Div.

        var(x: f32[n, t, 3], axis=-1) -> f32[n, t]
    """
    return TensorType(floating(x).dtype, without(x, axis, keepdims))


var.reduces(x="axis")


@var.merge
def _(
    b: Build, merged: Merged, y: Value, x: Value, axis: Axes = None, keepdims: bool = False, correction: int = 0
) -> Value:
    spread, _, count = _moments(b, merged, y, x, axis, keepdims)
    return spread if correction == 0 else b.mul(spread, b("div", count, b("sub", count, float(correction))))


@var.share
def _(
    b: Build, merged: Merged, y: Value, x: Value, axis: Axes = None, keepdims: bool = False, correction: int = 0
) -> Value:
    """Squares of the distances from the mean of the whole, which itself adds nothing to the gradient."""
    middle, count = _moments(b, merged, y, x, axis, keepdims)[1:]
    away = b("sub", x, _kept(b, middle, x, axis, keepdims))
    squares = b("sum", b.mul(away, away), axis=axes_of(axis, x.type.rank), keepdims=keepdims)
    return b("div", squares, b("sub", count, float(correction)))


def _moments(b: Build, merged: Merged, y: Value, x: Value, axis: Axes, keepdims: bool) -> list[Value]:
    """The variance of the whole (without correction), its mean, its count."""
    axes = axes_of(axis, x.type.rank)
    parts = [b(op, x, axis=axes, keepdims=keepdims) for op in ("var", "mean")]
    return merged.all("moments", *parts, b.number_of(_count(x.type, axis), y.type))


@var.reference
def _(np: NumPy, x: Array, axis: Axes = None, keepdims: bool = False, correction: int = 0) -> Array:
    axes = tuple(axes_of(axis, x.ndim))
    count = np.prod([x.shape[a] for a in axes])
    away = x - np.sum(x, axis=axes, keepdims=True) / count
    return np.sum(away * away, axis=axes, keepdims=keepdims) / (count - correction)


@var.lowering
def _(e: Emitter, x: Ref, axis: Axes = None, keepdims: bool = False, correction: int = 0) -> Ref:
    away = e.node("Sub", x, reduced(e, "ReduceMean", x, axis, keepdims=True))
    squares = e.node("Mul", away, away).typed(x.type)
    if correction == 0:
        return _mean(e, squares, axis, keepdims)
    count = product([x.type.shape[a] for a in axes_of(axis, x.type.rank)]) - correction
    return e.node("Div", reduced(e, "ReduceSum", squares, axis, keepdims), cast_to(e, size_of(e, count), x.type.dtype))


@var.gradient
def _(
    g: Build, dy: Value, y: Value, x: Value, axis: Axes = None, keepdims: bool = False, correction: int = 0
) -> Gradients:
    away = g("sub", x, g("mean", x, axis=axes_of(axis, x.type.rank), keepdims=True))
    scale = g("div", g.mul(dy, 2.0), g.size(_count(x.type, axis) - correction, dy.type))
    return {"x": g.mul(away, _kept(g, scale, x, axis, keepdims))}


@operation(half="f32", mixes={})
def logsumexp(x: TensorType, axis: int | list[int] | None = None, keepdims: bool = False) -> TensorType:
    """`log(sum(exp(x)))` along axes, without overflow. ONNX ReduceLogSumExp.

    logsumexp(x: f32[n, t, 3], axis=-1) -> f32[n, t]
    """
    return TensorType(floating(x).dtype, without(x, axis, keepdims))


logsumexp.reduces(x="axis")


@logsumexp.merge
def _(b: Build, merged: Merged, y: Value, **_: Any) -> Value:
    return merged("logsumexp", y)


@logsumexp.share
def _(b: Build, merged: Merged, y: Value, x: Value, axis: Axes = None, keepdims: bool = False) -> Value:
    powers = b("exp", b("sub", x, _kept(b, merged("logsumexp", y), x, axis, keepdims)))
    return b("sum", powers, axis=axes_of(axis, x.type.rank), keepdims=keepdims)


@logsumexp.reference
def _(np: NumPy, x: Array, axis: Axes = None, keepdims: bool = False) -> Array:
    return np.logaddexp.reduce(x, axis=tuple(axes_of(axis, x.ndim)), keepdims=keepdims)


@logsumexp.lowering
def _(e: Emitter, x: Ref, axis: Axes = None, keepdims: bool = False) -> Ref:
    return reduced(e, "ReduceLogSumExp", x, axis, keepdims)


@logsumexp.gradient
def _(g: Build, dy: Value, y: Value, x: Value, axis: Axes = None, keepdims: bool = False) -> Gradients:
    shares = g("exp", g("sub", x, _kept(g, y, x, axis, keepdims)))
    return {"x": g.mul(shares, _kept(g, dy, x, axis, keepdims))}


@operation(half="f32", mixes={"x": "axis"})
def cumsum(x: TensorType, axis: int, reverse: bool = False, exclusive: bool = False) -> TensorType:
    """The sum of all elements up to each one, along an axis. ONNX CumSum.

    `reverse` starts at the end; an `exclusive` sum leaves out the element itself, so that the first is 0.

    cumsum(x: f32[n, t], axis=1) -> f32[n, t]
    """
    axis_of(axis, x.rank)
    return numeric(x).with_dtype(_summed_dtype(x))


@cumsum.reference
def _(np: NumPy, x: Array, axis: int, reverse: bool = False, exclusive: bool = False) -> Array:
    x = np.flip(x, axis) if reverse else x
    total = np.cumsum(x, axis)
    if exclusive:  # not the difference to `x`, which rounds
        total = np.roll(total, 1, axis)
        np.moveaxis(total, axis, 0)[:1] = 0
    return np.flip(total, axis) if reverse else total


@cumsum.lowering
def _(e: Emitter, x: Ref, axis: int, reverse: bool = False, exclusive: bool = False) -> Ref:
    x = _widened(e, x, _summed_dtype(x.type))
    at = e.constant(axis_of(axis, x.type.rank), "i64")
    return e.node("CumSum", x, at, reverse=int(reverse), exclusive=int(exclusive))


@cumsum.gradient
def _(g: Build, dy: Value, y: Value, x: Value, axis: int, reverse: bool = False, exclusive: bool = False) -> Gradients:
    return {"x": g("cumsum", dy, axis=axis, reverse=not reverse, exclusive=exclusive)}


# -- extremes ----------------------------------------------------------------------------------------------------------


def _extreme(name: str, how: Literal["max", "min"], numpy_name: str, op_type: str, doc: str) -> Operation:
    def infer(x: TensorType, axis: int | list[int] | None = None, keepdims: bool = False) -> TensorType:
        _not_empty(x, axis)
        return x.with_shape(without(x, axis, keepdims))

    def reference(np: NumPy, x: Array, axis: Axes = None, keepdims: bool = False) -> Array:
        return getattr(np, numpy_name)(x, axis=tuple(axes_of(axis, x.ndim)), keepdims=keepdims)

    def lowering(e: Emitter, x: Ref, axis: Axes = None, keepdims: bool = False) -> Ref:
        count = _count(x.type, axis)
        if count.constant is None:
            x = e.checked(x, "different", count, Dim.of(0))
        return widely(e, lambda x: reduced(e, op_type, x, axis, keepdims), x)

    def gradient(g: Build, dy: Value, y: Value, x: Value, axis: Axes = None, keepdims: bool = False) -> Gradients:
        """Equal shares for all that are tied."""
        tied = g.mask(g("equal", x, _kept(g, y, x, axis, keepdims)), x.type)
        count = g("sum", tied, axis=axes_of(axis, x.type.rank), keepdims=True)
        return {"x": g.mul(tied, g("div", _kept(g, dy, x, axis, keepdims), count))}

    def share(b: Build, merged: Merged, y: Value, x: Value, axis: Axes = None, keepdims: bool = False) -> Value:
        """Equal shares for all that are tied, wherever they are."""
        tied = b.mask(b("equal", x, _kept(b, merged(how, y), x, axis, keepdims)), x.type)
        axes = axes_of(axis, x.type.rank)
        count = merged("sum", b("sum", tied, axis=axes, keepdims=keepdims))
        return b("div", b("sum", b.mul(x, tied), axis=axes, keepdims=keepdims), count)

    made = operation(infer, name, f"{doc}\n\n    {name}(x: f32[n, 8], axis=1) -> f32[n]", half="moves", mixes={})
    made.reduces(x="axis")
    made.merge(lambda b, merged, y, **_: merged(how, y))
    made.share(share)
    made.reference(reference)
    made.lowering(lowering)
    made.gradient(gradient)
    return made


def _position(name: str, op_type: str, doc: str) -> Operation:
    def infer(x: TensorType, axis: int | None = None, keepdims: bool = False) -> TensorType:
        _not_empty(numeric(x), axis)
        return TensorType("i64", without(x, axis, keepdims))

    def reference(np: NumPy, x: Array, axis: int | None = None, keepdims: bool = False) -> Array:
        return getattr(np, name)(x, axis=axis, keepdims=keepdims)

    def lowering(e: Emitter, x: Ref, axis: int | None = None, keepdims: bool = False) -> Ref:
        flat = x if axis is not None else e.reshape(x, [x.type.elements])
        if x.type.dtype == "i16":
            flat = cast_to(e, flat, "i32")
        at = e.node(op_type, flat, axis=axis or 0, keepdims=int(keepdims and axis is not None))
        if (count := _count(x.type, axis)).constant is None:
            e.assume(f"{count} != 0")
        return e.reshape(at.typed(TensorType.of("i64")), e.results[0].shape) if axis is None else at

    made = operation(
        infer, name, f"{doc}\n\n    {name}(x: f32[n, 8], axis=1) -> i64[n]", half="widest", mixes={"x": "axis"}
    )
    made.reference(reference)
    made.lowering(lowering)
    made.no_gradient("an index is a whole number")
    return made


_extreme(
    "max", "max", "amax", "ReduceMax", "The largest element along axes; of bools, whether any is true. ONNX ReduceMax."
)
_extreme(
    "min", "min", "amin", "ReduceMin", "The smallest element along axes; of bools, whether all are. ONNX ReduceMin."
)
_position("argmax", "ArgMax", "The index of the largest element along an axis, of the first one if tied. ONNX ArgMax.")
_position("argmin", "ArgMin", "The index of the smallest element along an axis, of the first one if tied. ONNX ArgMin.")
