"""Normalization along an axis: softmax, whose results add up to 1, and vectors of length 1."""

from __future__ import annotations

from typing import Any

from wsdl.ir.graph import Value
from wsdl.ir.types import TensorType
from wsdl.ops._define import Rules
from wsdl.ops._interfaces import Array, Emitter, NumPy, Ref
from wsdl.ops._reduction import reduced, without
from wsdl.ops._rules import agreed, axes_of, axis_of, broadcast, floating, same_dtype
from wsdl.ops.build import Build

Gradients = dict[str, Value]


class Softmax(Rules, name="softmax", half="f32", mixes={"x": "axis"}, steps_along="axis", gives="probabilities"):
    """`exp(x) / sum(exp(x))` along an axis, without overflow. ONNX Softmax.

    softmax(x: f32[n, t]) -> f32[n, t]
    """

    axis: int = -1

    def infer(self, x: TensorType) -> TensorType:
        axis_of(self.axis, x.rank)
        return floating(x)

    def apart(self, b: Build, x: Value) -> Value:
        return b("exp", b("sub", x, b("logsumexp", x, axis=self.axis, keepdims=True)))

    def reference(self, np: NumPy, x: Array) -> Array:
        powers = np.exp(x - np.max(x, axis=self.axis, keepdims=True, initial=-np.inf))
        return powers / np.sum(powers, axis=self.axis, keepdims=True)

    def lower(self, e: Emitter, x: Ref) -> Ref:
        return e.node("Softmax", x, axis=self.axis)

    def gradient(self, g: Build, dy: Value, y: Value, x: Value) -> Gradients:
        mean = g("sum", g.mul(dy, y), axis=self.axis, keepdims=True)
        return {"x": g.mul(g("sub", dy, mean), y)}


class LogSoftmax(
    Rules, name="log_softmax", half="f32", mixes={"x": "axis"}, steps_along="axis", gives="log probabilities"
):
    """`log(softmax(x))` along an axis, without loss of digits. ONNX LogSoftmax.

    log_softmax(x: f32[n, t]) -> f32[n, t]
    """

    axis: int = -1

    def infer(self, x: TensorType) -> TensorType:
        axis_of(self.axis, x.rank)
        return floating(x)

    def apart(self, b: Build, x: Value) -> Value:
        return b("sub", x, b("logsumexp", x, axis=self.axis, keepdims=True))

    def reference(self, np: NumPy, x: Array) -> Array:
        below = x - np.max(x, axis=self.axis, keepdims=True, initial=-np.inf)
        return below - np.log(np.sum(np.exp(below), axis=self.axis, keepdims=True))

    def lower(self, e: Emitter, x: Ref) -> Ref:
        return e.node("LogSoftmax", x, axis=self.axis)

    def gradient(self, g: Build, dy: Value, y: Value, x: Value) -> Gradients:
        total = g("sum", dy, axis=self.axis, keepdims=True)
        return {"x": g("sub", dy, g.mul(g("exp", y), total))}


class L2Normalize(Rules, name="l2_normalize", half="f32", mixes={"x": "axis"}, steps_along=None):
    """`x` divided by its length along axes, or by `eps` if that is larger. ONNX ReduceL2, Max and Div.

    l2_normalize(x: f32[n, 64]) -> f32[n, 64]
    """

    axis: int | list[int] = -1
    eps: float = 1e-12

    def infer(self, x: TensorType) -> TensorType:
        axes_of(self.axis, x.rank)
        return floating(x)

    def apart(self, b: Build, x: Value) -> Value:
        return b("div", x, _lengths(b, x, self.axis, self.eps)[0])

    def reference(self, np: NumPy, x: Array) -> Array:
        length = np.sqrt(np.sum(x * x, axis=tuple(axes_of(self.axis, x.ndim)), keepdims=True))
        return x / np.maximum(length, self.eps)

    def lower(self, e: Emitter, x: Ref) -> Ref:
        return e.node("Div", x, _length(e, x, self.axis, self.eps, keepdims=True))

    def gradient(self, g: Build, dy: Value, y: Value, x: Value) -> Gradients:
        length, varies = _lengths(g, x, self.axis, self.eps)
        along = g.mul(g("sum", g.mul(dy, y), axis=self.axis, keepdims=True), varies)
        return {"x": g("div", g("sub", dy, g.mul(y, along)), length)}


def _lengths(g: Build, x: Value, axis: int | list[int], eps: float) -> tuple[Value, Value]:
    """Lengths along axes (kept with size 1), at least `eps`; and 1 where the length is above `eps`, 0 elsewhere."""
    length = g("sqrt", g("sum", g.mul(x, x), axis=axis, keepdims=True))
    return g("maximum", length, eps), g.mask(g("greater_equal", length, eps), x.type)


def _from_end(op: Any, a: TensorType, b: TensorType) -> list[int]:
    rank = max(a.rank, b.rank)
    return [axis_of(op.axis, rank) - rank]


class CosineSimilarity(
    Rules, name="cosine_similarity", half="f32", mixes={"a": _from_end, "b": _from_end}, steps_along=None
):
    """The cosine of the angle between `a` and `b` along an axis, which is removed; lengths are at least `eps`.

    The operands broadcast. ONNX ReduceSum, ReduceL2, Max and Div.

        cosine_similarity(a: f32[n, 64], b: f32[n, 64]) -> f32[n]
    """

    axis: int = -1
    eps: float = 1e-8

    def infer(self, a: TensorType, b: TensorType) -> TensorType:
        same_dtype("b", floating(a, "a"), floating(b, "b"))
        both = a.with_shape(broadcast(a.shape, b.shape))
        at = axis_of(self.axis, both.rank) - both.rank
        along_a, along_b = (x.shape[axis_of(at, x.rank)] for x in (a, b))
        agreed(along_a, along_b, f"the sizes along axis {self.axis} of {a} and {b} must be equal", argument="b")
        return both.with_shape(without(both, self.axis, keepdims=False))

    def apart(self, build: Build, a: Value, b: Value) -> Value:
        along = _from_end(self, a.type, b.type)
        lengths = [build("squeeze", _lengths(build, x, along, self.eps)[0], axis=along) for x in (a, b)]
        return build("div", build("sum", build.mul(a, b), axis=along), build.mul(*lengths))

    def reference(self, np: NumPy, a: Array, b: Array) -> Array:
        a, b = np.broadcast_arrays(a, b)
        lengths = [np.maximum(np.sqrt(np.sum(x * x, axis=self.axis)), self.eps) for x in (a, b)]
        return np.sum(a * b, axis=self.axis) / (lengths[0] * lengths[1])

    def lower(self, e: Emitter, a: Ref, b: Ref) -> Ref:
        both = TensorType(a.type.dtype, broadcast(a.type.shape, b.type.shape))
        from_end = axis_of(self.axis, both.rank) - both.rank
        products = e.node("Mul", a, b).typed(both)
        lengths = [_length(e, x, from_end, self.eps, keepdims=False) for x in (a, b)]
        return e.node("Div", reduced(e, "ReduceSum", products, from_end), e.node("Mul", *lengths))

    def gradient(self, g: Build, dy: Value, y: Value, a: Value, b: Value) -> Gradients:
        rank = max(a.type.rank, b.type.rank)
        from_end = axis_of(self.axis, rank) - rank
        dy, y = (g("unsqueeze", x, axis=from_end) for x in (dy, y))
        (length_a, varies_a), (length_b, varies_b) = (_lengths(g, x, from_end, self.eps) for x in (a, b))

        def towards(x: Value, length: Value, varies: Value, other: Value, length_of_other: Value) -> Value:
            along = g("div", g.mul(x, g.mul(y, varies)), length)
            return g.mul(g("sub", g("div", other, length_of_other), along), g("div", dy, length))

        return {"a": towards(a, length_a, varies_a, b, length_b), "b": towards(b, length_b, varies_b, a, length_a)}


def _length(e: Emitter, x: Ref, axis: int | list[int], eps: float, keepdims: bool) -> Ref:
    return e.node("Max", reduced(e, "ReduceL2", x, axis, keepdims), e.constant(eps, x.type.dtype))
