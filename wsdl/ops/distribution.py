"""Along an axis: distributions, which add up to 1, and directions, which have the length 1."""

from __future__ import annotations

from typing import Any

from wsdl.ir.graph import Value
from wsdl.ir.types import TensorType
from wsdl.ops._define import Array, Emitter, NumPy, Ref, operation
from wsdl.ops._rules import agreed, axes_of, axis_of, broadcast, floating, same_dtype
from wsdl.ops.build import Build
from wsdl.ops.reduce import Gradients, reduced, without


@operation(half="f32", mixes={"x": "axis"}, steps_along="axis", gives="probabilities")
def softmax(x: TensorType, axis: int = -1) -> TensorType:
    """`exp(x) / sum(exp(x))` along an axis, without overflow. ONNX Softmax.

    softmax(x: f32[n, t]) -> f32[n, t]
    """
    axis_of(axis, x.rank)
    return floating(x)


@softmax.apart
def _(b: Build, x: Value, axis: int = -1) -> Value:
    return b("exp", b("sub", x, b("logsumexp", x, axis=axis, keepdims=True)))


@softmax.reference
def _(np: NumPy, x: Array, axis: int = -1) -> Array:
    powers = np.exp(x - np.max(x, axis=axis, keepdims=True, initial=-np.inf))
    return powers / np.sum(powers, axis=axis, keepdims=True)


@softmax.lowering
def _(e: Emitter, x: Ref, axis: int = -1) -> Ref:
    return e.node("Softmax", x, axis=axis)


@softmax.gradient
def _(g: Build, dy: Value, y: Value, x: Value, axis: int = -1) -> Gradients:
    mean = g("sum", g.mul(dy, y), axis=axis, keepdims=True)
    return {"x": g.mul(g("sub", dy, mean), y)}


@operation(half="f32", mixes={"x": "axis"}, steps_along="axis", gives="log probabilities")
def log_softmax(x: TensorType, axis: int = -1) -> TensorType:
    """`log(softmax(x))` along an axis, without loss of digits. ONNX LogSoftmax.

    log_softmax(x: f32[n, t]) -> f32[n, t]
    """
    axis_of(axis, x.rank)
    return floating(x)


@log_softmax.apart
def _(b: Build, x: Value, axis: int = -1) -> Value:
    return b("sub", x, b("logsumexp", x, axis=axis, keepdims=True))


@log_softmax.reference
def _(np: NumPy, x: Array, axis: int = -1) -> Array:
    below = x - np.max(x, axis=axis, keepdims=True, initial=-np.inf)
    return below - np.log(np.sum(np.exp(below), axis=axis, keepdims=True))


@log_softmax.lowering
def _(e: Emitter, x: Ref, axis: int = -1) -> Ref:
    return e.node("LogSoftmax", x, axis=axis)


@log_softmax.gradient
def _(g: Build, dy: Value, y: Value, x: Value, axis: int = -1) -> Gradients:
    total = g("sum", dy, axis=axis, keepdims=True)
    return {"x": g("sub", dy, g.mul(g("exp", y), total))}


@operation(half="f32", mixes={"x": "axis"})
def l2_normalize(x: TensorType, axis: int | list[int] = -1, eps: float = 1e-12) -> TensorType:
    """`x` divided by its length along axes, or by `eps` if that is larger. ONNX ReduceL2, Max and Div.

    l2_normalize(x: f32[n, 64]) -> f32[n, 64]
    """
    axes_of(axis, x.rank)
    return floating(x)


@l2_normalize.apart
def _(b: Build, x: Value, axis: int | list[int] = -1, eps: float = 1e-12) -> Value:
    return b("div", x, _lengths(b, x, axis, eps)[0])


@l2_normalize.reference
def _(np: NumPy, x: Array, axis: int | list[int] = -1, eps: float = 1e-12) -> Array:
    length = np.sqrt(np.sum(x * x, axis=tuple(axes_of(axis, x.ndim)), keepdims=True))
    return x / np.maximum(length, eps)


@l2_normalize.lowering
def _(e: Emitter, x: Ref, axis: int | list[int] = -1, eps: float = 1e-12) -> Ref:
    return e.node("Div", x, _length(e, x, axis, eps, keepdims=True))


@l2_normalize.gradient
def _(g: Build, dy: Value, y: Value, x: Value, axis: int | list[int] = -1, eps: float = 1e-12) -> Gradients:
    length, varies = _lengths(g, x, axis, eps)
    along = g.mul(g("sum", g.mul(dy, y), axis=axis, keepdims=True), varies)
    return {"x": g("div", g("sub", dy, g.mul(y, along)), length)}


def _lengths(g: Build, x: Value, axis: int | list[int], eps: float) -> tuple[Value, Value]:
    """Lengths along axes, which stay, of at least `eps`; and 1 where that limit isn't reached, 0 where it is."""
    length = g("sqrt", g("sum", g.mul(x, x), axis=axis, keepdims=True))
    return g("maximum", length, eps), g.mask(g("greater_equal", length, eps), x.type)


def _from_end(a: TensorType, b: TensorType, axis: int = -1, **_: Any) -> list[int]:
    rank = max(a.rank, b.rank)
    return [axis_of(axis, rank) - rank]


@operation(half="f32", mixes={"a": _from_end, "b": _from_end})
def cosine_similarity(a: TensorType, b: TensorType, axis: int = -1, eps: float = 1e-8) -> TensorType:
    """The cosine of the angle between `a` and `b` along an axis, which goes; lengths count as at least `eps`.

    The operands broadcast. ONNX ReduceSum, ReduceL2, Max and Div.

        cosine_similarity(a: f32[n, 64], b: f32[n, 64]) -> f32[n]
    """
    same_dtype("b", floating(a, "a"), floating(b, "b"))
    both = a.with_shape(broadcast(a.shape, b.shape))
    at = axis_of(axis, both.rank) - both.rank
    along_a, along_b = (x.shape[axis_of(at, x.rank)] for x in (a, b))
    agreed(along_a, along_b, f"the sizes along axis {axis} of {a} and {b} must be equal", argument="b")
    return both.with_shape(without(both, axis, keepdims=False))


@cosine_similarity.apart
def _(build: Build, a: Value, b: Value, axis: int = -1, eps: float = 1e-8) -> Value:
    along = _from_end(a.type, b.type, axis)
    lengths = [build("squeeze", _lengths(build, x, along, eps)[0], axis=along) for x in (a, b)]
    return build("div", build("sum", build.mul(a, b), axis=along), build.mul(*lengths))


@cosine_similarity.reference
def _(np: NumPy, a: Array, b: Array, axis: int = -1, eps: float = 1e-8) -> Array:
    a, b = np.broadcast_arrays(a, b)
    lengths = [np.maximum(np.sqrt(np.sum(x * x, axis=axis)), eps) for x in (a, b)]
    return np.sum(a * b, axis=axis) / (lengths[0] * lengths[1])


@cosine_similarity.lowering
def _(e: Emitter, a: Ref, b: Ref, axis: int = -1, eps: float = 1e-8) -> Ref:
    both = TensorType(a.type.dtype, broadcast(a.type.shape, b.type.shape))
    from_end = axis_of(axis, both.rank) - both.rank
    products = e.node("Mul", a, b).typed(both)
    lengths = [_length(e, x, from_end, eps, keepdims=False) for x in (a, b)]
    return e.node("Div", reduced(e, "ReduceSum", products, from_end), e.node("Mul", *lengths))


@cosine_similarity.gradient
def _(g: Build, dy: Value, y: Value, a: Value, b: Value, axis: int = -1, eps: float = 1e-8) -> Gradients:
    rank = max(a.type.rank, b.type.rank)
    from_end = axis_of(axis, rank) - rank
    dy, y = (g("unsqueeze", x, axis=from_end) for x in (dy, y))
    (length_a, varies_a), (length_b, varies_b) = (_lengths(g, x, from_end, eps) for x in (a, b))

    def towards(x: Value, length: Value, varies: Value, other: Value, length_of_other: Value) -> Value:
        along = g("div", g.mul(x, g.mul(y, varies)), length)
        return g.mul(g("sub", g("div", other, length_of_other), along), g("div", dy, length))

    return {"a": towards(a, length_a, varies_a, b, length_b), "b": towards(b, length_b, varies_b, a, length_a)}


def _length(e: Emitter, x: Ref, axis: int | list[int], eps: float, keepdims: bool) -> Ref:
    return e.node("Max", reduced(e, "ReduceL2", x, axis, keepdims), e.constant(eps, x.type.dtype))
