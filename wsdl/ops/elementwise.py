"""Elementwise operations. Binary ones broadcast as in NumPy; both operands have one dtype."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial

from wsdl.ir.dtypes import NUMPY, dtype_of
from wsdl.ir.graph import Value
from wsdl.ir.types import INTEGERS, RANGE, DType, TensorType, holds
from wsdl.ops import _declare, _division
from wsdl.ops._declare import STEPS, TRUTH, Gradients, Lowering
from wsdl.ops._define import Elementwise
from wsdl.ops._errors import OpError
from wsdl.ops._interfaces import Array, Emitter, Numbers, NumPy, Ref, Types
from wsdl.ops._lowering import cast_to, chosen, widely
from wsdl.ops._rules import boolean, broadcast, floating, numeric, same_dtype, signed
from wsdl.ops.build import Build


def _as_is(x: TensorType, argument: str = "x") -> TensorType:
    return x


def _not_divisible(x: TensorType, argument: str = "x") -> TensorType:
    if x.is_integer:
        raise OpError(
            f"`/` doesn't divide integers, but `{argument}` is {x}",
            argument=argument,
            help=f"`//` divides integers and rounds down; `cast({argument}, f32)` makes them floating-point numbers",
            code="E0403",
        )
    return floating(x, argument)


def _wide(op_type: str) -> Lowering:
    return lambda e, a, b: widely(e, lambda a, b: e.node(op_type, a, b), a, b)


def _mod_gradient(g: Build, dy: Value, a: Value, b: Value, y: Value) -> tuple[Value, Value]:
    return dy, g("neg", g.mul(dy, g("floordiv", a, b)))


def _pow_gradient(g: Build, dy: Value, a: Value, b: Value, y: Value) -> tuple[Value, Value]:
    zero = g.mul(g.mask(g("equal", b, 0.0), b.type), g.mask(g("equal", a, 0.0), b.type))
    by_a = g.mul(b, g("pow", a, g("add", g("sub", b, 1.0), zero)))  # 0 for the exponent 0, also where `a` is 0
    exponent = g.number(b)
    if exponent == 2:
        by_a = g.mul(a, 2.0)
    elif exponent is not None and exponent != 0:
        by_a = g.mul(g("pow", a, exponent - 1.0), exponent)
    stays_zero = g("logical_and", g("equal", a, 0.0), g("greater_equal", b, 0.0))
    log = g("log", g("where", stays_zero, g.constant(1.0, a.type), a))
    return g.mul(dy, by_a), g.mul(dy, y, log)


def _chosen(worse: str, not_better: str) -> Callable[..., tuple[Value, Value]]:
    """The gradient goes to the operand that is chosen, half to each if they are equal."""

    def share(g: Build, dy: Value, a: Value, b: Value) -> Value:
        counted = [g.mask(g("logical_not", g(test, a, b)), dy.type) for test in (worse, not_better)]
        return g.mul(dy, g.mul(g.add(counted), 0.5))

    return lambda g, dy, a, b, y: (share(g, dy, a, b), share(g, dy, b, a))


def _no_zero(types: Types, constants: Numbers) -> None:
    if types["a"].is_integer and 0 in constants.get("b", []):
        raise OpError("an integer divided by 0 has no result", argument="b", code="E0407")


def _no_fraction(types: Types, constants: Numbers) -> None:
    exponent = min(constants.get("b", [0]))
    if types["a"].is_integer and exponent < 0:
        help = "`cast(a, f32)` makes them floating-point numbers"
        raise OpError(f"an integer to the power of {exponent} is a fraction", argument="b", help=help, code="E0403")


def _equal(e: Emitter, a: Ref, b: Ref) -> Ref:
    """ONNX Runtime computes in f32 what has no kernel for f16, and keeps some results unrounded: the largest element of
    a tensor, once it is stored or moved, equals none of it. So numbers of f16 are equal that are one once rounded."""
    if a.type.dtype != "f16":
        return e.node("Equal", a, b)
    a, b = cast_to(e, a, "f32"), cast_to(e, b, "f32")
    size = e.node("Min", e.node("Abs", a), e.node("Abs", b))
    limit = e.node("Max", e.node("Mul", size, e.constant(_ROUNDED, "f32")), e.constant(_ROUNDED * 2.0**-14, "f32"))
    return e.node("Or", e.node("Equal", a, b), e.node("Less", e.node("Abs", e.node("Sub", a, b)), limit))


# Above what rounding to 11 digits changes, relative to a number, and below what two neighbors in f16 differ by.
_ROUNDED = 2.0**-11 * (1 + 2.0**-12)


def _trunc(e: Emitter, x: Ref) -> Ref:
    return e.node("Where", e.node("Less", x, e.constant(0, x.type.dtype)), e.node("Ceil", x), e.node("Floor", x))


def _isinf(e: Emitter, x: Ref) -> Ref:
    """The operator takes 16-bit floats from opset 20 on."""
    return e.node("IsInf", x if e.opset >= 20 or x.type.dtype in ("f32", "f64") else cast_to(e, x, "f32"))


unary, binary = partial(_declare.unary, family=__name__), partial(_declare.binary, family=__name__)


# fmt: off
# -- arithmetic --------------------------------------------------------------------------------------------------------

binary("add", numeric, "Add", lambda np, a, b: a + b, "`a + b`. ONNX Add.",
       lambda g, dy, a, b, y: (dy, dy), half="shift")
binary("sub", numeric, "Sub", lambda np, a, b: a - b, "`a - b`. ONNX Sub.",
       lambda g, dy, a, b, y: (dy, g("neg", dy)), half="shift")
binary("mul", numeric, "Mul", lambda np, a, b: a * b, "`a * b`. ONNX Mul.",
       lambda g, dy, a, b, y: (g.mul(dy, b), g.mul(dy, a)), half="product")
binary("div", _not_divisible, "Div", lambda np, a, b: a / b, "`a / b`, of floating-point numbers. ONNX Div.",
       lambda g, dy, a, b, y: (g("div", dy, b), g("neg", g.mul(g("div", dy, b), y))), half="product")
binary("floordiv", numeric, _division.floordiv, lambda np, a, b: np.floor_divide(a, b),
       "`a // b`: the quotient rounded down, for negative numbers too. ONNX Div and Mod.", STEPS, _no_zero, half="f32")
binary("mod", numeric, _division.mod, lambda np, a, b: np.mod(a, b),
       "`a % b`: the remainder of `a // b`, with the sign of `b`. ONNX Mod.", _mod_gradient, _no_zero, half="f32")
binary("pow", numeric, _division.power, lambda np, a, b: np.power(a, b),
       "`a ** b`; for integers `b` is at least 0. ONNX Pow; for integers Mul and Loop.", _pow_gradient, _no_fraction,
       half="f32")
binary("minimum", numeric, _wide("Min"), lambda np, a, b: np.minimum(a, b),
       "The smaller of each pair; NaN if one is NaN. ONNX Min.", _chosen("greater", "greater_equal"), half="widest")
binary("maximum", numeric, _wide("Max"), lambda np, a, b: np.maximum(a, b),
       "The larger of each pair; NaN if one is NaN. ONNX Max.", _chosen("less", "less_equal"), half="widest")

# -- comparison --------------------------------------------------------------------------------------------------------

binary("equal", _as_is, _equal, lambda np, a, b: a == b,
       "`a == b`, as bool. ONNX Equal; for f16 also Sub and Less.", TRUTH, half="widest")
binary("not_equal", _as_is, lambda e, a, b: e.node("Not", _equal(e, a, b)), lambda np, a, b: a != b,
       "`a != b`, as bool. ONNX Equal and Not; for f16 also Sub and Less.", TRUTH, half="widest")
binary("less", numeric, "Less", lambda np, a, b: a < b, "`a < b`, as bool. ONNX Less.", TRUTH, half="widest")
binary("less_equal", numeric, "LessOrEqual", lambda np, a, b: a <= b, "`a <= b`, as bool. ONNX LessOrEqual.", TRUTH,
       half="widest")
binary("greater", numeric, "Greater", lambda np, a, b: a > b, "`a > b`, as bool. ONNX Greater.", TRUTH, half="widest")
binary("greater_equal", numeric, "GreaterOrEqual", lambda np, a, b: a >= b,
       "`a >= b`, as bool. ONNX GreaterOrEqual.", TRUTH, half="widest")

# -- logic -------------------------------------------------------------------------------------------------------------

binary("logical_and", boolean, "And", lambda np, a, b: a & b, "`a and b`, of bools. ONNX And.", TRUTH, half="as is")
binary("logical_or", boolean, "Or", lambda np, a, b: a | b, "`a or b`, of bools. ONNX Or.", TRUTH, half="as is")
unary("logical_not", boolean, "Not", lambda np, x: ~x, "`not x`, of bools. ONNX Not.", TRUTH, half="as is")

# -- signs and rounding ------------------------------------------------------------------------------------------------

unary("neg", signed, "Neg", lambda np, x: -x, "`-x`. ONNX Neg.", lambda g, dy, x, y: g("neg", dy), half="widest")
unary("abs", numeric, "Abs", lambda np, x: np.abs(x), "The absolute value. ONNX Abs.",
      lambda g, dy, x, y: g.mul(dy, g("sign", x)), half="widest")
unary("sign", numeric, "Sign", lambda np, x: np.sign(x), "-1, 0 or 1. ONNX Sign.", STEPS, half="widest")
unary("floor", floating, "Floor", lambda np, x: np.floor(x), "Rounded down. ONNX Floor.", STEPS, half="widest")
unary("round", floating, "Round", lambda np, x: np.round(x),
      "Rounded to the nearest; halves to even. ONNX Round.", STEPS, half="widest")
unary("ceil", floating, "Ceil", lambda np, x: np.ceil(x), "Rounded up. ONNX Ceil.", STEPS, half="widest")
unary("trunc", floating, _trunc, lambda np, x: np.trunc(x), "Rounded towards zero. ONNX Floor, Ceil, Less and Where.",
      STEPS, half="widest")

# -- infinity and NaN --------------------------------------------------------------------------------------------------

unary("isnan", floating, "IsNaN", lambda np, x: np.isnan(x), "Whether a number is NaN, as bool. ONNX IsNaN.", TRUTH,
      half="widest")
unary("isinf", floating, _isinf, lambda np, x: np.isinf(x),
      "Whether a number is infinity or minus infinity, as bool. ONNX IsInf.", TRUTH, half="widest")
unary("isfinite", floating, lambda e, x: e.node("Less", e.node("Abs", x), e.constant(math.inf, x.type.dtype)),
      lambda np, x: np.isfinite(x), "Whether a number is neither infinite nor NaN, as bool. ONNX Abs and Less.", TRUTH,
      half="widest")
# fmt: on


# -- with parameters ---------------------------------------------------------------------------------------------------


class Clip(Elementwise, name="clip", half="widest", unbounded=["min", "max"]):
    """`x` limited to `min` and `max`; either may be left out. ONNX Clip.

    clip(x: f32[n, t]) -> f32[n, t]
    """

    min: int | float | None = None
    max: int | float | None = None

    def infer(self, x: TensorType) -> TensorType:
        for name, limit in ("min", self.min), ("max", self.max):
            if limit != limit:
                raise OpError(f"`{name}` is NaN", argument=name, code="E0414")
            if isinstance(limit, float) and not numeric(x).is_float:
                raise OpError(f"`{name}` must be an integer, because `x` is {x}", argument=name, code="E0403")
        if x.is_integer and self.min is not None and self.min > RANGE[x.dtype][1]:
            raise OpError(f"`min` is {self.min}, which is more than {x.dtype} can hold", argument="min", code="E0414")
        if x.is_integer and self.max is not None and self.max < RANGE[x.dtype][0]:
            raise OpError(f"`max` is {self.max}, which is less than {x.dtype} can hold", argument="max", code="E0414")
        if self.min is not None and self.max is not None and self.min > self.max:
            raise OpError(f"`min` is {self.min}, which is above `max`, {self.max}", argument="min", code="E0414")
        return numeric(x)

    def reference(self, np: NumPy, x: Array) -> Array:
        low, high = (_in_range(dtype_of(x), limit) for limit in (self.min, self.max))
        x = x if low is None else np.maximum(x, low)
        return x if high is None else np.minimum(x, high)

    def lower(self, e: Emitter, x: Ref) -> Ref:
        dtype = x.type.dtype
        if self.min is not None and self.max is not None and dtype in ("f16", "f32"):  # a part of convolutions
            return e.node("Clip", x, e.constant(self.min, dtype), e.constant(self.max, dtype))
        # Not Clip: without a limit it turns infinity into the largest number.
        for op_type, limit in ("Max", _in_range(dtype, self.min)), ("Min", _in_range(dtype, self.max)):
            if limit is not None:
                x = widely(e, partial(e.node, op_type), x, e.constant(limit, dtype)).typed(x.type)
        return x

    def gradient(self, g: Build, dy: Value, y: Value, x: Value) -> Gradients:
        """It also passes at the limits themselves."""
        for test, limit in ("greater_equal", self.min), ("less_equal", self.max):
            if limit is not None:
                dy = g.mul(dy, g.mask(g(test, x, limit), x.type))
        return {"x": dy}


def _in_range(dtype: DType, limit: int | float | None) -> int | float | None:
    """A limit of integers, as one that their dtype can hold."""
    if limit is None or dtype not in INTEGERS:
        return limit
    low, high = RANGE[dtype]
    return sorted((low, limit, high))[1]


# -- choice and conversion ---------------------------------------------------------------------------------------------


class Where(Elementwise, name="where", half="moves"):
    """`a` where the condition is true, `b` elsewhere; all three broadcast. ONNX Where.

    where(condition: bool[n, 1], a: f32[n, t], b: f32[t]) -> f32[n, t]
    """

    def infer(self, condition: TensorType, a: TensorType, b: TensorType) -> TensorType:
        boolean(condition, "condition")
        same_dtype("b", a, b)
        return a.with_shape(broadcast(condition.shape, a.shape, b.shape))

    def reference(self, np: NumPy, condition: Array, a: Array, b: Array) -> Array:
        return np.where(condition, a, b)

    def lower(self, e: Emitter, condition: Ref, a: Ref, b: Ref) -> Ref:
        return chosen(e, condition, a, b)

    def gradient(self, g: Build, dy: Value, y: Value, condition: Value, a: Value, b: Value) -> Gradients:
        chosen = {"a": condition, "b": g("logical_not", condition)}
        return {name: g.mul(dy, g.mask(chooses, dy.type)) for name, chooses in chosen.items()}


class Cast(Elementwise, name="cast", half="as is"):
    """`x` in another dtype. ONNX Cast; from floats to integers also Clip, IsNaN and Where.

    From float to integer the fraction is dropped; numbers out of range become the nearest one that both dtypes have
    (300.7 as i8 is 127), NaN becomes 0. Integers out of range wrap around. To bool everything but 0 is true.

        cast(x: f32[n, t], dtype=i64) -> i64[n, t]
    """

    dtype: DType

    def infer(self, x: TensorType) -> TensorType:
        return x.with_dtype(self.dtype)

    def demand(self, types: Types, constants: Numbers) -> None:
        whole = constants.get("x", []) if self.dtype in INTEGERS else []
        beyond = next((n for n in whole if not holds(self.dtype, int(n))), None)
        if beyond is not None:
            message = f"{beyond} is {'less' if beyond < 0 else 'more'} than {self.dtype} can hold"
            raise OpError(message, argument="x", code="E0414")

    def reference(self, np: NumPy, x: Array) -> Array:
        if x.dtype.kind != "f" or self.dtype not in INTEGERS:
            return x  # every result is cast to its type
        return np.where(np.isnan(x), 0, np.clip(x, *_whole_range(x.dtype.name, self.dtype)))

    def lower(self, e: Emitter, x: Ref) -> Ref:
        if not x.type.is_float or self.dtype not in INTEGERS:
            return cast_to(e, x, self.dtype)
        if x.type.dtype in ("f16", "bf16"):
            x = cast_to(e, x, "f32").typed(x.type.with_dtype("f32"))
        dtype_of_x = x.type.dtype
        low, high = (e.constant(limit, dtype_of_x) for limit in _whole_range(NUMPY[dtype_of_x], self.dtype))
        number = e.node("Where", e.node("IsNaN", x), e.constant(0, dtype_of_x), e.node("Clip", x, low, high))
        return cast_to(e, number, self.dtype)

    def gradient(self, g: Build, dy: Value, y: Value, x: Value) -> Gradients:
        return {"x": g("cast", dy, dtype=x.type.dtype)} if y.type.is_float and x.type.is_float else {}


def _whole_range(float_dtype: str, dtype: DType) -> tuple[float, float]:
    """The smallest and the largest integer of a dtype that the float dtype represents; the cast of others is
    undefined."""
    low, high = RANGE[dtype]
    digits = 53 if float_dtype == "float64" else 24
    excess = max(int(high).bit_length() - digits, 0)
    return float(low), float(int(high) >> excess << excess)


class StopGradient(
    Elementwise,
    name="stop_gradient",
    half="moves",
    training="only",
    no_gradient="its purpose is to stop gradients",
):
    """`x`, without a gradient: PyTorch's `detach`.

    A compiled model has no ONNX node of it.

        stop_gradient(x: f32[n, t]) -> f32[n, t]
    """

    def infer(self, x: TensorType) -> TensorType:
        return x

    def reference(self, np: NumPy, x: Array) -> Array:
        return x

    def lower(self, e: Emitter, x: Ref) -> Ref:
        return x


class StraightThrough(Elementwise, name="straight_through", internal=True, half="widest"):
    """`x` itself, with the gradient of `share`.

    With it a part of a batch is computed with values of the whole batch. It has no ONNX node in a compiled model.

        straight_through(x: f32[n, t], share: f32[n, t]) -> f32[n, t]
    """

    def infer(self, x: TensorType, share: TensorType) -> TensorType:
        same_dtype("share", floating(x), share)
        broadcast(x.shape, share.shape, argument="share")
        return x

    def reference(self, np: NumPy, x: Array, share: Array) -> Array:
        return x

    def lower(self, e: Emitter, x: Ref, share: Ref) -> Ref:
        return x

    def gradient(self, g: Build, dy: Value, y: Value, x: Value, share: Value) -> Gradients:
        return {"share": dy}
