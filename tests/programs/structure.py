"""Bodies: arrays of layers, `for`, `if` and `scan`, with bodies of their own."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import tests.programs.axes
import tests.programs.chance  # noqa: F401  # their operations are drawn, too
from tests.programs.applied import (
    RANK,
    a_layer,
    applied,
    assign,
    declared,
    new_embedding,
    new_layer,
    reuse,
    weights_of_a_layer,
)
from tests.programs.description import (
    Assign,
    Count,
    Expr,
    For,
    If,
    Layer,
    Scan,
    Size,
    Type,
    expr,
)
from tests.programs.layers import cell
from tests.programs.operations import SCALED, SMOOTH, operation
from tests.programs.scope import Applicable, Scope
from tests.programs.twin import Frame


def extend(s: Scope, count: int) -> None:
    """Draw some statements behind those of a body."""
    for _ in range(count):
        functions, weights = zip(*((f, w) for f, w in DRAWS if f.__name__ not in s.off), strict=True)
        unread = list(s.unread)
        if not s.random.choices(functions, weights)[0](s):
            s.unread = unread


def an_operation(s: Scope) -> bool:
    value = operation(s)
    if value is None:
        return False
    if len(value.types) == 1 and value.type.dtype == s.dtype and s.chance(0.3):  # two in one expression
        text, torch = s.form(s.choice([SMOOTH, SCALED]))
        value = expr(value.type, text, lambda _, v: torch(v), _in_brackets(value))
    return assign(s, value)


def _in_brackets(value: Expr) -> Expr:
    return Expr(value.types, f"({value.text})", value.torch, value.args, value.reads)


def array(s: Scope) -> bool:
    """An array of layers, and a `for` through it."""
    x = s.declares and s.float(1)
    drawn = x and a_layer(s, x.type)
    if not drawn or not x or drawn.gives != (x.type,) or drawn.takes != (x.type,):
        return False
    name, h = s.fresh("a"), s.bind(x.type, "h")
    count = s.choice([2, 3, 8, 9]) if s.chance(0.3) else s.choice([2, 3])
    if s.chance(0.2):
        other = a_layer(s, x.type)
        fits = other and other.gives == other.takes == (x.type,)
        s.body.append(Layer(name, (drawn.made, other.made if other and fits else drawn.made)))
        count = 2
    else:
        s.body.append(Layer(name, (drawn.made,), count))
    s.body.append(Assign((h,), x))
    item = s.fresh("i")
    inner = s.within()
    kind = s.choice(["forwards", "backwards", "layers", "some", "single"])
    if kind == "single":
        at = s.choice([0, -1])
        layer = Applicable(f"{name}[{at}]", lambda f: f.layers[name][at], (x.type,), (x.type,))
        s.layers.append(layer)
        value = applied(s, layer, s.read(h))
        return value is not None and assign(s, value)
    text, get = {
        "forwards": (f"{name}[{item}]", lambda f: f.layers[name][f.numbers[item]]),
        "backwards": (f"{name}[{count - 1} - {item}]", lambda f: f.layers[name][count - 1 - f.numbers[item]]),
    }.get(kind, (item, lambda f: f.layers[item]))
    over, items = _range(0, count)
    if kind == "layers":
        over, items = name, lambda f: f.layers[name]
    elif kind == "some":
        over, items = f"{name}[1:{count}]", lambda f: f.layers[name][1:]
    else:
        inner.counters += (item,)
    value = applied(inner, Applicable(text, get, (x.type,), (x.type,)), inner.read(h))
    assert value is not None
    inner.body.append(Assign((h,), value))
    extend(inner, s.choice([0, 0, 1, 2]))
    _rebind(inner, h)
    s.body.append(For(item, over, items, tuple(inner.body), frozenset([name])))
    s.unread.append(h)
    return True


def _range(first: int, last: int) -> tuple[str, Callable[[Frame], Any]]:
    return f"{first}..{last}", lambda _: range(first, last)


# -- bodies inside bodies ----------------------------------------------------------------------------------------------


def _rebind(s: Scope, name: str) -> None:
    """Bind a name of the body around anew, to what was drawn in this one where something has its type."""
    type = s.values[name]
    fresh = [other for other in s.unread if s.values[other] == type and other != name]
    if fresh:
        other = s.read(s.choice(fresh))
        text, torch = s.form(
            {
                "({0} + {1})": lambda a, b: a + b,
                "(0.5 * {0} + tanh({1}))": lambda a, b: 0.5 * a + b.tanh(),
                "{1}": lambda a, b: b,
            }
        )
        s.body.append(Assign((name,), expr(type, text, lambda _, a, b: torch(a, b), s.read(name), other)))


def _something(s: Scope) -> str | None:
    """A new name for a float tensor, which bodies inside this one bind anew."""
    x = s.float()
    if x is None:
        return None
    name = s.bind(x.type, "h")
    s.body.append(Assign((name,), x))
    return name


def repeat(s: Scope) -> bool:
    name = _something(s) if s.depth < 2 else None
    if name is None:
        return False
    inner, item, count = s.within(), s.fresh("i"), s.choice([1, 2, 3, 9 if s.depth == 0 else 2])
    inner.counters += (item,)
    extend(inner, s.choice([1, 2, 3]))
    _rebind(inner, name)
    if s.random.random() < 0.5 or not inner.body:
        inner.body.append(_scaled_by(inner, name, item))
    s.body.append(For(item, *_range(0, count), tuple(inner.body)))
    return True


def _scaled_by(s: Scope, name: str, item: str) -> Assign:
    value = expr(
        s.values[name],
        f"{{0}} * (1 + {item}) / 3",
        lambda f, v: v * (1 + f.numbers[item]) / 3,
        s.read(name),
        reads=item,
    )
    return Assign((name,), value)


def choose(s: Scope) -> bool:
    names = [*s.numbers, *s.counters, *sorted(s.static)]
    name = _something(s) if names and s.depth < 2 else None
    if name is None:
        return False
    of = s.choice(names)
    limit = s.choice([1, 2, 3])
    condition, holds = s.form(
        {
            f"{of} > {limit}": lambda f: f.sizes[of] > limit,
            f"{of} % 2 == 0": lambda f: f.sizes[of] % 2 == 0,
            f"{of} != {limit} and not {of} > 5": lambda f: f.sizes[of] != limit and not f.sizes[of] > 5,
        }
    )
    bodies = []
    for _ in range(s.choice([1, 2])):
        inner = s.within()
        extend(inner, s.choice([1, 2]))
        _rebind(inner, name)
        if not inner.body:
            text, torch = s.form(SMOOTH)
            value = expr(s.values[name], text, lambda _, v, torch=torch: torch(v), inner.read(name))
            inner.body.append(Assign((name,), value))
        bodies.append(tuple(inner.body))
    s.body.append(If(condition, holds, *bodies))
    return True


def scan(s: Scope) -> bool:
    """A `scan` over one or two sequences, with up to two states, of which each step may give something."""
    axis = s.choice([0, 1, 1, 1])

    def counts(type: Type) -> bool:  # the size is that of one axis alone, whatever the names in a block stand for
        if type.rank <= axis or type.shape.count(type.shape[axis]) > 1:
            return False
        return bool(type.shape[axis].name) or not any(size.name in s.static for size in type.shape)

    x = s.depth < 2 and s.pick(
        lambda type: type.dtype == s.dtype and counts(type) and type.shape[axis].name not in s.static
    )
    if not x or not (x.type.shape[axis].name or s.chance(0.3)):
        return False
    along = x.type.shape[axis]
    sequences = [x]
    if s.chance(0.4):
        other = s.pick(lambda type: counts(type) and type.shape[axis] == along)
        sequences += [other] if other else []
    inner = s.within()
    names = []
    for sequence in sequences:
        slice = Type(sequence.type.dtype, tuple(size for i, size in enumerate(sequence.type.shape) if i != axis))
        names.append((inner.bind(slice, "x"), sequence))
    carried = [_start(s, inner, names[0][0]) for _ in range(s.choice([0, 1, 1, 2]))]
    if carried and s.declares and s.chance(0.5):
        _cell(s, inner, names[0][0], carried)
    extend(inner, s.choice([1, 2, 3]))
    for name, _ in carried:
        _rebind(inner, name)
    emitted = [n for n in inner.unread if inner.values[n].rank >= axis and inner.values[n].rank < RANK]
    emitted = emitted[-2:] or [n for n, _ in carried if inner.values[n].rank >= axis]
    if not emitted and not carried:
        return False
    emits = [inner.read(name) for name in emitted]
    types = [Type(e.type.dtype, (*e.type.shape[:axis], along, *e.type.shape[axis:])) for e in emits]
    targets = tuple(s.bind(type, "e") for type in types)
    for name, start in carried:
        s.values[name] = start.type
        s.unread.append(name)
    s.body.append(
        Scan(targets, tuple(names), axis, along, tuple(carried), tuple(inner.body), tuple(emits), s.chance(0.3))
    )
    return True


def count(s: Scope) -> bool:
    """A `scan` over numbers, with one or two states: up to a number, to one that only the run knows, or to an end."""
    x = s.depth < 2 and s.pick(lambda type: type.dtype == s.dtype)
    if not x:
        return False
    inner = s.within()
    state = inner.bind(x.type, "h")
    carried = [(state, x), *([_start(s, inner, state)] if s.chance(0.4) else [])]
    number, steps = s.fresh("i"), s.choice([0, 1, 2, 3])
    limit, ends = s.choice([str(steps), str(steps), f"argmax(arange({steps + 1}), axis=0)"]), None
    if steps and s.chance(0.4):
        limit, ends = s.choice([str(steps + 2), f"argmax(arange({steps + 3}), axis=0)"]), steps - 1
    step = inner.bind(Type(s.dtype), "s")
    of_step = expr(Type(s.dtype), f"cast({number}, {s.dtype})", lambda f: _tensor([], f.numbers[number]))
    inner.body.append(Assign((step,), of_step))
    extend(inner, s.choice([1, 2, 3]))
    for name, _ in carried:
        _rebind(inner, name)
    emits = [inner.read(state)] if limit == str(steps) and steps and x.type.rank < RANK and s.chance(0.5) else []
    targets = tuple(s.bind(Type(e.type.dtype, (Size(steps), *e.type.shape)), "e") for e in emits)
    for name, start in carried:
        s.values[name] = start.type
        s.unread.append(name)
    s.body.append(Count(targets, number, limit, steps, tuple(carried), tuple(inner.body), tuple(emits), ends))
    return True


def _start(s: Scope, inner: Scope, x: str) -> tuple[str, Expr]:
    """A state: like a slice, of another width, a scalar, or what something is that is there."""
    shape = inner.values[x].shape
    kind = s.choice(["like", "like", "wide", "scalar", "there"])
    start = s.like(Type(s.dtype, shape)) if kind == "there" else None
    if start is None and kind == "scalar":
        start = expr(Type(s.dtype), "0.25" if s.dtype == "f32" else f"full([], 0.25, dtype={s.dtype})",
                     lambda _: _tensor([], 0.25))  # fmt: skip
    if start is None:
        sizes = (*shape[:-1], Size(3)) if kind == "wide" and shape else shape
        call, number = s.choice([("zeros", 0.0), ("ones", 1.0)])
        suffix = "" if s.dtype == "f32" else f", dtype={s.dtype}"
        text = f"{call}([{', '.join(map(str, sizes))}]{suffix})"
        start = expr(Type(s.dtype, sizes), text, lambda f: _tensor([size.value(f.sizes) for size in sizes], number))
    name = inner.bind(start.type, "h")
    return name, start


def _tensor(shape: list[int], number: float) -> Any:
    import torch

    return torch.full(shape, number, dtype=torch.float64)


def _cell(s: Scope, inner: Scope, x: str, carried: list[tuple[str, Expr]]) -> None:
    type, state = inner.values[x], carried[0][1].type
    if type.rank != 2 or state.rank != 2 or type.shape[0] != state.shape[0]:
        return
    if not s.is_static(type.shape[1]) or not s.is_static(state.shape[1]):
        return
    drawn = cell(s, type, state)
    alike = [name for name, start in carried if start.type == state]
    if len(alike) < len(drawn.gives):
        return
    layer = declared(s, drawn, "c")
    states = alike[: len(drawn.gives)]
    value = expr(
        drawn.gives, f"{layer.text}({', '.join(f'{{{i}}}' for i in range(len(states) + 1))})",
        lambda f, *v: layer.get(f)(*v), *(inner.read(name) for name in (x, *states)), reads=layer.text,
    )  # fmt: skip
    inner.body.append(Assign(tuple(states), value))


DRAWS: list[tuple[Callable[[Scope], bool], int]] = [
    (an_operation, 12), (new_layer, 5), (reuse, 2), (weights_of_a_layer, 1), (new_embedding, 2), (array, 3),
    (repeat, 2), (choose, 2), (scan, 3), (count, 2),
]  # fmt: skip
