"""Standard blocks: each function draws one that a tensor can go through, with what it does in PyTorch."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from tests.programs.description import Made, Run, Size, Type
from tests.programs.scope import Scope
from tests.programs.twin import Frame, Module


@dataclass(frozen=True)
class Drawn:
    """A layer, what it is applied to and what it gives. `snake` is what it is called where it is written inline."""

    made: Made
    takes: tuple[Type, ...]
    gives: tuple[Type, ...]
    snake: str
    has_state: bool = False


Draw = Callable[[Scope, Type], "Drawn | None"]
DRAWS: list[tuple[Draw, int]] = []


def draws(weight: int = 1) -> Callable[[Draw], Draw]:
    def register(function: Draw) -> Draw:
        DRAWS.append((function, weight))
        return function

    return register


def standard(scope: Scope, x: Type) -> Drawn | None:
    """A layer of a standard block for a tensor of a type. Its last axis is known when compiling."""
    functions, weights = zip(*((f, w) for f, w in DRAWS if f.__name__ not in scope.off), strict=True)
    draw: Draw = scope.random.choices(functions, weights)[0]
    return draw(scope, x)


def _drawn(text: str, run: Run, x: Type, gives: Type, snake: str, **more: Any) -> Drawn:
    return Drawn(Made(text, lambda _: run), (x,), (gives,), snake, **more)


def _units(s: Scope, x: Type) -> Size:
    return s.choice([Size(2), Size(3), Size(4), Size(6), x.shape[-1], *(Size(0, name) for name in s.numbers)])


# -- the pieces in PyTorch ---------------------------------------------------------------------------------------------


def dense(m: Module, x: Tensor, units: int, bias: bool = True) -> Tensor:
    y = x @ m.param("weight", units, x.shape[-1]).T
    return y + m.param("bias", units) if bias else y


def normal(m: Module, x: Tensor, axes: list[int], eps: float = 1e-5) -> Tensor:
    """Mean 0 and variance 1 over axes."""
    centered: Tensor = x - x.mean(axes, keepdim=True)
    scale: Tensor = torch.rsqrt((centered**2).mean(axes, keepdim=True) + eps)
    return centered * scale


def layer_norm(m: Module, x: Tensor) -> Tensor:
    d = x.shape[-1]
    return normal(m, x, [-1]) * m.param("weight", d, kind="gain") + m.param("bias", d)


def feed_forward(m: Module, x: Tensor, width: int, activation: Run = F.gelu) -> Tensor:
    up = m.child("up", lambda m, x: dense(m, x, width))(x)
    down: Tensor = m.child("down", lambda m, h: dense(m, h, x.shape[-1]))(activation(up))
    return down


def attention(
    m: Module, x: Tensor, heads: int, causal: bool = False, kv_heads: int = 0, size: int = 0, without: str = ""
) -> Tensor:
    """Maps that are named in `without` have no bias."""
    n, t, d = x.shape
    size, kv_heads = size or d // heads, kv_heads or heads

    def mapped(name: str, x: Tensor, units: int) -> Tensor:
        y: Tensor = m.child(name, lambda m, x: dense(m, x, units, name not in without))(x)
        return y

    counts = {"query": heads, "key": kv_heads, "value": kv_heads}
    maps = [(count, mapped(name, x, count * size)) for name, count in counts.items()]
    q, k, v = (each.reshape(n, t, count, size).transpose(1, 2) for count, each in maps)
    k, v = (each.repeat_interleave(heads // kv_heads, 1) for each in (k, v))
    seen = q @ k.mT * size**-0.5
    if causal:
        seen = seen.masked_fill(~torch.ones(t, t, dtype=torch.bool).tril(), -torch.inf)
    y = seen.softmax(-1) @ v
    return mapped("out", y.transpose(1, 2).reshape(n, t, heads * size), d)


# -- for any tensor ----------------------------------------------------------------------------------------------------


@draws(6)
def a_dense(s: Scope, x: Type) -> Drawn:
    units, bias = _units(s, x), s.chance(0.7)

    def start(frame: Frame) -> Run:
        count = units.value(frame.sizes)
        return lambda m, x: dense(m, x, count, bias)

    text = f"Dense({units}{'' if bias else ', bias=false'})"
    reads = frozenset([units.name] if units.name else [])
    return Drawn(Made(text, start, reads), (x,), (x.of(*x.shape[:-1], units),), "dense")


@draws(2)
def a_layer_norm(s: Scope, x: Type) -> Drawn:
    return _drawn("LayerNorm()", layer_norm, x, x, "layer_norm")


@draws()
def an_rms_norm(s: Scope, x: Type) -> Drawn:
    def run(m: Module, x: Tensor) -> Tensor:
        weight = m.param("weight", x.shape[-1], kind="gain")
        scale: Tensor = torch.rsqrt((x**2).mean(-1, keepdim=True) + 1e-6)
        scaled: Tensor = x * scale
        return scaled * weight

    return _drawn("RMSNorm()", run, x, x, "rms_norm")


@draws()
def a_feed_forward(s: Scope, x: Type) -> Drawn:
    width = s.choice([3, 5])
    name, activation = s.form({
        "": F.gelu, ", activation=relu": F.relu, ", activation=tanh": torch.tanh,
        ", activation=leaky_relu(0.3)": partial(F.leaky_relu, negative_slope=0.3),
        ', gelu(approximate="tanh")': partial(F.gelu, approximate="tanh"),
    })  # fmt: skip
    return _drawn(
        f"FeedForward({width}{name})", lambda m, x: feed_forward(m, x, width, activation), x, x, "feed_forward"
    )


@draws()
def a_gated_feed_forward(s: Scope, x: Type) -> Drawn:
    def run(m: Module, x: Tensor) -> Tensor:
        gate = m.child("gate", lambda m, x: dense(m, x, 4, False))(x)
        up = m.child("up", lambda m, x: dense(m, x, 4, False))(x)
        down: Tensor = m.child("down", lambda m, h: dense(m, h, x.shape[-1], False))(F.silu(gate) * up)
        return down

    return _drawn("GatedFeedForward(4)", run, x, x, "gated_feed_forward")


@draws()
def a_residual(s: Scope, x: Type) -> Drawn:
    d = x.shape[-1]

    def start(frame: Frame) -> Run:
        units = d.value(frame.sizes)
        return lambda m, x: x + m.child("inner", lambda m, x: dense(m, x, units))(x)

    return Drawn(Made(f"Residual(Dense({d}))", start, frozenset([d.name])), (x,), (x,), "residual")


@draws()
def a_sequence(s: Scope, x: Type) -> Drawn:
    def run(m: Module, x: Tensor) -> Tensor:
        h = F.relu(m.child("layers[0]", lambda m, x: dense(m, x, 3))(x))
        y: Tensor = m.child("layers[2]", lambda m, x: dense(m, x, 4, False))(h)
        return y

    text = "Sequential([Dense(3), relu, Dense(4, bias=false)])"
    return _drawn(text, run, x, x.of(*x.shape[:-1], Size(4)), "sequential")


@draws()
def a_bilinear(s: Scope, x: Type) -> Drawn:
    def run(m: Module, a: Tensor, b: Tensor) -> Tensor:
        weight = m.param("weight", 3, a.shape[-1], b.shape[-1])
        return torch.einsum("...i,uij,...j->...u", a, weight, b) + m.param("bias", 3)

    return Drawn(Made("Bilinear(3)", lambda _: run), (x, x), (x.of(*x.shape[:-1], Size(3)),), "bilinear")


# -- over rows, channels and time --------------------------------------------------------------------------------------


@draws(2)
def a_batch_norm(s: Scope, x: Type) -> Drawn | None:
    """Of `[n, c]` or `[n, c, ...]`, in a body that is run once."""
    if x.rank < 2 or not s.is_static(x.shape[1]) or not s.has_state:
        return None

    def run(m: Module, x: Tensor) -> Tensor:
        c, axes = x.shape[1], [0, *range(2, x.ndim)]
        weight, bias = m.param("weight", c, kind="gain"), m.param("bias", c)
        mean, var = m.param("running_mean", c, kind="statistic"), m.param("running_var", c, kind="variance")
        mode = m.machine.mode(m.path)
        if m.machine.is_training and mode != "eval":
            count = x.numel() // c
            if count < 2:
                raise ValueError("there is no variance of one number")
            batch_mean, batch_var = x.mean(axes), x.var(axes, correction=0)
            unbiased = batch_var * count / (count - 1)
            for name, old, new in (("running_mean", mean, batch_mean), ("running_var", var, unbiased)):
                if not mode:
                    m.machine.statistics[m.below(name)] = (0.9 * old + 0.1 * new).detach()
            mean, var = batch_mean, batch_var
        mean, var, weight, bias = (each.reshape(c, *[1] * (x.ndim - 2)) for each in (mean, var, weight, bias))
        return (x - mean) / torch.sqrt(var + 1e-5) * weight + bias

    return _drawn("BatchNorm()", run, x, x, "batch_norm", has_state=True)


@draws()
def a_group_norm(s: Scope, x: Type) -> Drawn | None:
    if x.rank < 2 or x.shape[1].number not in (2, 4, 6):
        return None

    def run(m: Module, x: Tensor) -> Tensor:
        weight, bias = m.param("weight", x.shape[1], kind="gain"), m.param("bias", x.shape[1])
        weight, bias = (each.reshape(-1, *[1] * (x.ndim - 2)) for each in (weight, bias))
        groups = x.reshape(x.shape[0], 2, -1) if x.shape[0] else x.reshape(0, 2, x[:1].numel())
        return normal(m, groups, [-1]).reshape(x.shape) * weight + bias

    return _drawn("GroupNorm(2)", run, x, x, "group_norm")


@draws()
def a_convolution(s: Scope, x: Type) -> Drawn | None:
    if x.rank not in (3, 4) or not x.shape[1].number or not all(size.number or size.name for size in x.shape[2:]):
        return None
    spatial = x.rank - 2
    channels, kernel = s.choice([2, 4]), s.choice([1, 3])
    convolution = F.conv1d if spatial == 1 else F.conv2d
    pad = kernel // 2

    def run(m: Module, x: Tensor) -> Tensor:
        weight = m.param("weight", channels, x.shape[1], *[kernel] * spatial)
        return convolution(x, weight, m.param("bias", channels), padding=pad)

    text = f"Conv{spatial}d({channels}, kernel={kernel}{f', pad={pad}' if pad else ''})"
    return _drawn(text, run, x, x.of(x.shape[0], Size(channels), *x.shape[2:]), f"conv{spatial}d")


@draws(2)
def an_attention(s: Scope, x: Type) -> Drawn | None:
    if x.rank != 3 or x.shape[2].number not in (2, 4, 6):
        return None
    heads, kv_heads = s.choice([(1, 1), (2, 2), (2, 1)])
    causal, size = s.chance(0.4), s.choice([0, 0, 3])
    biases, without = s.choice([
        ("", ""), ("", ""), (", bias=false", "query key value out"), (", out_bias=false", "out"),
        (", bias=false, query_bias=true", "key value out"),
    ])  # fmt: skip
    text = f"Attention({heads}{', causal=true' * causal}{biases}"
    text += f"{f', kv_heads={kv_heads}' if kv_heads != heads else ''}{f', head_size={size}' if size else ''})"
    run = lambda m, x: attention(m, x, heads, causal, kv_heads, size, without)  # noqa: E731  # beside its text
    return _drawn(text, run, x, x, "attention")


@draws()
def an_encoder_layer(s: Scope, x: Type) -> Drawn | None:
    if x.rank != 3 or x.shape[2].number not in (2, 4, 6):
        return None
    first = s.chance(0.5)

    def run(m: Module, x: Tensor) -> Tensor:
        attn = m.child("attn", lambda m, x: attention(m, x, 2))
        ffn = m.child("ffn", lambda m, x: feed_forward(m, x, 3))
        norm1, norm2 = (m.child(name, layer_norm) for name in ("norm1", "norm2"))
        if first:
            x = x + attn(norm1(x))
            y: Tensor = x + ffn(norm2(x))
        else:
            x = norm1(x + attn(x))
            y = norm2(x + ffn(x))
        return y

    if s.chance(0.5):
        text = f"TransformerLayer(Attention(2), FeedForward(3){', norm_first=false' * (not first)})"
        return _drawn(text, run, x, x, "transformer_layer")
    return _drawn(f"EncoderLayer(2, 3{', norm_first=true' * first})", run, x, x, "encoder_layer")


# -- recurrent ---------------------------------------------------------------------------------------------------------


def _gates(m: Module, x: Tensor, h: Tensor, count: int) -> tuple[Tensor, Tensor]:
    units = h.shape[-1]
    wide = count * units
    a = x @ m.param("weight_ih", wide, x.shape[-1]).T + m.param("bias_ih", wide)
    b = h @ m.param("weight_hh", wide, units).T + m.param("bias_hh", wide)
    return a, b


def rnn_cell(m: Module, x: Tensor, h: Tensor) -> Tensor:
    a, b = _gates(m, x, h, 1)
    return torch.tanh(a + b)


def gru_cell(m: Module, x: Tensor, h: Tensor) -> Tensor:
    a, b = _gates(m, x, h, 3)
    (rx, zx, nx), (rh, zh, nh) = a.chunk(3, -1), b.chunk(3, -1)
    r, z = torch.sigmoid(rx + rh), torch.sigmoid(zx + zh)
    new = torch.tanh(nx + r * nh)
    return (1 - z) * new + z * h


def lstm_cell(m: Module, x: Tensor, h: Tensor, c: Tensor) -> tuple[Tensor, Tensor]:
    a, b = _gates(m, x, h, 4)
    i, f, new, o = (a + b).chunk(4, -1)
    c = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(new)
    return torch.sigmoid(o) * torch.tanh(c), c


CELLS: dict[str, tuple[Run, int]] = {"RNN": (rnn_cell, 1), "GRU": (gru_cell, 1), "LSTM": (lstm_cell, 2)}


def _over_time(m: Module, x: Tensor, kind: str, units: int, reverse: bool) -> Tensor:
    run, states = CELLS[kind]
    cell = m.child("cell", run)
    carried: Any = (x.new_zeros(x.shape[0], units),) * states
    rows = {}
    for step in range(x.shape[1] - 1, -1, -1) if reverse else range(x.shape[1]):
        found = cell(x[:, step], *carried)
        carried = found if states > 1 else (found,)
        rows[step] = carried[0]
    return torch.stack([rows[step] for step in range(x.shape[1])], 1)


@draws(2)
def a_recurrent_layer(s: Scope, x: Type) -> Drawn | None:
    if x.rank != 3 or s.depth > 1:
        return None
    kind, units, reverse = s.choice([*CELLS]), s.choice([2, 3]), s.chance(0.3)
    form = s.choice(["plain", "plain", "levels", "both"])

    def one(reverse: bool) -> Run:
        return lambda m, x: _over_time(m, x, kind, units, reverse)

    def run(m: Module, x: Tensor) -> Tensor:
        if form == "plain":
            return _over_time(m, x, kind, units, reverse)
        if form == "levels":
            y: Tensor = m.child("levels[1]", one(reverse))(m.child("levels[0]", one(reverse))(x))
            return y
        return torch.cat([m.child("forward[0]", one(False))(x), m.child("backward[0]", one(True))(x)], 2)

    text = {"plain": "", "levels": ", layers=2", "both": ", bidirectional=true"}[form]
    text = f"{kind}({units}{', reverse=true' if reverse and form != 'both' else ''}{text})"
    wide = Size(units * (2 if form == "both" else 1))
    return _drawn(text, run, x, x.of(*x.shape[:2], wide), kind.lower())


def cell(s: Scope, x: Type, h: Type) -> Drawn:
    """A cell for a step: from an input and one or two states to the states."""
    kind = s.choice([*CELLS])
    run, states = CELLS[kind]
    made = Made(f"{kind}Cell({h.shape[-1]})", lambda _: run)
    return Drawn(made, (x, *[h] * states), (h,) * states, f"{kind.lower()}_cell")


def embedding(s: Scope, ids: Type) -> Drawn:
    """Rows of a table for ids below 5."""
    width = s.choice([4, 6])
    run = lambda m, ids: m.param("weight", 5, width)[ids]  # noqa: E731  # beside its text
    made = Made(f"Embedding(5, {width})", lambda _: run)
    return Drawn(made, (ids,), (Type(s.dtype, (*ids.shape, Size(width))),), "embedding")
