"""Declares elementwise operations without attributes, in a line or two each."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import new_class
from typing import Any, Unpack

from wsdl.ir.graph import Value
from wsdl.ir.types import TensorType
from wsdl.ops._define import Elementwise
from wsdl.ops._interfaces import Array, Emitter, Ref
from wsdl.ops._lowering import float_node
from wsdl.ops._rules import boolean, broadcast, same_dtype
from wsdl.ops._traits import Traits
from wsdl.ops.build import Build

Rule = Callable[..., TensorType]
Reference = Callable[..., Array]
Lowering = Callable[..., Ref]
Gradients = dict[str, Value]
TRUTH = "it is true or false, with nothing in between"
STEPS = "it stays the same except where it jumps"
FROM_22 = (
    "Round", "Sin", "Cos", "Tan", "Asin", "Acos", "Atan", "Sinh", "Cosh", "Asinh", "Acosh", "Atanh", "Softplus",
    "Softsign",
)  # fmt: skip
"""Operators that take bf16 from opset 22 on."""


def unary(
    name: str,
    rule: Rule,
    lower: str | Lowering | None = None,
    reference: Reference | None = None,
    doc: str = "",
    gradient: str | Callable[..., Value] | None = None,
    *,
    family: str,
    **traits: Unpack[Traits],
) -> None:
    """Declare an elementwise operation on `x` in a family, which is a module.

    `lower` is an ONNX operator or a function; `gradient` is a function of (g, dy, x, y), or why there is none. One
    without because it is true or false (`TRUTH`) gives bools.
    """

    def infer(x: TensorType) -> TensorType:
        return TensorType("bool" if gradient is TRUTH else rule(x).dtype, rule(x).shape)

    def backward(g: Build, dy: Value, y: Value, x: Value) -> Gradients:
        assert callable(gradient)
        return {"x": gradient(g, dy, x, y)}

    dtype = "bool" if rule is boolean else "f32"
    doc = f"{doc}\n\n    {name}(x: {dtype}[n, t]) -> {'bool' if gradient is TRUTH else dtype}[n, t]"
    rules = {"infer": infer, "reference": reference, "lower": _lowering(lower)}
    _declare(name, doc, family, rules, gradient, backward, traits)


def binary(
    name: str,
    rule: Rule,
    lower: str | Lowering | None = None,
    reference: Reference | None = None,
    doc: str = "",
    gradient: str | Callable[..., tuple[Value, Value]] | None = None,
    demand: Callable[..., None] | None = None,
    *,
    family: str,
    **traits: Unpack[Traits],
) -> None:
    """Declare an elementwise operation on `a` and `b`, likewise.

    `gradient` returns those of `a` and `b` from (g, dy, a, b, y).
    """

    def infer(a: TensorType, b: TensorType) -> TensorType:
        rule(a, "a")
        rule(b, "b")
        same_dtype("b", a, b)
        return TensorType("bool" if gradient is TRUTH else a.dtype, broadcast(a.shape, b.shape))

    def backward(g: Build, dy: Value, y: Value, a: Value, b: Value) -> Gradients:
        assert callable(gradient)
        return dict(zip(("a", "b"), gradient(g, dy, a, b, y), strict=True))

    dtype = "bool" if rule is boolean else "f32"
    doc = f"{doc}\n\n    {name}(a: {dtype}[n, t], b: {dtype}[t]) -> {'bool' if gradient is TRUTH else dtype}[n, t]"
    rules = {"infer": infer, "reference": reference, "lower": _lowering(lower), "demand": demand}
    _declare(name, doc, family, rules, gradient, backward, traits)


def _declare(
    name: str, doc: str, family: str, rules: Mapping[str, Any], gradient: object, backward: Any, traits: Traits
) -> None:
    """Declare an operation without attributes, whose rules are functions: `backward` too, unless `gradient` says why
    not."""
    if isinstance(gradient, str):
        traits["no_gradient"] = gradient
    elif gradient is not None:
        rules = {**rules, "gradient": backward}
    given_rules = {rule: staticmethod(function) for rule, function in rules.items() if function is not None}
    new_class(
        name, (Elementwise,), {"name": name, "doc": doc, "family": family, **traits}, lambda c: c.update(given_rules)
    )


def _lowering(lower: str | Lowering | None) -> Lowering | None:
    """An ONNX operator as a rule."""
    if not isinstance(lower, str):
        return lower

    def append(e: Emitter, *operands: Ref) -> Ref:
        return float_node(e, lower, *operands) if lower in FROM_22 else e.node(lower, *operands)

    return append
