"""A random program from a seed."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from random import Random
from typing import Any

from tests.programs.applied import STATIC, applied, assign, of_own_block
from tests.programs.description import Block, Description, Expr, Layer, Model, Size, Type, expr
from tests.programs.draw_formulas import formulas
from tests.programs.draw_gradients import gradients
from tests.programs.draw_sharing import groups
from tests.programs.draw_training import training
from tests.programs.layers import standard
from tests.programs.scope import Applicable, Scope
from tests.programs.structure import extend
from tests.programs.twin import Frame

N, T = Size(0, "n"), Size(0, "t")
INPUTS: tuple[tuple[Size, ...], ...] = (
    (N, Size(4)), (N, Size(6)), (N, T, Size(4)), (N, T, Size(4)), (N, T, Size(6)), (N, Size(4), Size(6)),
    (N, Size(2), Size(4), Size(4)), (T, Size(3)), (N, Size(5)), (N, T),
)  # fmt: skip


def draw(seed: int, off: frozenset[str] = frozenset()) -> Description:
    """The program of a seed, the same each time; `off` names functions of what is not to be drawn."""
    random = Random(f"programs/{seed}")
    dtype = random.choices(["f32", "f64", "f16"], [8, 1, 1])[0]
    blocks: list[Block] = []
    for number in range(random.choice([0, 0, 1, 1, 2, 3])):
        blocks.append(_block(random, number, dtype, tuple(blocks), off))
    layers: tuple[Layer, ...] = ()
    shared: list[Applicable] = []
    several = random.random() < 0.25
    if several:
        layers, shared = _layers(random, dtype, tuple(blocks), off)
    models = [_model(random, name, dtype, tuple(blocks), shared, off) for name in ["m", "k"][: 1 + several]]
    program = Description(tuple(blocks), layers, tuple(models), sizes=_sizes(random))
    program = groups(program, random, seed)
    program = formulas(program, Random(f"formulas/{seed}"), seed)
    program = gradients(program, Random(f"gradients/{seed}"), seed)
    return training(program, random, seed, dtype)


def _sizes(random: Random) -> tuple[Mapping[str, int], ...]:
    """What the dynamic dimensions are: usual sizes first, then edges."""
    n, t = random.choice([3, 4, 5]), random.choice([3, 4, 6])
    return ({"n": n, "t": t}, random.choice([{"n": 1, "t": t}, {"n": n, "t": 1}, {"n": 0, "t": t}, {"n": n, "t": 0}]))


def _scope(random: Random, dtype: str, blocks: tuple[Block, ...], off: frozenset[str], **more: object) -> Scope:
    return Scope(random, dtype, blocks, off=off, taken={"n", "t", "d", "c", "m", "k"}, **more)  # type: ignore[arg-type]  # its fields


def _block(random: Random, number: int, dtype: str, blocks: tuple[Block, ...], off: frozenset[str]) -> Block:
    settings = tuple((name, random.choice([2, 3, 4])) for name in ["k1", "k2"][: random.choice([0, 0, 1, 2])])
    d = Size(0, "d")
    shape = random.choice([(N, d), (N, T, d), (N, T, d), (N, Size(0, "c"), d)])
    inputs = [("x", Type(dtype, shape))]
    if random.random() < 0.2:
        inputs.append(("y", Type(dtype, shape)))
    has_state = random.random() < 0.3
    s = _scope(
        random, dtype, blocks, off, static=STATIC & {n.name for n in shape}, numbers=tuple(name for name, _ in settings)
    )
    s.has_state = has_state
    s.taken |= {name for name, _ in settings} | {name for name, _ in inputs}
    s.values.update(inputs)
    s.unread = [name for name, _ in inputs]
    extend(s, random.choice([2, 3, 5]))
    results = _results(s, 1 if random.random() < 0.8 else 2)
    if results and random.random() < 0.4 and s.values["x"] != results[0].type:
        back = _back(s, results[0])
        results = [back] if back else results
    return Block(f"B{number}", settings, tuple(inputs), tuple(s.body), tuple(results), has_state)


def _back(s: Scope, value: Expr) -> Expr | None:
    """A value of the type of the block's input, by a product with a parameter, so that the block can be stacked."""
    x = s.values["x"]
    if value.type.shape[:-1] != x.shape[:-1] or not value.type.rank or not s.is_static(value.type.shape[-1]):
        return None
    w = s.param(value.type.shape[-1], x.shape[-1])
    return w and expr(x, "(x + {0} @ {1})", lambda f, v, u: f.values["x"] + v @ u, value, w, reads="x")


def _results(s: Scope, count: int) -> list[Expr]:
    """The latest values that nothing reads, or whatever there is."""
    fresh = [name for name in s.unread if s.values[name].dtype == s.dtype]
    names = fresh[-count:] or [name for name in s.values if s.values[name].dtype == s.dtype][-1:]
    return [s.read(name) for name in names]


def _layers(
    random: Random, dtype: str, blocks: tuple[Block, ...], off: frozenset[str]
) -> tuple[tuple[Layer, ...], list[Applicable]]:
    """Layers of the file, for what the models have in common."""
    s = _scope(random, dtype, blocks, off)
    layers, applicable = [], []
    for name in ["g1", "g2"]:
        x = Type(dtype, random.choice(INPUTS[:5]))
        drawn = of_own_block(s, x) if blocks and s.chance(0.6) else standard(s, x)
        if drawn is None or len(drawn.takes) > 1 or drawn.has_state:
            continue
        layers.append(Layer(name, (drawn.made,)))
        applicable.append(Applicable(name, partial(_layer_of, name), drawn.takes, drawn.gives))
    return tuple(layers), applicable


def _layer_of(name: str, frame: Frame) -> Any:
    return frame.layers[name]


def _model(
    random: Random, name: str, dtype: str, blocks: tuple[Block, ...], shared: list[Applicable], off: frozenset[str]
) -> Model:
    s = _scope(random, dtype, blocks, off, is_model=True)
    s.has_state = True
    s.layers += shared
    s.taken |= {"g1", "g2"}
    inputs = [("x", Type(dtype, shared[0].takes[0].shape if shared else random.choice(INPUTS)))]
    if random.random() < 0.4:
        inputs.append(("z", Type(dtype, random.choice([inputs[0][1].shape, random.choice(INPUTS)]))))
    if random.random() < 0.35:
        inputs.append(("ids", Type("i64", random.choice([(N,), (N, T)]))))
    if random.random() < 0.15:
        inputs.append(("mask", Type("bool", inputs[0][1].shape)))
    s.taken |= {name for name, _ in inputs}
    s.values.update(inputs)
    s.unread = [name for name, _ in inputs]
    for layer in shared:
        _use(s, layer)
    extend(s, random.choice([2, 4, 6, 9]))
    names = [n for n in s.unread if n not in dict(inputs)][-4:]
    if not names:
        names = [n for n in s.values if n not in dict(inputs) and not n.startswith("w")][-1:]
    if not names:
        extend(s, 3)
        names = [n for n in s.values if not n.startswith("w")][-1:]
    outputs = tuple((f"out{i}", s.read(n)) for i, n in enumerate(names))
    return Model(name, tuple(inputs), tuple(s.body), outputs)


def _use(s: Scope, layer: Applicable) -> None:
    value = applied(s, layer)
    if value:
        assign(s, value)
