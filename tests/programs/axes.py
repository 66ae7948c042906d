"""Operations along axes, and on shapes; drawn as those in `operations`."""

from __future__ import annotations

import torch
import torch.nn.functional as F

from tests.programs.description import Expr, Size, Table, Type, expr
from tests.programs.operations import draws
from tests.programs.scope import Scope


def variance(x: torch.Tensor, axes: list[int], keep: bool) -> torch.Tensor:
    """The variance by PyTorch's own formula, whose gradient rounds as ours does. Of nothing it is NaN,
    without PyTorch's warning."""
    if x.numel() == 0:
        return (x - x.mean(axes, keepdim=True)).square().mean(axes, keep)
    return x.var(axes, correction=0, keepdim=keep)


def deviation(x: torch.Tensor, axes: list[int], keep: bool) -> torch.Tensor:
    """The standard deviation, likewise."""
    return variance(x, axes, keep).sqrt() if x.numel() == 0 else x.std(axes, correction=0, keepdim=keep)


# -- along axes --------------------------------------------------------------------------------------------------------

REDUCTIONS: Table = {
    "sum": lambda x, axis, keep: x.sum(axis, keep),
    "mean": lambda x, axis, keep: x.mean(axis, keep),
    "max": lambda x, axis, keep: x.amax(axis, keep),
    "min": lambda x, axis, keep: x.amin(axis, keep),
    "var": lambda x, axis, keep: variance(x, axis, keep),
    "std": lambda x, axis, keep: deviation(x, axis, keep),
    "logsumexp": lambda x, axis, keep: x.logsumexp(axis, keep),
}


@draws(4)
def reduction(s: Scope) -> Expr | None:
    x = s.float(1)
    if not x:
        return None
    name, torch = s.form(REDUCTIONS)
    axes = sorted(s.random.sample(range(x.type.rank), s.choice([1, 1, min(2, x.type.rank)])))
    keep = s.chance(0.4)
    shape = [Size(1) if i in axes else size for i, size in enumerate(x.type.shape) if keep or i not in axes]
    written = str(axes[0] if len(axes) == 1 else axes)
    if len(axes) == 1 and s.chance(0.3):
        written = str(axes[0] - x.type.rank)
    text = f"{name}({{0}}, axis={written}{', keepdims=true' * keep})"
    return expr(x.type.of(*shape), text, lambda _, v: torch(v, axes, keep), x)


@draws()
def product_along(s: Scope) -> Expr | None:
    x = s.float(1)
    axis = x.type.rank - 1 if x else 0
    return x and expr(x.type.of(*x.type.shape[:-1]), "prod({0}, axis=-1)", lambda _, v: v.prod(axis), x)


@draws(3)
def along(s: Scope) -> Expr | None:
    """Of the same shape, along an axis."""
    x = s.float(1)
    if not x:
        return None
    axis = s.random.randrange(x.type.rank)
    text, torch = s.form(
        {
            "softmax({0}, axis=%d)": lambda v: v.softmax(axis),
            "log_softmax({0}, axis=%d)": lambda v: v.log_softmax(axis),
            "l2_normalize({0} + 0.1, axis=%d)": lambda v: F.normalize(v + 0.1, dim=axis),
            "cumsum({0}, axis=%d)": lambda v: v.cumsum(axis),
            "cumsum({0}, axis=%d, reverse=true)": lambda v: v.flip(axis).cumsum(axis).flip(axis),
            "cumprod({0}, axis=%d)": lambda v: v.cumprod(axis),
            "cumprod({0}, axis=%d, reverse=true)": lambda v: v.flip(axis).cumprod(axis).flip(axis),
            "sort({0}, axis=%d)": lambda v: v.sort(dim=axis, stable=True)[0],
            "sort({0}, axis=%d, descending=true)": lambda v: v.sort(dim=axis, stable=True, descending=True)[0],
            "{0}.flip(%d)": lambda v: v.flip(axis),
            "roll({0}, 1, axis=%d)": lambda v: v.roll(1, axis),
            "({0} - mean({0}, axis=%d, keepdims=true))": lambda v: v - v.mean(axis, keepdim=True),
        }
    )
    return expr(x.type, text % axis, lambda _, v: torch(v), x)


@draws()
def quantile(s: Scope) -> Expr | None:
    x = s.float(1)
    if not x:
        return None
    axis, q = s.random.randrange(x.type.rank), s.choice([0.5, 0.3, 0.85])
    type = x.type.of(*(size for i, size in enumerate(x.type.shape) if i != axis))
    return expr(type, f"quantile({{0}}, {q}, axis={axis})", lambda _, v: v.quantile(q, axis), x)


@draws()
def order(s: Scope) -> Expr | None:
    """The order along an axis, or the rank of each element."""
    x = s.float(1)
    if not x:
        return None
    axis, down = s.random.randrange(x.type.rank), s.chance(0.5)
    text = f"argsort({{0}}, axis={axis}{', descending=true' * down})"
    return expr(Type("i64", x.type.shape), text, lambda _, v: v.argsort(dim=axis, descending=down, stable=True), x)


# -- shapes ------------------------------------------------------------------------------------------------------------


@draws(2)
def permute(s: Scope) -> Expr | None:
    x = s.float(2)
    if not x:
        return None
    axes = s.random.sample(range(x.type.rank), x.type.rank)
    if x.type.rank == 2 and s.chance(0.5):
        return expr(x.type.of(*reversed(x.type.shape)), "{0}.T", lambda _, v: v.T, x)
    type = x.type.of(*(x.type.shape[axis] for axis in axes))
    return expr(type, f"{{0}}.permute({', '.join(map(str, axes))})", lambda _, v: v.permute(axes), x)


@draws()
def reshape(s: Scope) -> Expr | None:
    """An axis cut in two, or two put together."""
    x = s.pick(lambda type: type.dtype == s.dtype and any((n.number or 0) % 2 == 0 and n.number for n in type.shape))
    if not x:
        return None
    numbers = [i for i, n in enumerate(x.type.shape) if n.number and n.number % 2 == 0]
    axis = s.choice(numbers)
    size = x.type.shape[axis].offset
    pairs = [i for i in range(x.type.rank - 1) if x.type.shape[i].number and x.type.shape[i + 1].number]
    if pairs and s.chance(0.5):
        at = s.choice(pairs)
        merged = Size(x.type.shape[at].offset * x.type.shape[at + 1].offset)
        shape = [*x.type.shape[:at], merged, *x.type.shape[at + 2 :]]
    elif x.type.rank < 4:
        shape = [*x.type.shape[:axis], Size(2), Size(size // 2), *x.type.shape[axis + 1 :]]
    else:
        return None
    written = [str(size) for size in shape]
    runs = [i for i, size in enumerate(shape) if size.name]
    if runs and s.chance(0.3) and "zero" not in s.off:
        written[s.choice(runs)] = "-1"
    names = " ".join(size.name for size in shape)
    text = f"{{0}}.reshape({', '.join(written)})"
    return expr(x.type.of(*shape), text, lambda f, v: v.reshape([n.value(f.sizes) for n in shape]), x, reads=names)


@draws()
def axes_of_one(s: Scope) -> Expr | None:
    x = s.float()
    if not x or x.type.rank > 3:
        return None
    ones = [i for i, size in enumerate(x.type.shape) if size == Size(1)]
    if ones and s.chance(0.6):
        axis = s.choice(ones)
        shape = [size for i, size in enumerate(x.type.shape) if i != axis]
        return expr(x.type.of(*shape), f"squeeze({{0}}, {axis})", lambda _, v: v.squeeze(axis), x)
    axis = s.random.randrange(x.type.rank + 1)
    shape = [*x.type.shape[:axis], Size(1), *x.type.shape[axis:]]
    return expr(x.type.of(*shape), f"unsqueeze({{0}}, {axis})", lambda _, v: v.unsqueeze(axis), x)


@draws(3)
def part(s: Scope) -> Expr | None:
    x = s.float(1)
    if not x:
        return None
    axis = s.random.randrange(x.type.rank)
    size = x.type.shape[axis]
    before = (slice(None),) * axis
    rest = [other for i, other in enumerate(x.type.shape) if i != axis]
    places = ", ".join([":"] * axis)
    lead = f"{places}, " if places else ""
    if s.chance(0.4) or (size.number or 2) < 2:
        at = s.choice([0, -1])
        return expr(x.type.of(*rest), f"{{0}}[{lead}{at}]", lambda _, v: v[(*before, at)], x)
    if size.number is None:
        smaller = size.plus(Size(-1))
        if smaller is None or size.factor != 1 or size.offset < 0:
            return None
        cut, written = s.choice([(slice(1, None), "1:"), (slice(None, -1), ":-1")])
    else:
        start, step = s.choice([0, 0, 1]), s.choice([1, 1, 2])
        stop = s.random.randrange(start + 1, size.number + 1)
        cut = slice(start, stop, step)
        smaller = Size(len(range(start, stop, step)))
        written = f"{start or ''}:{stop}{':2' if step == 2 else ''}"
    shape = [*x.type.shape[:axis], smaller, *x.type.shape[axis + 1 :]]
    lead = "..., " if axis == x.type.rank - 1 and axis and s.chance(0.5) else lead
    return expr(x.type.of(*shape), f"{{0}}[{lead}{written}]", lambda _, v: v[(*before, cut)], x)


@draws(2)
def joined(s: Scope) -> Expr | None:
    """One behind another along an axis, or along a new one."""
    a = s.float(1)
    if not a:
        return None
    axis = s.random.randrange(a.type.rank)

    def others(type: Type) -> list[Size]:
        return [size for i, size in enumerate(type.shape) if i != axis]

    b = s.pick(lambda t: t.dtype == s.dtype and t.rank == a.type.rank and others(t) == others(a.type)) or a
    if a.type == b.type and a.type.rank < 4 and s.chance(0.4):
        shape = [*a.type.shape[:axis], Size(2), *a.type.shape[axis:]]
        return expr(
            a.type.of(*shape), f"stack([{{0}}, {{1}}], {axis})", lambda _, x, y: torch.stack([x, y], axis), a, b
        )
    total = a.type.shape[axis].plus(b.type.shape[axis])
    if total is None or (total.name and total.factor > 2):
        return None
    shape = [*a.type.shape[:axis], total, *a.type.shape[axis + 1 :]]
    return expr(a.type.of(*shape), f"concat([{{0}}, {{1}}], {axis})", lambda _, x, y: torch.cat([x, y], axis), a, b)


@draws()
def halves(s: Scope) -> Expr | None:
    x = s.pick(lambda t: t.dtype == s.dtype and t.rank > 0 and (t.shape[-1].number or 1) % 2 == 0)
    if not x:
        return None
    type = x.type.of(*x.type.shape[:-1], Size(x.type.shape[-1].offset // 2))
    return expr((type, type), "split({0}, 2, axis=-1)", lambda _, v: tuple(v.chunk(2, -1)), x)


@draws()
def largest(s: Scope) -> Expr | None:
    """The largest along the last axis, and where they are."""
    x = s.pick(lambda t: t.dtype == s.dtype and t.rank > 0 and (t.shape[-1].number or 0) > 1)
    if not x:
        return None
    type = x.type.of(*x.type.shape[:-1], Size(2))
    found = (type, Type("i64", type.shape))
    in_order = lambda _, v: tuple(y[..., :2] for y in v.sort(dim=-1, descending=True, stable=True))  # noqa: E731 - used once, below
    return expr(found, "topk({0}, 2)", in_order, x)


@draws()
def around(s: Scope) -> Expr | None:
    x = s.float(1)
    size = x.type.shape[-1] if x else Size()
    grown = size.plus(Size(2))
    if not x or grown is None:
        return None
    widths = [[0, 0]] * (x.type.rank - 1) + [[1, 1]]
    mode = "reflect" if (size.number or 0) > 1 and s.chance(0.4) else "constant"
    type = x.type.of(*x.type.shape[:-1], grown)
    if mode == "constant":
        return expr(type, f"pad({{0}}, {widths}, value=0.5)", lambda _, v: F.pad(v, (1, 1), value=0.5), x)
    text = f'pad({{0}}, {widths}, mode="reflect")'
    return expr(type, text, lambda _, v: torch.cat([v[..., 1:2], v, v[..., -2:-1]], -1), x)


@draws()
def triangle(s: Scope) -> Expr | None:
    x = s.float(2)
    name = s.choice(["tril", "triu"])
    call = getattr(torch, name)
    return x and expr(x.type, f"{name}({{0}})", lambda _, v: call(v), x)


@draws()
def repeated(s: Scope) -> Expr | None:
    x = s.float(1)
    if not x:
        return None
    ones = [i for i, size in enumerate(x.type.shape) if size == Size(1)]
    if ones:
        axis = s.choice(ones)
        shape = [Size(3) if i == axis else size for i, size in enumerate(x.type.shape)]
        written = ", ".join("3" if i == axis else "-1" for i in range(x.type.rank))
        sizes = [3 if i == axis else -1 for i in range(x.type.rank)]
        return expr(x.type.of(*shape), f"expand({{0}}, [{written}])", lambda _, v: v.expand(sizes), x)
    size = x.type.shape[-1]
    doubled = size.plus(size)
    if doubled is None or doubled.factor > 2:
        return None
    counts = [1] * (x.type.rank - 1) + [2]
    return expr(x.type.of(*x.type.shape[:-1], doubled), f"tile({{0}}, {counts})", lambda _, v: v.tile(counts), x)


@draws()
def pooled(s: Scope) -> Expr | None:
    """Windows over a length, which is the last of three axes."""
    x = s.pick(lambda t: t.dtype == s.dtype and t.rank == 3 and (t.shape[-1].number or 0) > 1)
    if not x:
        return None
    type = x.type.of(*x.type.shape[:-1], Size(x.type.shape[-1].offset // 2))
    name, call = s.form({"max_pool": F.max_pool1d, "avg_pool": F.avg_pool1d})
    return expr(type, f"{name}({{0}}, 2)", lambda _, v: call(v, 2), x)
