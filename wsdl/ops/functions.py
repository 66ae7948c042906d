"""Functions of real numbers, elementwise: powers and logarithms, trigonometric and hyperbolic functions."""

from __future__ import annotations

import math
from functools import partial

from wsdl.ir.graph import Value
from wsdl.ops import _declare
from wsdl.ops._interfaces import Array, Emitter, NumPy, Ref
from wsdl.ops._lowering import float_node
from wsdl.ops._rules import floating
from wsdl.ops.build import Build


def erf_of(np: NumPy, x: Array) -> Array:
    return np.vectorize(math.erf, otypes=[np.float64])(x)


def _number(e: Emitter, value: float, like: Ref) -> Ref:
    return e.constant(value, like.type.dtype)


def _to_base(e: Emitter, x: Ref, base: int) -> Ref:
    return e.node("Div", e.node("Log", x), _number(e, math.log(base), x))


def _log1p(e: Emitter, x: Ref) -> Ref:
    """`log(u) * x / (u - 1)` for `u = 1 + x` (Goldberg 1991, theorem 4), where rounding `u` loses digits of `x`."""
    u = e.node("Add", x, _number(e, 1, x))
    rounded, log = e.node("Sub", u, _number(e, 1, x)), e.node("Log", u)
    mended = e.node("Mul", log, e.node("Div", x, rounded))
    mended = e.node("Where", e.node("Equal", rounded, _number(e, 0, x)), x, mended)
    return e.node("Where", e.node("Equal", rounded, x), log, mended)


def _expm1(e: Emitter, x: Ref) -> Ref:
    """`tanh(x / 2) * (exp(x) + 1)`, which subtracts nothing."""
    half = e.node("Tanh", e.node("Mul", x, _number(e, 0.5, x)))
    return e.node("Mul", half, e.node("Add", e.node("Exp", x), _number(e, 1, x)))


def _difference(np: NumPy, a: Array, b: Array) -> Array:
    """0 for equal infinities too."""
    return np.where(a == b, 0, a - b)


def _logaddexp(e: Emitter, a: Ref, b: Ref) -> Ref:
    """`max(a, b) + log(1 + exp(-|a - b|))`."""
    difference = e.node("Where", e.node("Equal", a, b), _number(e, 0, a), e.node("Sub", a, b))
    below = e.node("Neg", e.node("Abs", difference)).typed(e.results[0])
    return e.node("Add", e.node("Max", a, b), float_node(e, "Softplus", below))


def _logaddexp_gradient(g: Build, dy: Value, a: Value, b: Value, y: Value) -> tuple[Value, Value]:
    """Shares of 1; a half each of equal infinities, where PyTorch's are NaN."""
    equal = g("logical_and", g("equal", a, b), g("isinf", a))
    share = g("sigmoid", g("where", equal, g.constant(0.0, a.type), g("sub", a, b)))
    return g.mul(dy, share), g.mul(dy, g.one_minus(share))


def _atan2(e: Emitter, a: Ref, b: Ref) -> Ref:
    """The angle of the smaller to the larger size, from 0 to pi / 4, then mirrored into its octant."""
    zero, high, wide = _number(e, 0, a), e.node("Abs", a), e.node("Abs", b)
    diagonal = e.node("Cast", e.node("Not", e.node("Equal", high, zero)), to=a.type.dtype)  # 0 for two zeros
    ratio = e.node("Div", e.node("Min", high, wide), e.node("Max", high, wide))
    ratio = e.node("Where", e.node("Equal", high, wide), diagonal, ratio)  # also of two infinities
    angle = float_node(e, "Atan", ratio.typed(e.results[0]))
    mirrored = e.node("Sub", _number(e, math.pi / 2, a), angle)
    angle = e.node("Where", e.node("Greater", high, wide), mirrored, angle)
    mirrored = e.node("Sub", _number(e, math.pi, a), angle)
    angle = e.node("Where", e.node("Less", b, zero), mirrored, angle)
    return e.node("Where", e.node("Less", a, zero), e.node("Neg", angle), angle)


def _atan2_gradient(g: Build, dy: Value, a: Value, b: Value, y: Value) -> tuple[Value, Value]:
    scaled = g("div", dy, g("add", g.mul(a, a), g.mul(b, b)))
    return g.mul(scaled, b), g("neg", g.mul(scaled, a))


def _squared_plus(g: Build, x: Value, number: float) -> Value:
    return g("add", g.mul(x, x), number)


def _one_minus_squared(g: Build, x: Value) -> Value:
    return g.one_minus(g.mul(x, x))


unary, binary = partial(_declare.unary, family=__name__), partial(_declare.binary, family=__name__)

# fmt: off
# -- powers and logarithms ---------------------------------------------------------------------------------------------

unary("exp", floating, "Exp", lambda np, x: np.exp(x), "`e ** x`. ONNX Exp.", lambda g, dy, x, y: g.mul(dy, y),
      half="f32")
unary("expm1", floating, _expm1, lambda np, x: np.expm1(x),
      "`exp(x) - 1`, without loss of digits near 0. ONNX Exp, Tanh and Mul.",
      lambda g, dy, x, y: g.mul(dy, g("add", y, 1.0)), half="f32")
unary("log", floating, "Log", lambda np, x: np.log(x), "The natural logarithm. ONNX Log.",
      lambda g, dy, x, y: g("div", dy, x), half="f32")
unary("log1p", floating, _log1p, lambda np, x: np.log1p(x),
      "`log(1 + x)`, without loss of digits near 0. ONNX Log, Mul, Div and Where.",
      lambda g, dy, x, y: g("div", dy, g("add", x, 1.0)), half="f32")
unary("log2", floating, lambda e, x: _to_base(e, x, 2), lambda np, x: np.log2(x),
      "The logarithm to the base 2. ONNX Log and Div.",
      lambda g, dy, x, y: g("div", dy, g.mul(x, math.log(2))), half="f32")
unary("log10", floating, lambda e, x: _to_base(e, x, 10), lambda np, x: np.log10(x),
      "The logarithm to the base 10. ONNX Log and Div.",
      lambda g, dy, x, y: g("div", dy, g.mul(x, math.log(10))), half="f32")
binary("logaddexp", floating, _logaddexp,
       lambda np, a, b: np.maximum(a, b) + np.log1p(np.exp(-np.abs(_difference(np, a, b)))),
       "`log(exp(a) + exp(b))`, without overflow. ONNX Softplus, Max and Where.", _logaddexp_gradient, half="f32")
unary("sqrt", floating, "Sqrt", lambda np, x: np.sqrt(x), "The square root. ONNX Sqrt.",
      lambda g, dy, x, y: g("div", dy, g.mul(y, 2.0)), half="widest")
unary("rsqrt", floating, lambda e, x: e.node("Reciprocal", e.node("Sqrt", x)), lambda np, x: 1 / np.sqrt(x),
      "`1 / sqrt(x)`. ONNX Sqrt and Reciprocal.", lambda g, dy, x, y: g.mul(dy, y, y, y, -0.5), half="f32")
unary("erf", floating, "Erf", erf_of, "The error function. ONNX Erf.",
      lambda g, dy, x, y: g.mul(dy, g("exp", g("neg", g.mul(x, x))), 2 / math.sqrt(math.pi)), half="f32")

# -- trigonometric functions -------------------------------------------------------------------------------------------

unary("sin", floating, "Sin", lambda np, x: np.sin(x), "The sine, of radians. ONNX Sin.",
      lambda g, dy, x, y: g.mul(dy, g("cos", x)), half="widest")
unary("cos", floating, "Cos", lambda np, x: np.cos(x), "The cosine, of radians. ONNX Cos.",
      lambda g, dy, x, y: g("neg", g.mul(dy, g("sin", x))), half="widest")
unary("tan", floating, "Tan", lambda np, x: np.tan(x), "The tangent, of radians. ONNX Tan.",
      lambda g, dy, x, y: g.mul(dy, _squared_plus(g, y, 1.0)), half="f32")
unary("asin", floating, "Asin", lambda np, x: np.arcsin(x), "The angle whose sine is `x`, in radians. ONNX Asin.",
      lambda g, dy, x, y: g.mul(dy, g("rsqrt", _one_minus_squared(g, x))), half="f32")
unary("acos", floating, "Acos", lambda np, x: np.arccos(x), "The angle whose cosine is `x`, in radians. ONNX Acos.",
      lambda g, dy, x, y: g("neg", g.mul(dy, g("rsqrt", _one_minus_squared(g, x)))), half="f32")
unary("atan", floating, "Atan", lambda np, x: np.arctan(x), "The angle whose tangent is `x`, in radians. ONNX Atan.",
      lambda g, dy, x, y: g("div", dy, _squared_plus(g, x, 1.0)), half="widest")
binary("atan2", floating, _atan2, lambda np, a, b: np.where((a == 0) & (b == 0), 0, np.arctan2(a, b)),
       "The angle of the point with the coordinates `b` to the right and `a` up, from -pi to pi; 0 for two zeros. "
       "ONNX Atan and Where.", _atan2_gradient, half="f32")

# -- hyperbolic functions ----------------------------------------------------------------------------------------------

unary("sinh", floating, "Sinh", lambda np, x: np.sinh(x), "The hyperbolic sine. ONNX Sinh.",
      lambda g, dy, x, y: g.mul(dy, g("cosh", x)), half="f32")
unary("cosh", floating, "Cosh", lambda np, x: np.cosh(x), "The hyperbolic cosine. ONNX Cosh.",
      lambda g, dy, x, y: g.mul(dy, g("sinh", x)), half="f32")
unary("asinh", floating, "Asinh", lambda np, x: np.arcsinh(x), "The inverse hyperbolic sine. ONNX Asinh.",
      lambda g, dy, x, y: g.mul(dy, g("rsqrt", _squared_plus(g, x, 1.0))), half="f32")
unary("acosh", floating, "Acosh", lambda np, x: np.arccosh(x), "The inverse hyperbolic cosine. ONNX Acosh.",
      lambda g, dy, x, y: g.mul(dy, g("rsqrt", _squared_plus(g, x, -1.0))), half="f32")
unary("atanh", floating, "Atanh", lambda np, x: np.arctanh(x), "The inverse hyperbolic tangent. ONNX Atanh.",
      lambda g, dy, x, y: g("div", dy, _one_minus_squared(g, x)), half="f32")
# fmt: on
