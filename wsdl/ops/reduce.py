"""Reductions along axes: sums, means, extremes. Without `axis` they reduce the whole tensor."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

from wsdl.ir.dims import Dim
from wsdl.ir.graph import Value
from wsdl.ir.types import TensorType
from wsdl.ops._define import Rules
from wsdl.ops._interfaces import Array, Emitter, Merged, NumPy, Ref
from wsdl.ops._lowering import cast_to, size_of, widely
from wsdl.ops._reduction import (
    Axes,
    Reduction,
    count_of,
    not_empty,
    product_of_integers,
    reduced,
    summed_dtype,
    widened,
    without,
)
from wsdl.ops._rules import axes_of, floating, numeric
from wsdl.ops.build import Build

Gradients = dict[str, Value]
INDEX = "an index is an integer"


# -- sums --------------------------------------------------------------------------------------------------------------


class Sum(Reduction, name="sum", half="f32", mixes={}, steps_along="axis"):
    """The sum along axes; for integers and bools as i64. ONNX ReduceSum; for i64 also BitwiseAnd.

    sum(x: f32[n, t, 3], axis=1) -> f32[n, 3]
    """

    def infer(self, x: TensorType) -> TensorType:
        return TensorType(summed_dtype(x), without(x, self.axis, self.keepdims))

    def merge(self, b: Build, merged: Merged, y: Value, *_: Any) -> Value:
        return merged("sum", y)

    def reference(self, np: NumPy, x: Array) -> Array:
        return np.sum(x, axis=tuple(axes_of(self.axis, x.ndim)), keepdims=self.keepdims)

    def lower(self, e: Emitter, x: Ref) -> Ref:
        if x.type.dtype != "i64":
            return self._node(e, "ReduceSum", widened(e, x, summed_dtype(x.type)))
        # ONNX Runtime adds integers in f64, which has 53 bits: so both halves of each are added separately.
        half = 2**32
        low = e.node("BitwiseAnd", x, e.constant(half - 1, "i64")).typed(x.type)
        high = e.node("Div", e.node("Sub", x, low), e.constant(half, "i64")).typed(x.type)
        sums = [self._node(e, "ReduceSum", part) for part in (low, high)]
        return e.node("Add", sums[0], e.node("Mul", sums[1], e.constant(half, "i64")))

    def gradient(self, g: Build, dy: Value, y: Value, x: Value) -> Gradients:
        return {"x": g.expand(self._kept(g, dy, x), x.type)}


class SumSquares(
    Rules, name="sum_squares", internal=True, half="f32", mixes={}, steps_along=None, reduces={"x": slice(None)}
):
    """`sum(x * x)` in one pass over `x`. ONNX ReduceSumSquare.

    sum_squares(x: f32[n, t]) -> f32[]
    """

    def infer(self, x: TensorType) -> TensorType:
        return floating(x).with_shape(())

    def merge(self, b: Build, merged: Merged, y: Value, *_: Any) -> Value:
        return merged("sum", y)

    def reference(self, np: NumPy, x: Array) -> Array:
        return np.sum(x * x)

    def lower(self, e: Emitter, x: Ref) -> Ref:
        return e.node("ReduceSumSquare", x, keepdims=0)

    def gradient(self, g: Build, dy: Value, y: Value, x: Value) -> Gradients:
        return {"x": g("mul", x, g("mul", dy, 2.0))}


class Prod(Reduction, name="prod", half="f32", mixes={}, steps_along=None):
    """The product along axes; for integers as i64. ONNX ReduceProd; for integers Loop and Mul.

    prod(x: f32[n, t, 3], axis=-1) -> f32[n, t]
    """

    def infer(self, x: TensorType) -> TensorType:
        return TensorType(summed_dtype(numeric(x)), without(x, self.axis, self.keepdims))

    def merge(self, b: Build, merged: Merged, y: Value, *_: Any) -> Value:
        return merged("prod", y)

    def share(self, b: Build, merged: Merged, y: Value, x: Value) -> Value:
        """Each element times the product of all others, which is 0 if one of them is."""
        axes = self._axes(x.type)
        is_zero = b.mask(b("equal", x, 0.0), x.type)
        others = b("add", x, is_zero)  # 1 in place of 0
        product = merged("prod", b("prod", others, axis=axes, keepdims=True))
        zeros = merged("sum", b("sum", is_zero, axis=axes, keepdims=True))
        matters = b.mask(b("equal", is_zero, zeros), x.type)
        factors = b("stop_gradient", b.mul(b("div", product, others), matters))
        return self._sum(b, b("mul", x, factors))

    def reference(self, np: NumPy, x: Array) -> Array:
        return np.prod(x, axis=tuple(axes_of(self.axis, x.ndim)), keepdims=self.keepdims)

    def lower(self, e: Emitter, x: Ref) -> Ref:
        if x.type.is_float:
            return self._node(e, "ReduceProd", x)
        return product_of_integers(e, x, self.axis)

    def gradient(self, g: Build, dy: Value, y: Value, x: Value) -> Gradients:
        """The product of all others: if one element is 0 only that one has a gradient, if several are none has.

        An element that is the only 0 among the others is a factor that is written out: it adds 0, but has a gradient.
        """
        axes = self._axes(x.type)
        is_zero = g.mask(g("equal", x, 0.0), x.type)
        others = g("add", x, is_zero)  # 1 in place of 0
        zeros = g("sum", is_zero, axis=axes, keepdims=True)
        quotient = g("div", g("prod", others, axis=axes, keepdims=True), others)
        matters = g.mask(g("equal", is_zero, zeros), x.type)
        of_zeros = g("mul", x, is_zero)
        other_zero = g("sub", g("sum", of_zeros, axis=axes, keepdims=True), of_zeros)
        one_zero = g.mask(g("equal", g("add", is_zero, 1.0), zeros), x.type)
        factors = g("add", matters, g.mul(other_zero, one_zero))
        return {"x": g.mul(quotient, factors, self._kept(g, dy, x))}


class Mean(Reduction, name="mean", half="f32", mixes={}, steps_along="axis"):
    """The mean along axes; for bools the fraction that is true, as f32. The mean of no elements is NaN.

    ONNX ReduceMean; where there may be no elements, which ONNX leaves undefined, ReduceSum and Div.

        mean(x: f32[n, t, 3], axis=1) -> f32[n, 3]
    """

    def infer(self, x: TensorType) -> TensorType:
        dtype = "f32" if x.dtype == "bool" else floating(x).dtype
        return TensorType(dtype, without(x, self.axis, self.keepdims))

    def merge(self, b: Build, merged: Merged, y: Value, x: Value, *_: Any) -> Value:
        return merged("mean", y, b.number_of(self._count(x.type), y.type))

    def share(self, b: Build, merged: Merged, y: Value, x: Value) -> Value:
        total = self._sum(b, x if x.type.is_float else b.mask(x, y.type))
        return b("div", total, merged.size(self._count(x.type), y.type))

    def reference(self, np: NumPy, x: Array) -> Array:
        axes = tuple(axes_of(self.axis, x.ndim))
        return np.sum(x, axis=axes, keepdims=self.keepdims) / np.prod([x.shape[a] for a in axes])

    def lower(self, e: Emitter, x: Ref) -> Ref:
        return _mean(e, widened(e, x, e.results[0].dtype), self.axis, self.keepdims)

    def gradient(self, g: Build, dy: Value, y: Value, x: Value) -> Gradients:
        share = g("div", dy, g.size(self._count(x.type), dy.type))
        return {"x": g.expand(self._kept(g, share, x), x.type)}


def _mean(e: Emitter, x: Ref, axis: Axes, keepdims: bool) -> Ref:
    """NaN where there are no elements: ONNX Runtime's ReduceMean returns 0 there. `x` has a known type."""
    count, dtype = count_of(x.type, axis), x.type.dtype
    if count.constant:
        return reduced(e, "ReduceMean", x, axis, keepdims)
    wide = x if dtype in ("f32", "f64") else widened(e, x, "f32")  # the sum may exceed 16 bits
    total = reduced(e, "ReduceSum", wide, axis, keepdims)
    mean = e.node("Div", total, cast_to(e, size_of(e, count), wide.type.dtype))
    return mean if wide is x else cast_to(e, mean, dtype)


class Var(Reduction, name="var", half="f32", mixes={}, steps_along=None):
    """The variance along axes: squared differences from the mean, divided by their number minus `correction`.

    `correction=1`, PyTorch's default, is the unbiased estimate; 0, NumPy's default, is what normalization uses. The
    variance of no elements is NaN. ONNX ReduceMean, or ReduceSum and Div.

        var(x: f32[n, t, 3], axis=-1) -> f32[n, t]
    """

    correction: int = 0

    def infer(self, x: TensorType) -> TensorType:
        return TensorType(floating(x).dtype, without(x, self.axis, self.keepdims))

    def merge(self, b: Build, merged: Merged, y: Value, x: Value) -> Value:
        spread, _, count = self._moments(b, merged, y, x)
        if self.correction == 0:
            return spread
        return b.mul(spread, b("div", count, b("sub", count, float(self.correction))))

    def share(self, b: Build, merged: Merged, y: Value, x: Value) -> Value:
        """Squared differences from the mean of the whole batch, which itself adds nothing to the gradient."""
        middle, count = self._moments(b, merged, y, x)[1:]
        away = b("sub", x, self._kept(b, middle, x))
        squares = self._sum(b, b.mul(away, away))
        return b("div", squares, b("sub", count, float(self.correction)))

    def reference(self, np: NumPy, x: Array) -> Array:
        axes = tuple(axes_of(self.axis, x.ndim))
        count = np.prod([x.shape[a] for a in axes])
        away = x - np.sum(x, axis=axes, keepdims=True) / count
        return np.sum(away * away, axis=axes, keepdims=self.keepdims) / (count - self.correction)

    def lower(self, e: Emitter, x: Ref) -> Ref:
        away = e.node("Sub", x, self._node(e, "ReduceMean", x, keepdims=True))
        squares = e.node("Mul", away, away).typed(x.type)
        if self.correction == 0:
            return _mean(e, squares, self.axis, self.keepdims)
        count = self._count(x.type) - self.correction
        return e.node("Div", self._node(e, "ReduceSum", squares), cast_to(e, size_of(e, count), x.type.dtype))

    def gradient(self, g: Build, dy: Value, y: Value, x: Value) -> Gradients:
        away = g("sub", x, g("mean", x, axis=self._axes(x.type), keepdims=True))
        scale = g("div", g.mul(dy, 2.0), g.size(self._count(x.type) - self.correction, dy.type))
        return {"x": g.mul(away, self._kept(g, scale, x))}

    def _moments(self, b: Build, merged: Merged, y: Value, x: Value) -> list[Value]:
        """Variance (without correction), mean and count of the whole batch."""
        parts = [b(op, x, axis=self._axes(x.type), keepdims=self.keepdims) for op in ("var", "mean")]
        return merged.all("moments", *parts, b.number_of(self._count(x.type), y.type))


class Std(Var, name="std", half="f32", mixes={}, steps_along=None):
    """The standard deviation along axes, the square root of `var`. `correction=1` is PyTorch's default.

    Where all elements are equal it is 0, and so is its gradient, as in PyTorch. ONNX ReduceMean or ReduceSum, and Sqrt.

        std(x: f32[n, t, 3], axis=-1) -> f32[n, t]
    """

    def merge(self, b: Build, merged: Merged, y: Value, x: Value) -> Value:
        return b("sqrt", super().merge(b, merged, b.mul(y, y), x))

    def share(self, b: Build, merged: Merged, y: Value, x: Value) -> Value:
        whole = self.merge(b, merged, y, x)
        return b.mul(super().share(b, merged, b.mul(y, y), x), b("stop_gradient", self._slope(b, whole)))

    def reference(self, np: NumPy, x: Array) -> Array:
        return np.sqrt(super().reference(np, x))

    def lower(self, e: Emitter, x: Ref) -> Ref:
        return e.node("Sqrt", super().lower(e, x))

    def gradient(self, g: Build, dy: Value, y: Value, x: Value) -> Gradients:
        return super().gradient(g, g.mul(dy, self._slope(g, y)), y, x)

    def _slope(self, b: Build, y: Value) -> Value:
        """The derivative of the square root; 0 for 0."""
        is_zero = b.mask(b("equal", y, 0.0), y.type)
        return b("div", b.mul(b.one_minus(is_zero), 0.5), b("add", y, is_zero))


class Logsumexp(Reduction, name="logsumexp", half="f32", mixes={}, steps_along=None):
    """`log(sum(exp(x)))` along axes, without overflow. ONNX ReduceLogSumExp.

    logsumexp(x: f32[n, t, 3], axis=-1) -> f32[n, t]
    """

    def infer(self, x: TensorType) -> TensorType:
        return TensorType(floating(x).dtype, without(x, self.axis, self.keepdims))

    def merge(self, b: Build, merged: Merged, y: Value, *_: Any) -> Value:
        return merged("logsumexp", y)

    def share(self, b: Build, merged: Merged, y: Value, x: Value) -> Value:
        powers = b("exp", b("sub", x, self._kept(b, merged("logsumexp", y), x)))
        return self._sum(b, powers)

    def reference(self, np: NumPy, x: Array) -> Array:
        return np.logaddexp.reduce(x, axis=tuple(axes_of(self.axis, x.ndim)), keepdims=self.keepdims)

    def lower(self, e: Emitter, x: Ref) -> Ref:
        return self._node(e, "ReduceLogSumExp", x)

    def gradient(self, g: Build, dy: Value, y: Value, x: Value) -> Gradients:
        shares = g("exp", g("sub", x, self._kept(g, y, x)))
        return {"x": g.mul(shares, self._kept(g, dy, x))}


# -- extremes ----------------------------------------------------------------------------------------------------------


class _Extreme(Reduction):
    """Base of the largest and the smallest element."""

    how: ClassVar[Literal["max", "min"]]
    onnx: ClassVar[str]

    def infer(self, x: TensorType) -> TensorType:
        not_empty(x, self.axis)
        return x.with_shape(without(x, self.axis, self.keepdims))

    def reference(self, np: NumPy, x: Array) -> Array:
        return getattr(np, f"a{self.how}")(x, axis=tuple(axes_of(self.axis, x.ndim)), keepdims=self.keepdims)

    def lower(self, e: Emitter, x: Ref) -> Ref:
        count = self._count(x.type)
        if count.constant is None:
            x = e.checked(x, "different", count, Dim.of(0))
        return widely(e, lambda x: self._node(e, self.onnx, x), x)

    def gradient(self, g: Build, dy: Value, y: Value, x: Value) -> Gradients:
        """Equal shares for all elements with that value."""
        tied = g.mask(g("equal", x, self._kept(g, y, x)), x.type)
        count = g("sum", tied, axis=self._axes(x.type), keepdims=True)
        return {"x": g.mul(tied, g("div", self._kept(g, dy, x), count))}

    def merge(self, b: Build, merged: Merged, y: Value, *_: Any) -> Value:
        return merged(self.how, y)

    def share(self, b: Build, merged: Merged, y: Value, x: Value) -> Value:
        """Equal shares for all elements with that value, in any part."""
        tied = b.mask(b("equal", x, self._kept(b, merged(self.how, y), x)), x.type)
        count = merged("sum", self._sum(b, tied))
        return b("div", self._sum(b, b.mul(x, tied)), count)


class Max(_Extreme, name="max", half="moves", mixes={}, steps_along=None):
    """The largest element along axes; for bools, whether any is true. ONNX ReduceMax.

    max(x: f32[n, 8], axis=1) -> f32[n]
    """

    how, onnx = "max", "ReduceMax"


class Min(_Extreme, name="min", half="moves", mixes={}, steps_along=None):
    """The smallest element along axes; for bools, whether all are true. ONNX ReduceMin.

    min(x: f32[n, 8], axis=1) -> f32[n]
    """

    how, onnx = "min", "ReduceMin"


class _Position(Rules):
    """Base of the indices of the largest and the smallest element."""

    axis: int | None = None
    keepdims: bool = False

    onnx: ClassVar[str]

    def infer(self, x: TensorType) -> TensorType:
        not_empty(numeric(x), self.axis)
        return TensorType("i64", without(x, self.axis, self.keepdims))

    def reference(self, np: NumPy, x: Array) -> Array:
        return getattr(np, self.name)(x, axis=self.axis, keepdims=self.keepdims)

    def lower(self, e: Emitter, x: Ref) -> Ref:
        flat = x if self.axis is not None else e.reshape(x, [x.type.elements])
        if x.type.dtype == "i16":
            flat = cast_to(e, flat, "i32")
        at = e.node(self.onnx, flat, axis=self.axis or 0, keepdims=int(self.keepdims and self.axis is not None))
        if (count := count_of(x.type, self.axis)).constant is None:
            e.assume(f"{count} != 0")
        return e.reshape(at.typed(TensorType.of("i64")), e.results[0].shape) if self.axis is None else at


class Argmax(_Position, name="argmax", half="widest", mixes={"x": "axis"}, steps_along=None, no_gradient=INDEX):
    """The index of the largest element along an axis, of the first one if several are equal. ONNX ArgMax.

    argmax(x: f32[n, 8], axis=1) -> i64[n]
    """

    onnx = "ArgMax"


class Argmin(_Position, name="argmin", half="widest", mixes={"x": "axis"}, steps_along=None, no_gradient=INDEX):
    """The index of the smallest element along an axis, of the first one if several are equal. ONNX ArgMin.

    argmin(x: f32[n, 8], axis=1) -> i64[n]
    """

    onnx = "ArgMin"
