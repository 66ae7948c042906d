"""Activation functions, elementwise."""

from __future__ import annotations

import math
from functools import partial

from wsdl.ir.graph import Value
from wsdl.ir.types import TensorType
from wsdl.ops import _declare
from wsdl.ops._declare import Gradients
from wsdl.ops._define import Elementwise
from wsdl.ops._interfaces import Array, Emitter, NumPy, Ref
from wsdl.ops._lowering import float_node
from wsdl.ops._rules import floating, one_of
from wsdl.ops.build import Build
from wsdl.ops.functions import erf_of

SELU_ALPHA, SELU_SCALE = 1.6732632423543772, 1.0507009873554805


def _mish(e: Emitter, x: Ref) -> Ref:
    return e.node("Mul", x, e.node("Tanh", float_node(e, "Softplus", x)))


def _mish_gradient(g: Build, dy: Value, x: Value, y: Value) -> Value:
    bent = g("tanh", g("softplus", x))
    steep = g.mul(g.one_minus(g.mul(bent, bent)), g("sigmoid", x), x)
    return g.mul(dy, g("add", bent, steep))


def _logsigmoid(e: Emitter, x: Ref) -> Ref:
    return e.node("Neg", float_node(e, "Softplus", e.node("Neg", x).typed(x.type)))


def _relu6(e: Emitter, x: Ref) -> Ref:
    low, high = (e.constant(limit, x.type.dtype) for limit in (0, 6))
    if x.type.dtype in ("f16", "f32"):  # the runtime makes it a part of convolutions
        return e.node("Clip", x, low, high)
    return e.node("Min", e.node("Relu", x), high)


def _relu6_gradient(g: Build, dy: Value, x: Value, y: Value) -> Value:
    """0 at both limits, as in PyTorch."""
    return g.mul(dy, g.mask(g("greater", x, 0.0), x.type), g.mask(g("less", x, 6.0), x.type))


def _softsign_gradient(g: Build, dy: Value, x: Value, y: Value) -> Value:
    beside = g("add", g("abs", x), 1.0)
    return g("div", dy, g.mul(beside, beside))


def _hardsigmoid_gradient(g: Build, dy: Value, x: Value, y: Value) -> Value:
    return g.mul(dy, g.mask(g("less", g("abs", x), 3.0), x.type), 1 / 6)


def _hardswish_gradient(g: Build, dy: Value, x: Value, y: Value) -> Value:
    """0 up to -3, 1 from 3 on; between these a line from -1/2 to 3/2."""
    line = g("add", g.mul(g("clip", x, min=-3.0, max=3.0), 1 / 3), 0.5)
    inside = g.mul(g.mask(g("less", g("abs", x), 3.0), x.type), line)
    return g.mul(dy, g("add", inside, g.mask(g("greater_equal", x, 3.0), x.type)))


def _selu_gradient(g: Build, dy: Value, x: Value, y: Value) -> Value:
    below = g("add", g("minimum", y, 0.0), SELU_ALPHA * SELU_SCALE)  # the slope is this plus the value itself
    above = g.mask(g("greater", x, 0.0), x.type)
    return g.mul(dy, g("add", below, g.mul(above, SELU_SCALE * (1 - SELU_ALPHA))))


def _silu_gradient(g: Build, dy: Value, x: Value, y: Value) -> Value:
    s = g("sigmoid", x)
    return g.mul(dy, g("add", s, g.mul(y, g.one_minus(s))))


activation = partial(_declare.unary, family=__name__)

# fmt: off
activation("relu", floating, "Relu", lambda np, x: np.maximum(x, 0), "`max(x, 0)`. ONNX Relu.",
           lambda g, dy, x, y: g.mul(dy, g.mask(g("cast", y, dtype="bool"), y.type)), half="widest")
activation("relu6", floating, _relu6, lambda np, x: np.clip(x, 0, 6),
           "`x` limited to 0 and 6. ONNX Clip, or Relu and Min.", _relu6_gradient, half="widest")
activation("silu", floating, lambda e, x: e.node("Mul", x, e.node("Sigmoid", x)), lambda np, x: x / (1 + np.exp(-x)),
           "`x * sigmoid(x)`, also called swish. ONNX Sigmoid and Mul.", _silu_gradient, half="widest")
activation("softplus", floating, "Softplus", lambda np, x: np.logaddexp(x, 0), "`log(1 + exp(x))`. ONNX Softplus.",
           lambda g, dy, x, y: g.mul(dy, g("sigmoid", x)), half="f32")
activation("tanh", floating, "Tanh", lambda np, x: np.tanh(x), "The hyperbolic tangent. ONNX Tanh.",
           lambda g, dy, x, y: g.mul(dy, g.one_minus(g.mul(y, y))), half="f32")
activation("sigmoid", floating, "Sigmoid", lambda np, x: 1 / (1 + np.exp(-x)), "`1 / (1 + exp(-x))`. ONNX Sigmoid.",
           lambda g, dy, x, y: g.mul(dy, y, g.one_minus(y)), half="f32", gives="probabilities")
activation("logsigmoid", floating, _logsigmoid, lambda np, x: -np.logaddexp(-x, 0),
           "`log(sigmoid(x))`, without overflow. ONNX Softplus and Neg.",
           lambda g, dy, x, y: g.mul(dy, g("sigmoid", g("neg", x))), half="f32", gives="log probabilities")
activation("softsign", floating, "Softsign", lambda np, x: x / (1 + np.abs(x)), "`x / (1 + abs(x))`. ONNX Softsign.",
           _softsign_gradient, half="widest")
activation("hardsigmoid", floating, lambda e, x: float_node(e, "HardSigmoid", x, alpha=1 / 6, beta=0.5),
           lambda np, x: np.clip(x / 6 + 0.5, 0, 1), "`clip(x / 6 + 0.5, 0, 1)`. ONNX HardSigmoid.",
           _hardsigmoid_gradient, half="widest", gives="probabilities")
activation("selu", floating, lambda e, x: float_node(e, "Selu", x),
           lambda np, x: SELU_SCALE * np.where(x > 0, x, SELU_ALPHA * np.expm1(x)),
           "`elu` with the `alpha` and the scale that keep mean 0 and variance 1 (Klambauer et al. 2017). ONNX Selu.",
           _selu_gradient, half="f32")
activation("mish", floating, _mish, lambda np, x: x * np.tanh(np.logaddexp(x, 0)),
           "`x * tanh(softplus(x))` (Misra 2020). ONNX Softplus, Tanh and Mul.", _mish_gradient, half="widest")
activation("hardswish", floating, lambda e, x: e.node("Mul", x, float_node(e, "HardSigmoid", x, alpha=1 / 6, beta=0.5)),
           lambda np, x: x * np.clip(x / 6 + 0.5, 0, 1),
           "`x * clip(x / 6 + 0.5, 0, 1)`, a cheaper silu (Howard et al. 2019). ONNX HardSigmoid and Mul.",
           _hardswish_gradient, half="widest")
# fmt: on


class LeakyRelu(Elementwise, name="leaky_relu", half="widest"):
    """`x` where it is positive, `slope * x` elsewhere. ONNX LeakyRelu.

    leaky_relu(x: f32[n, t]) -> f32[n, t]
    """

    slope: float = 0.01

    def infer(self, x: TensorType) -> TensorType:
        return floating(x)

    def reference(self, np: NumPy, x: Array) -> Array:
        return np.where(x >= 0, x, self.slope * x)

    def lower(self, e: Emitter, x: Ref) -> Ref:
        return e.node("LeakyRelu", x, alpha=float(self.slope))

    def gradient(self, g: Build, dy: Value, y: Value, x: Value) -> Gradients:
        above = g.mask(g("greater", x, 0.0), x.type)
        return {"x": g.mul(dy, g("add", g.mul(above, 1.0 - self.slope), self.slope))}


class Elu(Elementwise, name="elu", half="f32"):
    """`x` where it is positive, `alpha * (exp(x) - 1)` elsewhere. ONNX Elu.

    elu(x: f32[n, t]) -> f32[n, t]
    """

    alpha: float = 1.0

    def infer(self, x: TensorType) -> TensorType:
        return floating(x)

    def reference(self, np: NumPy, x: Array) -> Array:
        return np.where(x > 0, x, self.alpha * np.expm1(x))

    def lower(self, e: Emitter, x: Ref) -> Ref:
        return float_node(e, "Elu", x, alpha=float(self.alpha))

    def gradient(self, g: Build, dy: Value, y: Value, x: Value) -> Gradients:
        slope = g("exp", g("clip", x, max=0.0))  # 1 where `x` is positive
        if self.alpha != 1.0:
            above = g.mask(g("greater", x, 0.0), x.type)
            slope = g.mul(slope, g("add", g.mul(above, 1.0 - self.alpha), self.alpha))
        return {"x": g.mul(dy, slope)}


class Gelu(Elementwise, name="gelu", half="widest"):
    """`x * P(z < x)` for a standard normal `z`; `approximate="tanh"` is the faster formula. ONNX Gelu.

    gelu(x: f32[n, t]) -> f32[n, t]
    """

    approximate: str = "none"

    def infer(self, x: TensorType) -> TensorType:
        one_of(self.approximate, ("none", "tanh"), "approximate")
        return floating(x)

    def reference(self, np: NumPy, x: Array) -> Array:
        if self.approximate == "tanh":
            return 0.5 * x * (1 + np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)))
        return 0.5 * x * (1 + erf_of(np, x / math.sqrt(2)))

    def lower(self, e: Emitter, x: Ref) -> Ref:
        if e.opset >= 20:
            return e.node("Gelu", x, approximate=self.approximate)

        def number(value: float) -> Ref:
            return e.constant(value, x.type.dtype)

        if self.approximate == "tanh":
            cubic = e.node("Mul", number(0.044715), e.node("Pow", x, number(3)))
            bent = e.node("Tanh", e.node("Mul", number(math.sqrt(2 / math.pi)), e.node("Add", x, cubic)))
        else:
            bent = e.node("Erf", e.node("Div", x, number(math.sqrt(2))))
        return e.node("Mul", e.node("Mul", x, e.node("Add", bent, number(1))), number(0.5))

    def gradient(self, g: Build, dy: Value, y: Value, x: Value) -> Gradients:
        if self.approximate == "tanh":
            squared = g.mul(x, x)
            scale = math.sqrt(2 / math.pi)
            bent = g("tanh", g.mul(x, g("add", g.mul(squared, 0.044715 * scale), scale)))
            steep = g("add", g.mul(squared, 1.5 * 0.044715 * scale), 0.5 * scale)
            slope = g.mul(x, g.one_minus(g.mul(bent, bent)), steep)
        else:
            scaled = g.mul(x, math.sqrt(0.5))
            bent = g("erf", scaled)
            slope = g(
                "div", g.mul(x, math.sqrt(0.5 / math.pi)), g("exp", g.mul(scaled, scaled))
            )  # one pass over memory less than a product
        return {"x": g.mul(dy, g("add", g("add", g.mul(bent, 0.5), 0.5), slope))}
