"""Names of PyTorch's weights as ours, and calls of its modules."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils import rnn


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
    name = name.replace("q_norm", "query_norm").replace("k_norm", "key_norm")
    for theirs, ours in (("q.", "query."), ("k.", "key."), ("v.", "value."), ("o.", "out.")):
        name = ours + name.removeprefix(theirs) if name.startswith(theirs) else name
    return name


def in_layer(name: str) -> str:
    """The names of the attention of LLaMA in a layer of ours; what is given to the layer is its own."""
    stem, found, rest = name.partition("attn.attention.")
    return f"attn.{projections(rest)}" if found else stem.replace("attn.relative", "relative")


def layer_names(name: str) -> str:
    """The names of `TransformerEncoderLayer` and `TransformerDecoderLayer` as ours."""
    name = name.replace("self_attn", "attn").replace("multihead_attn", "cross")
    return name.replace("linear1", "ffn.up").replace("linear2", "ffn.down")


def in_mlp(name: str) -> str:
    """timm's `mlp.fc1` is `mlp.up`."""
    return name.replace("fc1", "up").replace("fc2", "down")


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


def packed(module: nn.Module, x: Tensor, mask: Tensor, *states: Tensor) -> tuple[Tensor, ...]:
    """A recurrent module on sequences as long as their mask. It refuses an empty batch: that is cut from one row."""
    n, t, _ = x.shape
    if not n:
        x, mask = torch.cat([x, x.new_zeros(1, *x.shape[1:])]), mask.new_ones(1, t)
        states = tuple(torch.cat([s, s.new_zeros(len(s), 1, s.shape[2])], 1) for s in states)
    sequences = rnn.pack_padded_sequence(x, mask.sum(1), batch_first=True, enforce_sorted=False)
    given = [] if not states else [states] if isinstance(module, nn.LSTM) else [*states]
    y, last = module(sequences, *given)
    y, _ = rnn.pad_packed_sequence(y, batch_first=True, total_length=t)
    return y[:n], *(s[:, :n] for s in (last if isinstance(module, nn.LSTM) else [last]))


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
