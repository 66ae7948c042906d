"""Layers and what they are applied to: new ones, those of the program's own blocks, inline ones, the same once more."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tests.programs.description import Assign, Count, Expr, For, If, Layer, Scan, Size, Statement, Type, expr
from tests.programs.layers import Drawn, embedding, standard
from tests.programs.scope import Applicable, Scope
from tests.programs.twin import Frame, of_block

LARGEST = 24  # of a size that is a number
RANK = 4
STATIC = frozenset(["d", "c"])  # names of sizes of blocks that are known when compiling


def is_moderate(*types: Type) -> bool:
    return all(
        type.rank <= RANK and all(size.offset <= LARGEST and size.factor <= 2 for size in type.shape) for type in types
    )


def assign(s: Scope, value: Expr) -> bool:
    """Bind an expression to new names."""
    if not is_moderate(*value.types):
        return False
    s.body.append(Assign(tuple(s.bind(type) for type in value.types), value))
    return True


# -- layers ------------------------------------------------------------------------------------------------------------


def of_own_block(s: Scope, x: Type) -> Drawn | None:
    """A layer of a block of this program."""
    fitting = [block for block in s.blocks if block.inputs[0][1].rank == x.rank]
    if not fitting:
        return None
    block = s.choice(fitting)
    sizes: dict[str, Size] = {}
    takes = [x]
    for axis, size in enumerate(block.inputs[0][1].shape):
        if size.name in STATIC and not s.is_static(x.shape[axis]):
            return None
        sizes[size.name] = x.shape[axis]
    free = [x.shape[axis] for axis, size in enumerate(block.inputs[0][1].shape) if size.name not in STATIC]
    is_ambiguous = not all(size.name for size in free) or len(set(free)) < len(free)
    if is_ambiguous and any(_scans(b.body) for b in s.blocks):
        return None  # of what isn't an input, `scan` could not tell the axes apart
    takes += [Type(x.dtype, type.shape).within(sizes) for _, type in block.inputs[1:]]
    settings = {name: Size(s.choice([2, 3, 4])) for name, _ in block.settings if s.chance(0.7)}
    if s.numbers and settings and s.chance(0.3):
        settings[s.choice([*settings])] = Size(0, s.choice(s.numbers))
    sizes |= {name: settings.get(name, Size(default)) for name, default in block.settings}
    gives = tuple(result.type.within(sizes) for result in block.results)
    return Drawn(of_block(block, settings), tuple(takes), gives, block.name.lower(), block.has_state)


def _scans(body: Sequence[Statement]) -> bool:
    """Is there a `scan` in a body?"""
    return any(
        isinstance(st, Scan)
        or (isinstance(st, For | Count) and _scans(st.body))
        or (isinstance(st, If) and _scans((*st.then, *st.otherwise)))
        for st in body
    )


def a_layer(s: Scope, x: Type) -> Drawn | None:
    if x.rank == 0 or not s.is_static(x.shape[-1]) or x.shape[-1] == Size(0):
        return None
    drawn = of_own_block(s, x) if s.blocks and s.chance(0.5) else standard(s, x)
    if drawn is None or not is_moderate(*drawn.gives) or (drawn.has_state and not s.has_state):
        return None
    return drawn


def applied(s: Scope, layer: Applicable, first: Expr | None = None) -> Expr | None:
    """The call of a layer on tensors that are there."""
    xs = [first or s.like(layer.takes[0]), *(s.like(type) for type in layer.takes[1:])]
    if None in xs:
        return None
    is_piped = len(xs) == 1 and s.chance(0.4)
    places = ", ".join(f"{{{i}}}" for i in range(len(xs)))
    text = f"({{0}} |> {layer.text})" if is_piped else f"{layer.text}({places})"
    reads = layer.text.split("[")[0]
    return expr(layer.gives, text, lambda f, *v: layer.get(f)(*v), *[x for x in xs if x], reads=reads)


def declared(s: Scope, drawn: Drawn, stem: str = "l") -> Applicable:
    name = s.fresh(stem)
    s.body.append(Layer(name, (drawn.made,)))
    layer = Applicable(name, lambda f: f.layers[name], drawn.takes, drawn.gives, drawn.has_state)
    if not drawn.has_state:
        s.layers.append(layer)
    return layer


def new_layer(s: Scope) -> bool:
    x = s.declares and s.float(1)
    drawn = x and a_layer(s, x.type)
    if not drawn or not x:
        return False
    if s.chance(0.25) and len(drawn.takes) == 1 and not drawn.has_state:
        return assign(s, inline(drawn, x))
    value = None
    if all(type == x.type or s.like(type) for type in drawn.takes):
        value = applied(s, declared(s, drawn), x)
    return value is not None and assign(s, value)


def inline(drawn: Drawn, x: Expr) -> Expr:
    """A layer written where it is applied."""
    made, key = drawn.made, object()

    def run(frame: Frame, *xs: Any) -> Any:
        return frame.module.written_inline((key, frame.steps), drawn.snake, made.start(frame))(*xs)

    return Expr(drawn.gives, f"({{0}} |> {made.text})", run, (x,), made.reads)


def new_embedding(s: Scope) -> bool:
    ids = s.declares and s.dtype == "f32" and s.pick(lambda type: type.dtype == "i64" and 0 < type.rank < 3)
    if not ids:
        return False
    layer = declared(s, embedding(s, ids.type))
    s.layers.remove(layer)  # other integers may be out of its range
    text, below = s.form({"({0} % 5)": lambda v: v % 5, "clip({0}, 0, 4)": lambda v: v.clamp(0, 4)})
    value = applied(s, layer, expr(ids.type, text, lambda _, v: below(v), ids))
    return value is not None and assign(s, value)


def reuse(s: Scope) -> bool:
    """A layer once more, on something else of the type that it takes."""
    there = [layer for layer in s.layers if any(type == layer.takes[0] for type in s.values.values())]
    value = applied(s, s.choice(there)) if there else None
    return value is not None and assign(s, value)


def weights_of_a_layer(s: Scope) -> bool:
    """What a dense layer owns, read behind a dot."""
    dense = [
        (statement.name, layer)
        for statement in s.body
        if isinstance(statement, Layer) and not statement.is_array and statement.made[0].text.startswith("Dense(")
        for layer in s.layers
        if layer.text == statement.name
    ]
    if not dense:
        return False
    name, layer = s.choice(dense)
    d, units = layer.takes[0].shape[-1], layer.gives[0].shape[-1]
    y = s.pick(lambda type: type.dtype == s.dtype and type.rank > 0 and type.shape[-1] == units)
    if y is None or not any(isinstance(st, Assign) and name in st.value.all_reads for st in s.body):
        return False

    def run(frame: Frame, v: Any) -> Any:
        m = frame.layers[name]
        return v @ m.param("weight", units.value(frame.sizes), d.value(frame.sizes))

    return assign(s, expr(y.type.of(*y.type.shape[:-1], d), f"({{0}} @ {name}.weight)", run, y, reads=name))
