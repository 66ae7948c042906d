"""Operations on single elements."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F

from tests.ops.case import FLOATS, INTEGERS, SIGNED, Case, below, case, nonzero, numbers, positive, special

NO_F64 = (
    "erf", "leaky_relu", "elu", "gelu", "softplus", "selu", "mish", "hardswish", "hardsigmoid", "softsign",
    "logsigmoid", "logaddexp", "tan", "asin", "acos", "atan", "atan2", "sinh", "cosh", "asinh", "acosh", "atanh",
)  # no kernels in ONNX Runtime  # fmt: skip


def _kernel(op: str, dtype: str) -> bool:
    return not (dtype == "f64" and op in NO_F64)


def binary(op: str, function: Callable[..., Any], dtypes: tuple[str, ...]) -> list[Case]:
    """Each dtype, and the ways to broadcast."""
    shapes = [("[2, 3]", "[2, 3]"), ("[2, 3]", "[3]"), ("[]", "[2]"), ("[4, 1, 3]", "[2, 1]"), ("[0, 3]", "[1]")]
    return [
        *(case(op, f"{d}[2, 3]", nonzero(f"{d}[2, 3]"), torch=function, runs=_kernel(op, d)) for d in dtypes),
        *(case(op, dtypes[0] + a, nonzero(dtypes[0] + b), torch=function) for a, b in shapes),
    ]


def unary(
    op: str, function: Callable[..., Any], dtypes: tuple[str, ...] = FLOATS, least: float | None = None
) -> list[Case]:
    """Each dtype, no axes, no elements, and special values; from `least` on if the function needs that."""
    given = [f"{d}[2, 3]" for d in dtypes] + [f"{dtypes[0]}[]", f"{dtypes[0]}[0, 2]"]
    operands = [g if least is None else positive(g, least) for g in given]
    cases = [
        case(op, o, torch=function, runs=_kernel(op, g[: g.index("[")])) for o, g in zip(operands, given, strict=True)
    ]
    return cases + ([case(op, special(), torch=function)] if "f32" in dtypes and op not in ("sin", "cos") else [])


def logaddexp(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    """`torch.logaddexp`, with a gradient at equal infinities."""
    equal = (a == b) & a.isinf()
    return torch.where(equal, (a + b) / 2, torch.logaddexp(torch.where(equal, 0, a), torch.where(equal, 0, b)))


def hardsigmoid(x: torch.Tensor) -> torch.Tensor:
    """`F.hardsigmoid`, which PyTorch differentiates once only."""
    return F.relu6(x + 3) / 6


COORDINATES = np.array([-np.inf, -2.0, -1.0, 0.0, 1e-20, 1.0, 3e20, np.inf])
F32_FIRST = ("f32", "f16", "bf16", "f64")
NUMBERS = ("f32", "f16", "bf16", "f64", *INTEGERS)

CASES = [
    *binary("add", lambda a, b: a + b, NUMBERS),
    *binary("sub", lambda a, b: a - b, NUMBERS),
    *binary("mul", lambda a, b: a * b, NUMBERS),
    *binary("div", lambda a, b: a / b, F32_FIRST),
    *binary("floordiv", lambda a, b: a // b, NUMBERS),
    *binary("mod", lambda a, b: a % b, NUMBERS),
    *binary("minimum", torch.minimum, NUMBERS),
    *binary("maximum", torch.maximum, NUMBERS),
    case("maximum", special(), numbers([0.0]), torch=torch.maximum),
    case("minimum", special(), numbers([0.0]), torch=torch.minimum),
    case("floordiv", numbers([7.5, -7.5, 7.5, -7.5, 6]), numbers([2, 2, -2, -2, 3]), torch=lambda a, b: a // b),
    case("mod", numbers([7.5, -7.5, 7.5, -7.5, 6]), numbers([2, 2, -2, -2, 3]), torch=lambda a, b: a % b),
    *(case("pow", positive(f"{d}[2, 3]"), f"{d}[3]", torch=lambda a, b: a**b) for d in F32_FIRST),
    *(case("pow", below(5, f"{d}[2, 3]"), below(3, f"{d}[3]"), torch=lambda a, b: a**b) for d in INTEGERS),
    case("pow", "f32[2, 3]", numbers(2.0), torch=lambda a, b: a**b),
    case("pow", numbers([0.0, 0.0, 0.0, 2.0, 2.0]), numbers([0.0, 2.0, 1.0, 0.0, -1.0]), torch=lambda a, b: a**b),
    case("minimum", numbers([1, 2, 3]), numbers([2, 2, 2]), torch=torch.minimum),
    case("maximum", numbers([1, 2, 3]), numbers([2, 2, 2]), torch=torch.maximum),
    *(
        row
        for op, function in {
            "equal": lambda a, b: a == b,
            "not_equal": lambda a, b: a != b,
            "less": lambda a, b: a < b,
            "less_equal": lambda a, b: a <= b,
            "greater": lambda a, b: a > b,
            "greater_equal": lambda a, b: a >= b,
        }.items()
        for row in [*binary(op, function, NUMBERS), case(op, special(), special(), torch=function)]
    ),
    case("equal", "bool[5]", "bool[5]", torch=lambda a, b: a == b),
    case("not_equal", "bool[5]", "bool[5]", torch=lambda a, b: a != b),
    case("logical_and", "bool[2, 5]", "bool[5]", torch=lambda a, b: a & b),
    case("logical_or", "bool[2, 5]", "bool[5]", torch=lambda a, b: a | b),
    case("logical_not", "bool[2, 5]", torch=lambda x: ~x),
    *unary("neg", torch.neg, F32_FIRST + SIGNED),
    *unary("abs", torch.abs, F32_FIRST + INTEGERS),
    *(c for c in unary("sign", torch.sign, F32_FIRST + INTEGERS) if "nan" not in c.name),
    *unary("floor", torch.floor, F32_FIRST),
    *unary("round", torch.round, F32_FIRST),
    *unary("ceil", torch.ceil, F32_FIRST),
    *unary("trunc", torch.trunc, F32_FIRST),
    *unary("isnan", torch.isnan, F32_FIRST),
    *unary("isinf", torch.isinf, F32_FIRST),
    *unary("isfinite", torch.isfinite, F32_FIRST),
    *unary("exp", torch.exp, F32_FIRST),
    *unary("expm1", torch.expm1, F32_FIRST),
    case("expm1", numbers([1e-7, -1e-7, 1e-30, -20.0, 80.0]), torch=torch.expm1),
    *unary("log1p", torch.log1p, F32_FIRST, least=-0.9),
    case("log1p", numbers([1e-7, -1e-7, 1e-30, -1.0, -0.99, 1e7, 1e30]), torch=torch.log1p),
    *unary("log2", torch.log2, F32_FIRST, least=0.1),
    *unary("log10", torch.log10, F32_FIRST, least=0.1),
    *binary("logaddexp", torch.logaddexp, F32_FIRST),
    case("logaddexp", special(), numbers([0.0]), torch=torch.logaddexp),
    case("logaddexp", special(), numbers([-np.inf]), torch=logaddexp),
    case("logaddexp", numbers([np.inf, -np.inf, 700.0]), numbers([np.inf, -np.inf, 700.0]), torch=logaddexp),
    *unary("log", torch.log, F32_FIRST, least=0.1),
    *unary("sqrt", torch.sqrt, F32_FIRST, least=0.0),
    *unary("rsqrt", torch.rsqrt, F32_FIRST, least=0.1),
    *unary("sin", torch.sin, F32_FIRST),
    *unary("cos", torch.cos, F32_FIRST),
    *unary("tan", torch.tan, F32_FIRST),
    *unary("asin", torch.asin, F32_FIRST),
    *unary("acos", torch.acos, F32_FIRST),
    *(case(op, numbers([-1.0, 1.0]), torch=getattr(torch, op)) for op in ("asin", "acos", "atanh")),
    *unary("atan", torch.atan, F32_FIRST),
    *binary("atan2", torch.atan2, F32_FIRST),
    case("atan2", numbers(COORDINATES), numbers(COORDINATES[:, None]), torch=torch.atan2),
    *unary("sinh", torch.sinh, F32_FIRST),
    *unary("cosh", torch.cosh, F32_FIRST),
    *unary("asinh", torch.asinh, F32_FIRST),
    *unary("acosh", torch.acosh, F32_FIRST, least=1.1),
    *unary("atanh", torch.atanh, F32_FIRST),
    *unary("erf", torch.erf, F32_FIRST),
    *unary("tanh", torch.tanh, F32_FIRST),
    *unary("sigmoid", torch.sigmoid, F32_FIRST),
    *unary("relu", torch.relu, F32_FIRST),
    *unary("relu6", F.relu6, F32_FIRST),
    case("relu6", numbers([-1.0, 0.0, 3.0, 6.0, 7.0]), torch=F.relu6),
    *unary("logsigmoid", F.logsigmoid, F32_FIRST),
    *(c for c in unary("softsign", F.softsign, F32_FIRST) if "inf" not in c.name),
    *unary("hardsigmoid", hardsigmoid, F32_FIRST),
    case("hardsigmoid", numbers([-4.0, -3.0, -2.9, 0.0, 2.9, 3.0, 4.0]), torch=hardsigmoid),
    *unary("silu", F.silu, F32_FIRST),
    *unary("softplus", F.softplus, F32_FIRST),
    *unary("leaky_relu", F.leaky_relu, F32_FIRST),
    case("leaky_relu", "f32[9]", slope=0.2, torch=lambda x: F.leaky_relu(x, 0.2)),
    *unary("elu", F.elu, F32_FIRST),
    case("elu", "f32[9]", alpha=0.5, torch=lambda x: F.elu(x, 0.5)),
    *(c for c in unary("gelu", F.gelu, F32_FIRST) if "inf" not in c.name),
    case("gelu", "f32[9]", approximate="tanh", torch=lambda x: F.gelu(x, approximate="tanh")),
    *unary("selu", F.selu, F32_FIRST),
    *unary("mish", F.mish, F32_FIRST),
    *(c for c in unary("hardswish", F.hardswish, F32_FIRST) if "inf" not in c.name),
    case("hardswish", numbers([-4.0, -2.9, -1.0, 0.0, 1.0, 2.9, 4.0]), torch=F.hardswish),
    case("hardswish", numbers([-3.0, 3.0, 1e4, -1e4]), torch=F.hardswish),
    case("mish", numbers([30.0, -30.0, 88.0]), torch=F.mish),
    *unary("stop_gradient", lambda x: x.detach(), (*F32_FIRST, *INTEGERS, "bool")),
    case("straight_through", "f32[2, 3]", "f32[2, 3]", torch=lambda x, share: x.detach() + share - share.detach()),
    *(case("clip", f"{d}[9]", min=-1, max=2, torch=lambda x: x.clamp(-1, 2)) for d in F32_FIRST + SIGNED),
    case("clip", "u8[9]", min=2, max=5, torch=lambda x: x.clamp(2, 5)),
    case("clip", special(), min=-0.5, torch=lambda x: x.clamp(min=-0.5)),
    case("clip", special(), min=-0.5, max=2.0, torch=lambda x: x.clamp(-0.5, 2)),
    case("clip", numbers([-1.5, -1.0, 0.0, 2.0, 2.5]), min=-1, max=2, torch=lambda x: x.clamp(-1, 2)),
    case("clip", "f32[0, 2]", max=0.5, torch=lambda x: x.clamp(max=0.5)),
    case("clip", "f32[2]", torch=lambda x: x),
    *(case("where", "bool[2, 3]", f"{d}[3]", f"{d}[2, 1]", torch=torch.where) for d in (*NUMBERS, "bool")),
    case("where", "bool[]", "f32[0]", "f32[]", torch=torch.where),
    *(
        case("cast", f"{a}[2, 5]", dtype=b, torch=lambda x, b=b: x.to(TORCH[b]))
        for a in ("f32", "f16", "bf16", "i64", "i8", "bool")
        for b in ("f32", "f16", "bf16", "f64", "i64", "i16", "bool")
    ),
    case("cast", numbers([-2.7, -0.5, 0.0, 0.5, 2.7, float("nan")]), dtype="bool", torch=lambda x: x.bool()),
]

TORCH = {
    "f16": torch.float16, "bf16": torch.bfloat16, "f32": torch.float32, "f64": torch.float64, "i8": torch.int8,
    "i16": torch.int16, "i32": torch.int32, "i64": torch.int64, "u8": torch.uint8, "bool": torch.bool,
}  # fmt: skip
