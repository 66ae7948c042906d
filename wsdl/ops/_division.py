"""Lowerings of `//`, `%` and `**`, whose edge cases ONNX and its runtimes leave undefined.

For integers, `Div` rounds towards zero and crashes where the smallest number is divided by -1; `Pow` loses digits.
"""

from __future__ import annotations

from wsdl.ir.types import BYTES
from wsdl.ops._interfaces import Emitter, Ref
from wsdl.ops._lowering import cast_to, chosen, float_node


def mod(e: Emitter, a: Ref, b: Ref) -> Ref:
    if not a.type.is_float:
        a, divisor = _divisible(e, a, b, "%")
        return e.node("Mod", a, divisor)  # by -1 as by 1: the rest is 0
    rest, crosses = _rest(e, a, b)
    return e.node("Where", crosses, e.node("Add", rest, b), rest)


def _rest(e: Emitter, a: Ref, b: Ref) -> tuple[Ref, Ref]:
    """The remainder of a division of floats, with the sign of `a`; and where its sign differs from that of `b`."""
    rest = e.node("Mod", a, b, fmod=1)
    signs = e.node("Mul", e.node("Sign", rest), e.node("Sign", b))
    return rest, e.node("Less", signs, e.constant(0, a.type.dtype))


def _floordiv_of_floats(e: Emitter, a: Ref, b: Ref) -> Ref:
    dtype, divisors = a.type.dtype, e.numbers(b)
    rest, crosses = _rest(e, a, b)
    quotient = e.node("Div", e.node("Sub", a, rest), b).typed(e.results[0])  # comes out even
    quotient = e.node("Sub", float_node(e, "Round", quotient), cast_to(e, crosses, dtype))
    if divisors is not None and 0 not in divisors:
        return quotient
    return e.node("Where", e.node("Equal", b, e.constant(0, dtype)), e.node("Div", a, b), quotient)


def floordiv(e: Emitter, a: Ref, b: Ref) -> Ref:
    if a.type.is_float:
        return _floordiv_of_floats(e, a, b)
    dtype, divisors = a.type.dtype, e.numbers(b)
    a, divisor = _divisible(e, a, b, "//")
    quotient, zero = e.node("Div", a, divisor), e.constant(0, dtype)
    if dtype == "u8":
        return quotient
    above = cast_to(e, e.node("Mod", a, divisor), "bool")  # rounded towards zero, that is up, if the signs differ
    differ = e.node("Less", a, zero)
    if divisors is None or min(divisors) < 0:
        differ = e.node("Xor", differ, e.node("Less", divisor, zero))
    quotient = e.node("Sub", quotient, cast_to(e, e.node("And", above, differ), dtype)).typed(e.results[0])
    if divisors is not None and -1 not in divisors:
        return quotient
    negated = e.node("Sub", zero, a).typed(e.results[0])
    return chosen(e, e.node("Equal", b, e.constant(-1, dtype)), negated, quotient)


def _divisible(e: Emitter, a: Ref, b: Ref, sign: str) -> tuple[Ref, Ref]:
    """Integers that every machine can divide: `a` after a check that no divisor is 0; `b` with 1 in place of 0, for
    runtimes that can't stop, and of -1, since the smallest number divided by it overflows."""
    dtype, divisors = a.type.dtype, e.numbers(b)
    if divisors is not None and not {0, -1} & set(divisors):
        return a, b
    avoided = []
    if divisors is None or 0 in divisors:
        is_zero = e.node("Equal", b, e.constant(0, dtype))
        a = e.stopped(a, is_zero, f"a divisor other than 0 for `{sign}`")
        avoided.append(is_zero)
    if dtype != "u8":
        avoided.append(e.node("Equal", b, e.constant(-1, dtype)))
    one = e.constant(1, dtype)
    return a, chosen(e, avoided[0] if len(avoided) == 1 else e.node("Or", *avoided), one, b)


def power(e: Emitter, a: Ref, b: Ref) -> Ref:
    """Integers by repeated multiplication: ONNX Runtime's `Pow` computes in f64, which loses digits."""
    if a.type.is_float:
        return e.node("Pow", a, b)
    exponents, dtype = e.numbers(b), a.type.dtype
    one = e.constant(1, dtype)
    if exponents is not None and b.type.rank == 0 and exponents[0] >= 0:
        return _to_the_power(e, a, int(exponents[0])) if exponents[0] else e.node("Add", e.node("Sub", a, a), one)

    def step(i: Ref, carried: list[Ref]) -> list[Ref]:
        power, square, left = carried
        half = e.node("Div", left, two)
        is_odd = e.node("Greater", left, e.node("Mul", half, two))
        times = chosen(e, is_odd, square, one)
        return [e.node("Mul", power, times), e.node("Mul", square, square), half]

    if dtype != "u8" and (exponents is None or min(exponents) < 0):
        a = e.stopped(a, e.node("Less", b, e.constant(0, dtype)), "an exponent of at least 0 for `**`")
    two, bits = e.constant(2, dtype), e.constant(8 * BYTES[dtype], "i64")
    power = e.node("Expand", one, e.dims(e.results[0].shape)).typed(e.results[0])
    return e.repeated(bits, [power, a, b], step)[0]


def _to_the_power(e: Emitter, a: Ref, exponent: int) -> Ref:
    """By squaring: for 13 that is a * a**4 * a**8."""
    power: Ref | None = None
    while exponent:
        if exponent % 2:
            power = a if power is None else e.node("Mul", power, a)
        exponent //= 2
        a = e.node("Mul", a, a) if exponent else a
    assert power is not None
    return power
