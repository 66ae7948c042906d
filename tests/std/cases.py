"""The blocks of the standard library with their counterparts in PyTorch: what they are applied to, in which sizes."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from tests.compiling import shake
from tests.examples.twins import images, transformers
from tests.std import twins

Shapes: TypeAlias = tuple[tuple[int, ...], ...]  # of the inputs of one run


@dataclass(frozen=True, eq=False)
class Case:
    """`layer` applied to inputs of these types computes what `twin` does; `rename` turns its weights' names into ours.

    Inputs are drawn as their dtype asks: numbers, ids below `ids`, truth values with the first of each row true.
    """

    layer: str
    twin: Callable[[], nn.Module]
    types: tuple[str, ...]
    runs: tuple[Shapes, ...]
    rename: Callable[[str], str] = str
    call: Callable[..., Any] = lambda module, *inputs: module(*inputs)
    ids: int = 11

    @property
    def block(self) -> str:
        return self.layer.partition("(")[0]


def edges(case: Case) -> dict[str, Shapes]:
    """The last run of a case again: with no rows, with one, and with sequences of one step, where it has such sizes."""
    sizes: dict[str, int] = {}
    dims = [type_.partition("[")[2].rstrip("]").split(", ") for type_ in case.types]
    for names, shape in zip(dims, case.runs[-1], strict=True):
        sizes |= dict(zip(names, shape, strict=True))
    wanted = {"no rows": {"n": 0}, "one row": {"n": 1}, "one step": {"t": 1}, "one step to look at": {"s": 1}}
    return {
        name: tuple(tuple(change.get(d, sizes[d]) for d in names) for names in dims)
        for name, change in wanted.items()
        if change.keys() <= sizes.keys() and case.block not in WITHOUT.get(name, ())
    }


# Kernels are longer than a step, a norm over one number is 0 but for rounding, and this bias doesn't depend on rows.
WITHOUT = {"one step": ("Conv1d", "InstanceNorm", "GroupNorm"), "no rows": ("RelativeBias",)}


def with_a_row(arrays: Sequence[np.ndarray[Any, Any]]) -> list[np.ndarray[Any, Any]]:
    """Inputs without rows get one; of nothing many of PyTorch's modules don't know the shape."""
    return [a if len(a) else np.zeros((1, *a.shape[1:]), a.dtype) for a in arrays]


def one(*shapes: tuple[int, ...]) -> tuple[Shapes, ...]:
    """Runs on one input each."""
    return tuple((shape,) for shape in shapes)


def twin_of(case: Case) -> nn.Module:
    """The counterpart with random weights."""
    torch.manual_seed(0)
    twin = case.twin().eval()
    shake(twin)
    return twin


def program_of(case: Case, scaled: str = "") -> str:
    """A model `m` that is the layer; with `scaled` its inputs are first multiplied with a weight of that name."""
    names = [f"input{i}" for i in range(len(case.types))]
    weight = f"    param {scaled}: [1] = ones\n" if scaled else ""
    sent = [f"{n} * {scaled}" if scaled and t.startswith("f") else n for n, t in zip(names, case.types, strict=True)]
    inputs = ", ".join(f"{name}: {type_}" for name, type_ in zip(names, case.types, strict=True))
    return f"""
model m({inputs}) {{
{weight}    layer f = {case.layer}
    return f({", ".join(sent)})
}}
"""


def draw(case: Case, shapes: Shapes) -> list[np.ndarray[Any, Any]]:
    """Inputs of these shapes."""
    rng = np.random.default_rng(1)
    arrays: list[np.ndarray[Any, Any]] = []
    for type_, shape in zip(case.types, shapes, strict=True):
        if type_.startswith("i64"):
            arrays.append(rng.integers(0, case.ids, shape))
        elif type_.startswith("bool"):
            arrays.append(np.arange(shape[-1]) < rng.integers(1, shape[-1] + 1, (*shape[:-1], 1)))
        else:
            arrays.append(rng.standard_normal(shape).astype(np.float32))
    return arrays


# -- names and calls of PyTorch's --------------------------------------------------------------------------------------


def separated(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """The weights of a `MultiheadAttention` with `in_proj` cut into `query`, `key` and `value`."""
    result = {}
    for name, value in weights.items():
        stem, found, part = name.rpartition("in_proj_")
        if found:
            for projection, cut in zip(("query", "key", "value"), value.chunk(3), strict=True):
                result[f"{stem}{projection}.{part}"] = cut
        else:
            for ours, theirs in (("out", "out_proj"), ("query", "q_proj"), ("key", "k_proj"), ("value", "v_proj")):
                name = name.replace(f"{theirs}.", f"{ours}.").replace(f"{theirs}_weight", f"{ours}.weight")
            result[name] = value
    return result


def projections(name: str) -> str:
    """The names of LLaMA's and T5's attention as ours."""
    name = name.removeprefix("attention.").replace("relative_attention_bias", "relative").replace("_proj", "")
    for theirs, ours in (("q.", "query."), ("k.", "key."), ("v.", "value."), ("o.", "out.")):
        name = ours + name.removeprefix(theirs) if name.startswith(theirs) else name
    return name


def layer_names(name: str) -> str:
    """The names of `TransformerEncoderLayer` and `TransformerDecoderLayer` as ours."""
    name = name.replace("self_attn", "attn").replace("multihead_attn", "cross")
    return name.replace("linear1", "ffn.up").replace("linear2", "ffn.down")


def inverted(name: str) -> str:
    """torchvision's `conv.1.0.weight` of an `InvertedResidual` is `conv2.weight`."""
    for i in range(2):
        name = name.replace(f"conv.{i}.0", f"conv{i + 1}").replace(f"conv.{i}.1", f"bn{i + 1}")
    return name.replace("conv.2", "conv3").replace("conv.3", "bn3")


def inverted_once(name: str) -> str:
    """The same without a first convolution."""
    name = name.replace("conv.0.0", "conv2").replace("conv.0.1", "bn2")
    return name.replace("conv.1", "conv3").replace("conv.2", "bn3")


def items(name: str) -> str:
    """The names of `Sequential`: `0.weight` is `layers.0.weight`."""
    return f"layers.{name}"


def cell(name: str) -> str:
    """`weight_ih_l0` is `cell.weight_ih`, and of the reverse direction `backward.cell.weight_ih`."""
    return "cell." + name.replace("_l0", "")


def directions(name: str) -> str:
    backward = name.endswith("_reverse")
    return f"{'backward' if backward else 'forward'}.{cell(name.removesuffix('_reverse'))}"


def levels(name: str) -> str:
    """`weight_ih_l1` is `levels.1.cell.weight_ih`."""
    return re.sub(r"(\w+)_l(\d+)$", r"levels.\2.cell.\1", name)


def both_ways(name: str) -> str:
    where = "backward" if name.endswith("_reverse") else "forward"
    return levels(name.removesuffix("_reverse")).replace("levels", where)


def first(module: nn.Module, *inputs: Tensor) -> Any:
    return module(*inputs)[0]


def encoder(**options: Any) -> Callable[[], nn.Module]:
    return lambda: nn.TransformerEncoderLayer(12, 3, 20, dropout=0.0, batch_first=True, **options)


def decoder(**options: Any) -> Callable[[], nn.Module]:
    return lambda: nn.TransformerDecoderLayer(12, 3, 20, dropout=0.0, batch_first=True, **options)


def decode(module: nn.Module, x: Tensor, memory: Tensor, mask: Tensor | None = None, seen: Tensor | None = None) -> Any:
    t = x.shape[1]
    hidden = {
        "tgt_key_padding_mask": None if mask is None else ~mask,
        "memory_key_padding_mask": None if seen is None else ~seen,
    }
    return module(x, memory, tgt_mask=torch.ones(t, t, dtype=torch.bool).triu(1), **hidden)


def look_up_by_masks(module: nn.Module, x: Tensor, mask: Tensor) -> Any:
    return module(x, src_key_padding_mask=~mask)


def look_up_the_past(module: nn.Module, x: Tensor) -> Any:
    t = x.shape[1]
    return module(x, src_mask=torch.ones(t, t, dtype=torch.bool).triu(1))


# -- the table ---------------------------------------------------------------------------------------------------------

ROWS = one((1, 3), (4, 3), (32, 3))
SEQUENCE = one((1, 1, 6), (3, 5, 6), (2, 17, 6))
IMAGE = one((1, 6, 9, 9), (2, 6, 8, 11), (3, 6, 16, 7))
SIGNAL = one((1, 6, 7), (4, 6, 20))
VOLUME = one((1, 2, 5, 6, 7), (2, 2, 8, 5, 5))
TOKENS = one((1, 1, 12), (2, 7, 12), (3, 10, 12))
MASKED = (((1, 1, 12), (1, 1)), ((2, 7, 12), (2, 7)), ((3, 10, 12), (3, 10)))

CASES = (
    Case("Dense(5)", lambda: nn.Linear(3, 5), ("f32[n, 3]",), ROWS),
    Case("Dense(5, bias=false)", lambda: nn.Linear(3, 5, bias=False), ("f32[n, 3]",), ROWS),
    Case("Dense(1)", lambda: nn.Linear(6, 1), ("f32[n, t, 6]",), SEQUENCE),
    Case("Residual(Dense(3))", lambda: twins.Around(nn.Linear(3, 3)), ("f32[n, 3]",), ROWS),
    Case("Residual(Residual(Dense(3)))", lambda: twins.Around(twins.Around(nn.Linear(3, 3))), ("f32[n, 3]",), ROWS),
    *(
        Case(
            f"Bilinear(4{'' if bias else ', bias=false'})",
            lambda bias=bias: nn.Bilinear(3, 5, 4, bias=bias),  # type: ignore[misc]
            ("f32[n, 3]", "f32[n, 5]"),
            (((1, 3), (1, 5)), ((7, 3), (7, 5))),
        )
        for bias in (True, False)
    ),
    Case(
        "Bilinear(2)",
        lambda: nn.Bilinear(6, 3, 2),
        ("f32[n, t, 6]", "f32[n, t, 3]"),
        (((1, 1, 6), (1, 1, 3)), ((2, 7, 6), (2, 7, 3))),
    ),
    Case("Sequential([Dense(4)])", lambda: nn.Sequential(nn.Linear(3, 4)), ("f32[n, 3]",), ROWS, items),
    Case(
        "Sequential([Dense(5), relu, LayerNorm(), tanh, Dense(2)])",
        lambda: nn.Sequential(nn.Linear(3, 5), nn.ReLU(), nn.LayerNorm(5), nn.Tanh(), nn.Linear(5, 2)),
        ("f32[n, 3]",),
        ROWS,
        items,
    ),
    Case(
        "Sequential([Embedding(11, 4), tanh, Dense(2)])",
        lambda: nn.Sequential(nn.Embedding(11, 4), nn.Tanh(), nn.Linear(4, 2)),
        ("i64[n, t]",),
        one((1, 1), (3, 5)),
        items,
    ),
    Case(
        "Sequential([Conv2d(4, stride=2, pad=1), Sequential([relu, Conv2d(3, kernel=1)]), flatten])",
        lambda: nn.Sequential(nn.Conv2d(6, 4, 3, 2, 1), nn.Sequential(nn.ReLU(), nn.Conv2d(4, 3, 1)), nn.Flatten()),
        ("f32[n, 6, 9, 9]",),
        one((1, 6, 9, 9), (2, 6, 9, 9)),
        lambda name: items(name).replace("layers.1.", "layers.1.layers."),
    ),
    # convolutions
    Case("Conv1d(4)", lambda: nn.Conv1d(6, 4, 3), ("f32[n, 6, t]",), SIGNAL),
    Case(
        "Conv1d(4, kernel=5, stride=2, pad=3, dilation=2, groups=2, bias=false)",
        lambda: nn.Conv1d(6, 4, 5, 2, 3, 2, 2, bias=False),
        ("f32[n, 6, t]",),
        SIGNAL,
    ),
    Case("Conv2d(4, kernel=1)", lambda: nn.Conv2d(6, 4, 1), ("f32[n, 6, h, w]",), IMAGE),
    Case("Conv2d(4, kernel=3, pad=1)", lambda: nn.Conv2d(6, 4, 3, padding=1), ("f32[n, 6, h, w]",), IMAGE),
    Case(
        "Conv2d(4, kernel=[3, 2], stride=[2, 1], pad=[0, 2], dilation=[1, 2], groups=2, bias=false)",
        lambda: nn.Conv2d(6, 4, (3, 2), (2, 1), (0, 2), (1, 2), 2, bias=False),
        ("f32[n, 6, h, w]",),
        IMAGE,
    ),
    Case("Conv3d(3, kernel=[1, 3, 2])", lambda: nn.Conv3d(2, 3, (1, 3, 2)), ("f32[n, 2, d, h, w]",), VOLUME),
    Case(
        "Conv3d(4, stride=2, pad=1, groups=2)",
        lambda: nn.Conv3d(2, 4, 3, 2, 1, groups=2),
        ("f32[n, 2, d, h, w]",),
        VOLUME,
    ),
    Case("DepthwiseConv2d(pad=1)", lambda: nn.Conv2d(6, 6, 3, padding=1, groups=6), ("f32[n, 6, h, w]",), IMAGE),
    Case(
        "DepthwiseConv2d(kernel=[2, 3], stride=2, multiplier=2, bias=false)",
        lambda: nn.Conv2d(6, 12, (2, 3), 2, groups=6, bias=False),
        ("f32[n, 6, h, w]",),
        IMAGE,
    ),
    Case("ConvTranspose1d(4)", lambda: nn.ConvTranspose1d(6, 4, 3), ("f32[n, 6, t]",), SIGNAL),
    Case(
        "ConvTranspose1d(4, kernel=4, stride=3, pad=1, output_pad=2, groups=2)",
        lambda: nn.ConvTranspose1d(6, 4, 4, 3, 1, 2, 2),
        ("f32[n, 6, t]",),
        SIGNAL,
    ),
    Case(
        "ConvTranspose2d(4, kernel=4, stride=2, pad=1)",
        lambda: nn.ConvTranspose2d(6, 4, 4, 2, 1),
        ("f32[n, 6, h, w]",),
        IMAGE,
    ),
    Case(
        "ConvTranspose2d(4, kernel=[3, 2], stride=[2, 3], output_pad=[1, 0], dilation=[1, 2], groups=2, bias=false)",
        lambda: nn.ConvTranspose2d(6, 4, (3, 2), (2, 3), 0, (1, 0), 2, False, (1, 2)),
        ("f32[n, 6, h, w]",),
        IMAGE,
    ),
    Case("ResNetBlock(6)", lambda: images.BasicBlock(6, 6), ("f32[n, 6, h, w]",), IMAGE),
    Case("ResNetBlock(4)", lambda: images.BasicBlock(6, 4), ("f32[n, 6, h, w]",), IMAGE),
    Case("ResNetBlock(6, stride=2)", lambda: images.BasicBlock(6, 6, 2), ("f32[n, 6, h, w]",), IMAGE),
    Case("Bottleneck(6)", lambda: twins.Bottleneck(6, 6, 1), ("f32[n, 6, h, w]",), IMAGE),
    Case("Bottleneck(8, stride=2)", lambda: twins.Bottleneck(6, 8, 2, 2), ("f32[n, 6, h, w]",), IMAGE),
    Case(
        "Bottleneck(8, width=6, groups=3, dilation=2)",
        lambda: twins.Bottleneck(6, 8, 6, 1, 3, 2),
        ("f32[n, 6, h, w]",),
        IMAGE,
    ),
    Case("SqueezeExcite(2)", lambda: twins.SqueezeExcitation(6, 2), ("f32[n, 6, h, w]",), IMAGE),
    Case(
        "SqueezeExcite(3, silu, tanh)",
        lambda: twins.SqueezeExcitation(6, 3, F.silu, torch.tanh),
        ("f32[n, 6, h, w]",),
        one((1, 6, 1, 1), (3, 6, 5, 2)),
    ),
    Case("InvertedResidual(6)", lambda: twins.InvertedResidual(6, 6), ("f32[n, 6, h, w]",), IMAGE, inverted),
    Case(
        "InvertedResidual(4, stride=2, expand=2, kernel=5)",
        lambda: twins.InvertedResidual(6, 4, 2, 2, 5),
        ("f32[n, 6, h, w]",),
        IMAGE,
        inverted,
    ),
    Case(
        "InvertedResidual(6, expand=1)",
        lambda: twins.InvertedResidual(6, 6, expand=1),
        ("f32[n, 6, h, w]",),
        IMAGE,
        inverted_once,
    ),
    Case(
        "FeaturePyramid(4)",
        lambda: twins.FeaturePyramid([3, 5], 4),
        ("f32[n, 3, h, w]", "f32[n, 5, h // 2, w // 2]"),
        (((1, 3, 4, 6), (1, 5, 2, 3)), ((2, 3, 9, 7), (2, 5, 4, 3))),
    ),
    Case(
        "FeaturePyramid(4)",
        lambda: twins.FeaturePyramid([3, 5, 2], 4),
        ("f32[n, 3, a, b]", "f32[n, 5, c, d]", "f32[n, 2, e, f]"),
        (((1, 3, 8, 4), (1, 5, 4, 2), (1, 2, 2, 1)), ((2, 3, 17, 21), (2, 5, 9, 11), (2, 2, 4, 5))),
    ),
    Case(
        "FeaturePyramid(3)",
        lambda: twins.FeaturePyramid([1, 2, 3, 4, 5], 3),
        tuple(f"f32[n, {i + 1}, {16 >> i}, {16 >> i}]" for i in range(5)),
        tuple(tuple((n, i + 1, 16 >> i, 16 >> i) for i in range(5)) for n in (1, 2)),
    ),
    # regularisation: nothing but in training
    Case("Dropout(0.3)", lambda: nn.Dropout(0.3), ("f32[n, 3]",), ROWS),
    # embeddings
    Case("Embedding(11, 4)", lambda: nn.Embedding(11, 4), ("i64[n, t]",), one((1, 1), (3, 5))),
    Case("Embedding(11, 4)", lambda: nn.Embedding(11, 4), ("i64[n]",), one((1,), (6,))),
    Case("PositionalEncoding()", twins.Waves, ("f32[n, t, 6]",), SEQUENCE),
    # normalisations
    Case("LayerNorm()", lambda: nn.LayerNorm(6), ("f32[n, t, 6]",), SEQUENCE),
    Case("LayerNorm(eps=0.1, bias=false)", lambda: nn.LayerNorm(6, 0.1, bias=False), ("f32[n, t, 6]",), SEQUENCE),
    Case("RMSNorm(eps=0.01)", lambda: nn.RMSNorm(6, 0.01), ("f32[n, t, 6]",), SEQUENCE),
    Case("BatchNorm()", lambda: nn.BatchNorm1d(3), ("f32[n, 3]",), ROWS),
    Case("BatchNorm(eps=0.1)", lambda: nn.BatchNorm1d(6, 0.1), ("f32[n, 6, t]",), SIGNAL),
    Case("BatchNorm()", lambda: nn.BatchNorm2d(6), ("f32[n, 6, h, w]",), IMAGE),
    Case("BatchNorm()", lambda: nn.BatchNorm3d(2), ("f32[n, 2, d, h, w]",), VOLUME),
    Case("GroupNorm(3)", lambda: nn.GroupNorm(3, 6), ("f32[n, 6, h, w]",), IMAGE),
    Case("GroupNorm(1, eps=0.1)", lambda: nn.GroupNorm(1, 6, 0.1), ("f32[n, 6, t]",), SIGNAL),
    Case("GroupNorm(6)", lambda: nn.GroupNorm(6, 6), ("f32[n, 6, t]",), SIGNAL),
    Case("InstanceNorm()", lambda: nn.InstanceNorm1d(6, affine=True), ("f32[n, 6, t]",), SIGNAL),
    Case("InstanceNorm(eps=0.1)", lambda: nn.InstanceNorm2d(6, 0.1, affine=True), ("f32[n, 6, h, w]",), IMAGE),
    Case("InstanceNorm()", lambda: nn.InstanceNorm3d(2, affine=True), ("f32[n, 2, d, h, w]",), VOLUME),
    # recurrent
    Case("RNNCell(4)", lambda: nn.RNNCell(3, 4), ("f32[n, 3]", "f32[n, 4]"), (((1, 3), (1, 4)), ((5, 3), (5, 4)))),
    Case("GRUCell(4)", lambda: nn.GRUCell(3, 4), ("f32[n, 3]", "f32[n, 4]"), (((1, 3), (1, 4)), ((5, 3), (5, 4)))),
    Case(
        "LSTMCell(4)",
        lambda: nn.LSTMCell(3, 4),
        ("f32[n, 3]", "f32[n, 4]", "f32[n, 4]"),
        (((1, 3), (1, 4), (1, 4)), ((5, 3), (5, 4), (5, 4))),
        call=lambda module, x, h, c: module(x, (h, c)),
    ),
    *(
        Case(
            f"{kind.__name__}(4{', reverse=true' if reverse else ''})",
            lambda kind=kind: kind(6, 4, batch_first=True),  # type: ignore[misc]
            ("f32[n, t, 6]",),
            SEQUENCE,
            rename=cell,
            call=(lambda module, x: module(x.flip(1))[0].flip(1)) if reverse else first,
        )
        for kind in (nn.RNN, nn.GRU, nn.LSTM)
        for reverse in (False, True)
    ),
    Case(
        "Bidirectional(GRU(4), GRU(4, reverse=true))",
        lambda: nn.GRU(6, 4, batch_first=True, bidirectional=True),
        ("f32[n, t, 6]",),
        SEQUENCE,
        rename=directions,
        call=first,
    ),
    Case(
        "Bidirectional(LSTM(4), LSTM(4, reverse=true))",
        lambda: nn.LSTM(6, 4, batch_first=True, bidirectional=True),
        ("f32[n, t, 6]",),
        SEQUENCE,
        rename=directions,
        call=first,
    ),
    *(
        Case(
            f"{kind.__name__}(4, layers={depth}, bidirectional=true, dropout=0.3)",
            lambda kind=kind, depth=depth: kind(6, 4, depth, batch_first=True, bidirectional=True),  # type: ignore[misc]
            ("f32[n, t, 6]",),
            SEQUENCE,
            both_ways,
            first,
        )
        for kind in (nn.RNN, nn.GRU, nn.LSTM)
        for depth in (1, 2)
    ),
    *(
        Case(
            f"{kind.__name__}(4, layers=3{', reverse=true' if reverse else ''})",
            lambda kind=kind: kind(6, 4, 3, batch_first=True),  # type: ignore[misc]
            ("f32[n, t, 6]",),
            SEQUENCE,
            levels,
            call=(lambda module, x: module(x.flip(1))[0].flip(1)) if reverse else first,
        )
        for kind in (nn.RNN, nn.GRU, nn.LSTM)
        for reverse in (False, True)
    ),
    # attention
    Case("Attention(heads=3)", lambda: twins.SelfAttention(12, 3), ("f32[n, t, 12]",), TOKENS),
    Case("Attention(heads=1, bias=false)", lambda: twins.SelfAttention(12, 1, bias=False), ("f32[n, t, 12]",), TOKENS),
    Case("Attention(heads=4, causal=true)", lambda: twins.SelfAttention(12, 4, True), ("f32[n, t, 12]",), TOKENS),
    Case("Attention(heads=3)", lambda: twins.SelfAttention(12, 3), ("f32[n, t, 12]", "bool[n, t]"), MASKED),
    Case(
        "Attention(heads=3, causal=true)",
        lambda: twins.SelfAttention(12, 3, True),
        ("f32[n, t, 12]", "bool[n, t]"),
        MASKED,
    ),
    Case(
        "Attention(heads=3, dropout=0.2)", lambda: twins.SelfAttention(12, 3, dropout=0.2), ("f32[n, t, 12]",), TOKENS
    ),
    Case(
        "CrossAttention(heads=3, dropout=0.2)",
        lambda: nn.MultiheadAttention(12, 3, kdim=5, vdim=5, batch_first=True),
        ("f32[n, t, 12]", "f32[n, s, 5]"),
        (((1, 1, 12), (1, 1, 5)), ((2, 4, 12), (2, 9, 5))),
        call=lambda module, x, memory: module(x, memory, memory)[0],
    ),
    Case(
        "CrossAttention(heads=2)",
        lambda: nn.MultiheadAttention(12, 2, batch_first=True),
        ("f32[n, t, 12]", "f32[n, s, 12]", "bool[n, s]"),
        (((1, 1, 12), (1, 1, 12), (1, 1)), ((2, 4, 12), (2, 9, 12), (2, 9))),
        call=lambda module, x, memory, mask: module(x, memory, memory, key_padding_mask=~mask)[0],
    ),
    *(
        Case(
            f"Attention(4, bias=false, kv_heads={kv}, rotary=RotaryEncoding({base}), causal={str(causal).lower()})",
            lambda kv=kv, causal=causal, base=base: twins.Llama(16, 4, kv, causal, base),  # type: ignore[misc]
            types,
            runs,
            projections,
        )
        for kv, causal, base in ((4, True, 10000.0), (2, True, 500.0), (1, False, 10000.0))
        for types, runs in (
            (("f32[n, t, 16]",), one((1, 1, 16), (2, 7, 16))),
            (("f32[n, t, 16]", "bool[n, t]"), (((1, 1, 16), (1, 1)), ((3, 7, 16), (3, 7)))),
        )
    ),
    *(
        Case(
            f"Attention(3, bias=false, scale=1.0, relative=RelativeBias(causal={word}), causal={word})",
            lambda causal=causal: twins.T5(12, 3, causal),  # type: ignore[misc]
            types,
            runs,
            projections,
        )
        for causal, word in ((False, "false"), (True, "true"))
        for types, runs in ((("f32[n, t, 12]",), TOKENS), (("f32[n, t, 12]", "bool[n, t]"), MASKED))
    ),
    *(
        Case(
            f"Attention(6, kv_heads=2, relative=RelativeBias(), dropout={dropout})",
            lambda: twins.Grouped(12, 6, 2),
            types,
            runs,
        )
        for dropout in (0.0, 0.2)
        for types, runs in ((("f32[n, t, 12]",), TOKENS), (("f32[n, t, 12]", "bool[n, t]"), MASKED))
    ),
    *(
        Case(
            f"RelativeBias({ours})",
            lambda theirs=theirs: twins.Bias(3, **theirs),  # type: ignore[misc]
            ("f32[n, 3, t, 2]", "f32[n, 3, s, 2]"),
            (((1, 3, 1, 2), (1, 3, 1, 2)), ((1, 3, 5, 2), (1, 3, 9, 2)), ((1, 3, 300, 2), (1, 3, 300, 2))),
        )
        for ours, theirs in (
            ("", {}),
            ("causal=true", {"causal": True}),
            ("buckets=12, distance=40", {"buckets": 12, "distance": 40}),
        )
    ),
    Case("RotaryEncoding()", twins.Turned, ("f32[n, h, t, 6]",), one((1, 1, 1, 6), (2, 3, 50, 6))),
    Case(
        "CrossAttention(heads=2, scale=0.7)",
        lambda: twins.Scaled(12, 2, 0.7),
        ("f32[n, t, 12]", "f32[n, s, 12]"),
        (((1, 1, 12), (1, 1, 12)), ((2, 4, 12), (2, 9, 12))),
    ),
    Case("FeedForward(20)", lambda: transformers.FeedForward(6, 20), ("f32[n, t, 6]",), SEQUENCE),
    Case("GatedFeedForward(20)", lambda: twins.Gated(6, 20, F.silu), ("f32[n, t, 6]",), SEQUENCE),
    Case("GatedFeedForward(7, gelu, bias=true)", lambda: twins.Gated(6, 7, F.gelu, True), ("f32[n, t, 6]",), SEQUENCE),
    Case(
        "GatedFeedForward(20, activation=sigmoid, dropout=0.2)",
        lambda: twins.Gated(6, 20, torch.sigmoid),
        ("f32[n, t, 6]",),
        SEQUENCE,
    ),
    Case("EncoderLayer(heads=3, width=20)", encoder(activation=F.gelu), ("f32[n, t, 12]",), TOKENS, layer_names),
    Case("EncoderLayer(3, 20, dropout=0.1)", encoder(activation=F.gelu), ("f32[n, t, 12]",), TOKENS, layer_names),
    Case(
        "EncoderLayer(heads=3, width=20, activation=relu, norm_first=true, eps=0.1)",
        encoder(norm_first=True, layer_norm_eps=0.1),
        ("f32[n, t, 12]",),
        TOKENS,
        layer_names,
    ),
    Case(
        "EncoderLayer(heads=3, width=20)",
        encoder(activation=F.gelu),
        ("f32[n, t, 12]", "bool[n, t]"),
        MASKED,
        layer_names,
        look_up_by_masks,
    ),
    Case(
        "EncoderLayer(heads=3, width=20, norm_first=true, causal=true)",
        encoder(activation=F.gelu, norm_first=True),
        ("f32[n, t, 12]",),
        TOKENS,
        layer_names,
        look_up_the_past,
    ),
    *(
        Case(
            f"DecoderLayer(heads=3, width=20{ours})",
            decoder(**theirs),  # type: ignore[arg-type]
            ("f32[n, t, 12]", "f32[n, s, 12]"),
            (((1, 1, 12), (1, 1, 12)), ((2, 5, 12), (2, 9, 12))),
            layer_names,
            decode,
        )
        for ours, theirs in (
            ("", {"activation": F.gelu}),
            (", activation=relu, norm_first=true, eps=0.1, dropout=0.1", {"norm_first": True, "layer_norm_eps": 0.1}),
        )
    ),
    Case(
        "DecoderLayer(3, 20, relu)",
        decoder(),
        ("f32[n, t, 12]", "f32[n, s, 12]", "bool[n, t]", "bool[n, s]"),
        (((1, 1, 12), (1, 1, 12), (1, 1), (1, 1)), ((2, 5, 12), (2, 9, 12), (2, 5), (2, 9))),
        layer_names,
        decode,
    ),
)
