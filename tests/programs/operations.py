"""Operations: each function draws one call of a kind, its text beside what it means in PyTorch."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F

from tests.programs.description import Expr, Size, Table, Type, expr
from tests.programs.scope import Scope

Draw = Callable[[Scope], "Expr | None"]
DRAWS: list[tuple[Draw, int]] = []


def draws(weight: int = 1) -> Callable[[Draw], Draw]:
    def register(function: Draw) -> Draw:
        DRAWS.append((function, weight))
        return function

    return register


def operation(scope: Scope) -> Expr | None:
    """A call of any operation; `None` where nothing is there that the one which was drawn takes."""
    functions, weights = zip(*((f, w) for f, w in DRAWS if f.__name__ not in scope.off), strict=True)
    drawn: Draw = scope.random.choices(functions, weights)[0]
    unread = list(scope.unread)
    found = drawn(scope)
    if found is None:
        scope.unread = unread
    return found


# -- element by element ------------------------------------------------------------------------------------------------

SMOOTH: Table = {
    "tanh({0})": torch.tanh,
    "sigmoid({0})": torch.sigmoid,
    "silu({0})": F.silu,
    "gelu({0})": F.gelu,
    'gelu({0}, approximate="tanh")': lambda x: F.gelu(x, approximate="tanh"),
    "softplus({0})": F.softplus,
    "mish({0})": F.mish,
    "erf({0})": torch.erf,
    "sin({0})": torch.sin,
    "cos({0})": torch.cos,
    "exp(-abs({0}))": lambda x: torch.exp(-x.abs()),
    "log(abs({0}) + 0.5)": lambda x: torch.log(x.abs() + 0.5),
    "sqrt({0} ** 2 + 0.1)": lambda x: torch.sqrt(x**2 + 0.1),
    "rsqrt(abs({0}) + 0.5)": lambda x: torch.rsqrt(x.abs() + 0.5),
    "{0} ** 2": lambda x: x**2,
    "{0} ** 3 * 0.25": lambda x: x**3 * 0.25,
    "1 / (1 + {0} ** 2)": lambda x: 1 / (1 + x**2),
    "elu({0})": F.elu,
    "selu({0})": F.selu,
    "tan(tanh({0}))": lambda x: torch.tan(x.tanh()),
    "asin(0.9 * tanh({0}))": lambda x: torch.asin(0.9 * x.tanh()),
    "acos(0.9 * tanh({0}))": lambda x: torch.acos(0.9 * x.tanh()),
    "atan({0})": torch.atan,
    "sinh(tanh({0}))": lambda x: torch.sinh(x.tanh()),
    "cosh(tanh({0}))": lambda x: torch.cosh(x.tanh()),
    "asinh({0})": torch.asinh,
    "acosh({0} ** 2 + 1.5)": lambda x: torch.acosh(x**2 + 1.5),
    "atanh(0.8 * tanh({0}))": lambda x: torch.atanh(0.8 * x.tanh()),
    "log1p({0} ** 2)": lambda x: torch.log1p(x**2),
    "log2(abs({0}) + 0.5)": lambda x: torch.log2(x.abs() + 0.5),
    "log10({0} ** 2 + 0.5)": lambda x: torch.log10(x**2 + 0.5),
    "expm1(tanh({0}))": lambda x: torch.expm1(x.tanh()),
    "logsigmoid({0})": F.logsigmoid,
    "softsign({0})": F.softsign,
}
KINKED: Table = {
    "relu({0})": F.relu,
    "abs({0})": torch.abs,
    "leaky_relu({0}, 0.1)": lambda x: F.leaky_relu(x, 0.1),
    "hardswish({0})": F.hardswish,
    "hardsigmoid({0})": lambda x: F.relu6(x + 3) / 6,  # which PyTorch differentiates twice
    "relu6({0})": F.relu6,
    "clip({0}, -0.7, 0.8)": lambda x: x.clamp(-0.7, 0.8),
    "clip({0}, min=-0.2)": lambda x: x.clamp(min=-0.2),
    "maximum({0}, 0.1)": lambda x: torch.maximum(x, x.new_tensor(0.1)),
    "where({0} > 0.2, {0}, 0.3 * {0})": lambda x: torch.where(x > 0.2, x, 0.3 * x),
    "({0} + stop_gradient({0}))": lambda x: x + x.detach(),
    "(0.5 * {0} + sign({0}))": lambda x: 0.5 * x + x.sign().detach(),
    "({0} - floor({0}))": lambda x: x - x.floor().detach(),
    "({0} - round({0}))": lambda x: x - x.round().detach(),
    "({0} - ceil({0}))": lambda x: x - x.ceil().detach(),
    "({0} - trunc({0}))": lambda x: x - x.trunc().detach(),
    "where(isfinite({0}), {0}, 0.0)": lambda x: torch.where(x.isfinite(), x, 0),
    "clip(where({0} > 0.3, inf, {0}), max=0.5)": lambda x: torch.where(x > 0.3, torch.inf, x).clamp(max=0.5),
}
SCALED: Table = {
    "({0} + 0.5)": lambda x: x + 0.5,
    "(1 - {0})": lambda x: 1 - x,
    "{0} * 0.8": lambda x: x * 0.8,
    "-{0}": lambda x: -x,
    "({0} / 3)": lambda x: x / 3,
    "2 * {0}": lambda x: 2 * x,
}


@draws(5)
def elementwise(s: Scope) -> Expr | None:
    x = s.float()
    text, torch = s.form(s.choice([SMOOTH, KINKED, SCALED]))
    if text.count("(") == 1 and text.endswith("({0})") and s.chance(0.3):
        text = f"({{0}} |> {text.removesuffix('({0})')})"
    return x and expr(x.type, text, lambda _, v: torch(v), x)


BINARY: Table = {
    "({0} + {1})": lambda a, b: a + b,
    "({0} - {1})": lambda a, b: a - b,
    "({0} * {1})": lambda a, b: a * b,
    "({0} / (abs({1}) + 0.5))": lambda a, b: a / (b.abs() + 0.5),
    "minimum({0}, {1})": torch.minimum,
    "maximum({0}, {1})": torch.maximum,
    "logaddexp({0}, {1})": torch.logaddexp,
    "atan2({0}, abs({1}) + 0.5)": lambda a, b: torch.atan2(a, b.abs() + 0.5),
    "where({0} > {1}, {0}, 0.5 * {1})": lambda a, b: torch.where(a > b, a, 0.5 * b),
    "(abs({0}) + 0.5) ** tanh({1})": lambda a, b: (a.abs() + 0.5) ** torch.tanh(b),
}


def broadcast(a: Type, b: Type) -> Type | None:
    """The type of `a` and `b` together, where one broadcasts to the other for sure."""
    shape: list[Size] = []
    for i in range(max(a.rank, b.rank)):
        one = a.shape[a.rank - 1 - i] if i < a.rank else Size(1)
        other = b.shape[b.rank - 1 - i] if i < b.rank else Size(1)
        if one != other and Size(1) not in (one, other):
            return None
        shape.insert(0, other if one == Size(1) else one)
    return a.of(*shape)


@draws(5)
def binary(s: Scope) -> Expr | None:
    a = s.float()
    b = a and s.pick(lambda type: type.dtype == s.dtype and broadcast(a.type, type) is not None)
    if not a or not b:
        return None
    type = broadcast(a.type, b.type)
    assert type is not None
    text, torch = s.form(BINARY)
    return expr(type, text, lambda _, x, y: torch(x, y), a, b)


@draws(2)
def with_param(s: Scope) -> Expr | None:
    """Something with a parameter, or with a part of one, along the last axes."""
    x = s.float(1)
    if not x:
        return None
    axes = s.choice([1, 1, 2]) if x.type.rank > 1 else 1
    w = s.param(*x.type.shape[-axes:])
    text, torch = s.choice([*BINARY.items()][:4])
    return w and expr(x.type, text, lambda _, a, b: torch(a, b), x, w)


@draws(2)
def by_size(s: Scope) -> Expr | None:
    """A number that is a size, of the run or known, or a setting."""
    x = s.float()
    if not x:
        return None
    names = [size.name for size in x.type.shape if size.name] + [*s.numbers, *s.counters]
    if not names:
        return None
    name = s.choice(names)
    text, torch = s.form({"({0} / (1 + %s))": lambda v, n: v / (1 + n), "{0} * %s * 0.1": lambda v, n: v * n * 0.1})
    return expr(x.type, text % name, lambda f, v: torch(v, f.sizes[name]), x, reads=name)


# -- bools and integers ------------------------------------------------------------------------------------------------


@draws()
def comparison(s: Scope) -> Expr | None:
    a = s.float(1)
    text, torch = s.form(
        {
            "({0} > 0.1)": lambda x: x > 0.1,
            "({0} <= -0.2)": lambda x: x <= -0.2,
            "not ({0} < 0)": lambda x: ~(x < 0),
            "({0} > 0 and {0} < 1)": lambda x: (x > 0) & (x < 1),
        }
    )
    return a and expr(Type("bool", a.type.shape), text, lambda _, x: torch(x), a)


@draws()
def masked(s: Scope) -> Expr | None:
    mask = s.pick(lambda type: type.dtype == "bool")
    x = mask and s.like(Type(s.dtype, mask.type.shape))
    if not mask or not x:
        return None
    other, to = s.form({"0.0": torch.zeros_like, "-1": lambda v: -torch.ones_like(v), "{1} * 0.5": lambda v: v * 0.5})
    return expr(x.type, f"where({{0}}, {{1}}, {other})", lambda _, m, v: torch.where(m, v, to(v)), mask, x)


@draws()
def as_float(s: Scope) -> Expr | None:
    """What is no float, as one."""
    x = s.pick(lambda type: not type.is_float)
    return x and expr(Type(s.dtype, x.type.shape), f"cast({{0}}, {s.dtype})", lambda _, v: v.double(), x)


@draws()
def integers(s: Scope) -> Expr | None:
    x = s.pick(lambda type: type.dtype == "i64")
    text, calculate = s.form(
        {
            "({0} + 3)": lambda v: v + 3,
            "({0} // 2)": lambda v: v // 2,
            "(-{0} % 3)": lambda v: -v % 3,
            "(2 * {0} - 5)": lambda v: 2 * v - 5,
            "abs({0} - 2)": lambda v: (v - 2).abs(),
            "minimum({0}, 3)": lambda v: v.clamp(max=3),
            "(-{0} // 3)": lambda v: torch.div(-v, 3, rounding_mode="floor"),
            "where({0} > 1, {0}, 1 - {0})": lambda v: torch.where(v > 1, v, 1 - v),
        }
    )
    return x and expr(x.type, text, lambda _, v: calculate(v), x)


@draws()
def arg(s: Scope) -> Expr | None:
    x = s.float(1)
    if not x:
        return None
    axis = s.random.randrange(x.type.rank)
    name = s.choice(["argmax", "argmin"])
    first = lambda _, v: v.sort(dim=axis, descending=name == "argmax", stable=True)[1].select(axis, 0)  # noqa: E731 - used once, below
    type = Type("i64", tuple(size for i, size in enumerate(x.type.shape) if i != axis))
    return expr(type, f"{name}({{0}}, axis={axis})", first, x)


@draws()
def one_hot(s: Scope) -> Expr | None:
    x = s.pick(lambda type: type.dtype == "i64" and type.rank < 3)
    depth = s.choice([3, 5])
    if not x:
        return None
    type = Type(s.dtype, (*x.type.shape, Size(depth)))
    suffix = "" if s.dtype == "f32" else f", dtype={s.dtype}"
    text = f"one_hot({{0}} % {depth}, {depth}{suffix})"
    return expr(type, text, lambda _, v: F.one_hot(v % depth, depth).double(), x)


@draws()
def places(s: Scope) -> Expr | None:
    """The places along an axis."""
    x = s.float(1)
    if not x:
        return None
    size = s.choice(x.type.shape)
    return expr(Type("i64", (size,)), f"arange({size})", lambda f: torch.arange(size.value(f.sizes)), reads=size.name)


@draws(2)
def gather(s: Scope) -> Expr | None:
    """Rows of a parameter, or parts of a tensor, at indices."""
    at = s.pick(lambda type: type.dtype == "i64" and type.rank in (1, 2))
    table = at and s.param(Size(5), s.choice([Size(4), Size(6)]))
    if not at or not table:
        return None
    type = Type(s.dtype, (*at.type.shape, table.type.shape[1]))
    return expr(type, "gather({0}, {1} % 5)", lambda _, t, v: t[v % 5], table, at)


@draws()
def bucket(s: Scope) -> Expr | None:
    """Where elements are among boundaries."""
    x = s.float()
    right = s.chance(0.5)
    bounds = s.choice([[-0.5, 0.1, 0.7], [0.25]])
    text = f"bucketize({{0}}, {bounds}{', right=true' * right})"
    if not x:
        return None
    return expr(
        Type("i64", x.type.shape),
        text,
        lambda _, v: torch.bucketize(v.contiguous(), v.new_tensor(bounds), right=right),
        x,
    )


@draws(2)
def segments(s: Scope) -> Expr | None:
    """The rows of each of three groups reduced, or each in relation to those of its group."""
    group = s.pick(lambda type: type.dtype == "i64" and type.rank == 1)
    x = group and s.pick(lambda t: t.dtype == s.dtype and t.rank > 0 and t.shape[0] == group.type.shape[0])
    if not group or not x:
        return None
    name = s.choice(["segment_sum", "segment_mean", "segment_max", "segment_min", "segment_softmax"])
    type = x.type if name == "segment_softmax" else x.type.of(Size(3), *x.type.shape[1:])

    def reduced(_: object, v: torch.Tensor, g: torch.Tensor) -> torch.Tensor:
        rows = [v[g % 3 == i] for i in range(3)]
        if name == "segment_softmax":
            parts = torch.cat([part.softmax(0) for part in rows])
            places = torch.cat([torch.where(g % 3 == i)[0] for i in range(3)])
            return parts[places.argsort()]
        how = {"segment_sum": "sum", "segment_mean": "mean", "segment_max": "amax", "segment_min": "amin"}[name]
        none = v.new_zeros(v.shape[1:])
        return torch.stack([getattr(part, how)(0) if len(part) else none for part in rows])

    return expr(type, f"{name}({{0}}, {{1}} % 3, 3)", reduced, x, group)


# -- products of matrices ----------------------------------------------------------------------------------------------


@draws(4)
def product(s: Scope) -> Expr | None:
    x = s.float(2)
    if not x or not s.is_static(x.type.shape[-1]):
        return None
    units = s.choice([Size(2), Size(4), Size(5), x.type.shape[-1], *(Size(0, n) for n in s.numbers)])
    if s.chance(0.5):
        w = s.param(x.type.shape[-1], units)
        text, torch = "({0} @ {1})", lambda _, a, b: a @ b
    else:
        w = s.param(units, x.type.shape[-1])
        text, torch = "({0} @ {1}.T)", lambda _, a, b: a @ b.T
    return w and expr(x.type.of(*x.type.shape[:-1], units), text, torch, x, w)


@draws(2)
def scores(s: Scope) -> Expr | None:
    """Attention over the axis before the last one, or its scores."""
    q = s.float(3)
    k = q and s.pick(
        lambda t: (
            t.dtype == s.dtype
            and t.rank == q.type.rank
            and (*t.shape[:-2], t.shape[-1]) == (*q.type.shape[:-2], q.type.shape[-1])
        )
    )
    if not q or not k:
        return None
    v = s.pick(lambda t: t.dtype == s.dtype and t.shape[:-1] == k.type.shape[:-1]) or k
    causal = q.type.shape[-2] == k.type.shape[-2] and s.chance(0.4)
    if s.chance(0.3):
        axes = ", ".join(map(str, [*range(k.type.rank - 2), k.type.rank - 1, k.type.rank - 2]))
        type = q.type.of(*q.type.shape[:-1], k.type.shape[-2])
        return expr(type, f"softmax({{0}} @ {{1}}.permute({axes}))", lambda _, a, b: (a @ b.mT).softmax(-1), q, k)

    def attend(_: object, a: torch.Tensor, b: torch.Tensor, c: torch.Tensor) -> Any:
        seen = a @ b.mT * a.shape[-1] ** -0.5
        if causal:
            seen = seen.masked_fill(~torch.ones(seen.shape[-2:], dtype=torch.bool).tril(), -torch.inf)
        return seen.softmax(-1) @ c

    type = q.type.of(*q.type.shape[:-1], v.type.shape[-1])
    return expr(type, f"attention({{0}}, {{1}}, {{2}}{', causal=true' * causal})", attend, q, k, v)


@draws()
def einsum(s: Scope) -> Expr | None:
    a, b = s.float(2), None
    if a:
        b = s.pick(lambda t: t.dtype == s.dtype and t.rank == 2 and t.shape[-1] == a.type.shape[-1])
    if not a or not b or a.type.rank > 3:
        return None
    left = "abc"[: a.type.rank - 1]
    equation = f"{left}x,yx->{left}y" if s.chance(0.7) else f"{left}x,yx->{left}"
    type = a.type.of(*a.type.shape[:-1], *([b.type.shape[0]] if equation.endswith("y") else []))
    return expr(type, f'einsum("{equation}", [{{0}}, {{1}}])', lambda _, x, y: torch.einsum(equation, x, y), a, b)
