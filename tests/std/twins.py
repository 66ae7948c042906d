"""Counterparts of standard blocks that PyTorch doesn't have as one module.

Those out of `transformers` import it where they are made: that takes seconds, and most tests need none of them.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from tests.ops.cases.boxes import kept


class Around(nn.Module):
    """Around a layer, under the name that a configuration gives it."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = x + self.inner(x)
        return y


class Waves(nn.Module):
    """The table of "Attention Is All You Need", section 3.5, entry by entry."""

    def __init__(self, base: float = 10000.0) -> None:
        super().__init__()
        self.base = base

    def forward(self, x: Tensor) -> Tensor:
        _, t, d = x.shape
        table = torch.zeros(t, d, dtype=torch.float64)
        for place in range(t):
            for i in range(d):
                angle = torch.tensor(place / self.base ** ((i - i % 2) / d), dtype=torch.float64)
                table[place, i] = torch.cos(angle) if i % 2 else torch.sin(angle)
        return x + table.float()


class Alone(nn.Module):
    """A normalization over one number, which is its own mean."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.weight, self.bias = nn.Parameter(torch.ones(channels)), nn.Parameter(torch.zeros(channels))

    def forward(self, x: Tensor) -> Tensor:
        return (x - x) * self.weight[:, None, None] + self.bias[:, None, None]


class Plain(nn.Module):
    """Two maps without biases."""

    def __init__(self, d: int, width: int, activation: Callable[[Tensor], Tensor] = F.relu) -> None:
        super().__init__()
        self.activation = activation
        self.up, self.down = nn.Linear(d, width, bias=False), nn.Linear(width, d, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.down(self.activation(self.up(x)))
        return y


class Gated(nn.Module):
    """Shazeer 2020, equation 6."""

    def __init__(self, d: int, width: int, activation: Callable[[Tensor], Tensor], bias: bool = False) -> None:
        super().__init__()
        self.activation = activation
        self.gate, self.up, self.down = nn.Linear(d, width, bias), nn.Linear(d, width, bias), nn.Linear(width, d, bias)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.down(self.activation(self.gate(x)) * self.up(x))
        return y


class SelfAttention(nn.MultiheadAttention):
    """With its projections apart, as ours are."""

    def __init__(self, d: int, heads: int, causal: bool = False, **options: Any) -> None:
        super().__init__(d, heads, batch_first=True, **options)
        self.causal = causal

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:  # type: ignore[override] # fewer inputs
        t = x.shape[1]
        future = torch.ones(t, t, dtype=torch.bool).triu(1) if self.causal else None
        if mask is not None and mask.dim() == 3:
            pairs = (~mask if future is None else ~mask | future).repeat_interleave(self.num_heads, 0)
            return super().forward(x, x, x, attn_mask=pairs, need_weights=False)[0]
        hidden = None if mask is None else ~mask
        return super().forward(x, x, x, key_padding_mask=hidden, attn_mask=future, need_weights=False)[0]


class Scaled(nn.MultiheadAttention):
    """With another scale than the root of a head's size, which is that of longer queries."""

    def __init__(self, d: int, heads: int, scale: float) -> None:
        super().__init__(d, heads, batch_first=True)
        self.longer = scale * (d // heads) ** 0.5

    def forward(self, x: Tensor, memory: Tensor) -> Tensor:  # type: ignore[override] # fewer inputs
        d, cut = self.embed_dim, self.in_proj_weight.shape[0]
        factor = torch.where(torch.arange(cut) < d, self.longer, 1.0)
        return F.multi_head_attention_forward(
            x.transpose(0, 1), memory.transpose(0, 1), memory.transpose(0, 1), d, self.num_heads,
            self.in_proj_weight * factor[:, None], self.in_proj_bias * factor, None, None, False, 0.0,
            self.out_proj.weight, self.out_proj.bias, need_weights=False,
        )[0].transpose(0, 1)  # fmt: skip


def hidden_places(x: Tensor, mask: Tensor | None, causal: bool) -> Tensor:
    """What `transformers` adds to the scores, `[n, 1, t, t]`: nothing where a place may be looked at."""
    n, t, _ = x.shape
    seen = torch.ones(n, 1, t, t, dtype=torch.bool)
    if mask is not None:
        seen = seen & mask[:, None, None, :]
    return torch.where(seen.tril() if causal else seen, 0.0, torch.finfo(torch.float32).min)


class Llama(nn.Module):
    """The attention of LLaMA or a relative: rotary positions, fewer heads for keys and values."""

    def __init__(
        self, d: int, heads: int, kv_heads: int, causal: bool = True, base: float = 10000.0,
        relative: str = "Llama", head_size: int | None = None,
    ) -> None:  # fmt: skip
        import transformers

        super().__init__()
        of = import_module(f"transformers.models.{relative.lower()}.modeling_{relative.lower()}")
        config = getattr(transformers, f"{relative}Config")(
            hidden_size=d, num_attention_heads=heads, num_key_value_heads=kv_heads, head_dim=head_size or d // heads,
            rope_parameters={"rope_type": "default", "rope_theta": base},
        )  # fmt: skip
        config._attn_implementation = "eager"
        self.attention = getattr(of, f"{relative}Attention")(config, 0)
        self.angles, self.causal = [getattr(of, f"{relative}RotaryEmbedding")(config)], causal

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        angles = self.angles[0](x, torch.arange(x.shape[1])[None])
        result: Tensor = self.attention(x, angles, hidden_places(x, mask, self.causal))[0]
        return result


class T5(nn.Module):
    """T5's attention of its first layer, where the bias is."""

    def __init__(self, d: int, heads: int, causal: bool = False, buckets: int = 32, distance: int = 128) -> None:
        from transformers import T5Config
        from transformers.models.t5.modeling_t5 import T5Attention

        super().__init__()
        config = T5Config(
            d_model=d, d_kv=d // heads, num_heads=heads, is_decoder=causal, dropout_rate=0.0,
            relative_attention_num_buckets=buckets, relative_attention_max_distance=distance,
        )  # fmt: skip
        config._attn_implementation = "eager"
        self.attention, self.causal = T5Attention(config, has_relative_attention_bias=True, layer_idx=0), causal

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        result: Tensor = self.attention(x, hidden_places(x, mask, self.causal))[0]
        return result


class GroupedCross(nn.Module):
    """Fewer heads for keys and values, which come from `memory`; the maps named in `without` have no bias."""

    query: nn.Linear
    key: nn.Linear
    value: nn.Linear
    out: nn.Linear

    def __init__(
        self, d: int, heads: int, kv_heads: int, memory: int | None = None, bias: bool = True,
        size: int | None = None, without: str = "",
    ) -> None:  # fmt: skip
        super().__init__()
        self.size = size or d // heads
        width, narrow = heads * self.size, kv_heads * self.size
        sizes = {"query": (d, width), "key": (memory or d, narrow), "value": (memory or d, narrow), "out": (width, d)}
        for name, (before, after) in sizes.items():
            self.add_module(name, nn.Linear(before, after, bias and name not in without))

    def forward(self, x: Tensor, memory: Tensor, mask: Tensor | None = None) -> Tensor:
        return self.look(x, memory, None if mask is None else mask[:, None, None, :])

    def look(self, x: Tensor, memory: Tensor, mask: Tensor | None) -> Tensor:
        pairs = ((self.query, x), (self.key, memory), (self.value, memory))
        q, k, v = (f(a).unflatten(2, (-1, self.size)).transpose(1, 2) for f, a in pairs)
        y = F.scaled_dot_product_attention(q, k, v, attn_mask=self.added(q, k, mask), enable_gqa=True)
        result: Tensor = self.out(y.transpose(1, 2).flatten(2))
        return result

    def added(self, q: Tensor, k: Tensor, mask: Tensor | None) -> Tensor | None:
        return mask


class Itself(GroupedCross):
    """With keys and values of the same sequence."""

    def forward(self, x: Tensor) -> Tensor:  # type: ignore[override] # fewer inputs
        return self.look(x, x, None)


class Grouped(GroupedCross):
    """Fewer heads for keys and values, with T5's bias."""

    def __init__(self, d: int, heads: int, kv_heads: int, causal: bool = False, bias: bool = True) -> None:
        super().__init__(d, heads, kv_heads, bias=bias)
        self.causal, self.relative = causal, Bias(heads, causal=causal)

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:  # type: ignore[override] # fewer inputs
        return self.look(x, x, hidden_places(x, mask, self.causal))

    def added(self, q: Tensor, k: Tensor, mask: Tensor | None) -> Tensor | None:
        assert mask is not None
        return self.relative(q, k) + mask


class Continued(GroupedCross):
    """Causal attention of positions that have others before them: whose keys and values are given, and given back."""

    def __init__(self, d: int, heads: int, kv_heads: int, rotary: bool = False, relative: bool = False) -> None:
        super().__init__(d, heads, kv_heads)
        self.rotary, self.relative = rotary, Bias(heads, causal=True) if relative else None

    def forward(  # type: ignore[override] # other inputs
        self, x: Tensor, mask: Tensor, past_key: Tensor, past_value: Tensor, *others: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """The others are `positions` and `attn_bias`, as far as they are given."""
        t, s = x.shape[1], mask.shape[-1]
        q, k, v = (f(x).unflatten(2, (-1, self.size)).transpose(1, 2) for f in (self.query, self.key, self.value))
        if self.rotary:
            places = others[0] if others else torch.arange(s - t, s)[None]
            q, k = (self.turned(a, places[:, None, :, None]) for a in (q, k))
        k, v = torch.cat([past_key, k], 2), torch.cat([past_value, v], 2)
        added = others[1] if len(others) > 1 else torch.zeros(())
        if self.relative is not None:
            added = added + self.relative(k, k)[:, s - t :]
        allowed = (mask[:, None, None] if mask.dim() == 2 else mask[:, None]) & torch.ones(t, s).tril(s - t).bool()
        y = F.scaled_dot_product_attention(q, k, v, torch.where(allowed, added, -torch.inf), enable_gqa=True)
        return self.out(y.transpose(1, 2).flatten(2)), k, v

    def turned(self, x: Tensor, places: Tensor) -> Tensor:
        """Su et al. 2021, each pair of elements as a complex number."""
        half = self.size // 2
        pairs = torch.complex(x[..., :half], x[..., half:])
        turned = pairs * torch.exp(1j * places * 10000.0 ** -(torch.arange(half) / half))
        return torch.cat([turned.real, turned.imag], -1)


class Layer(nn.Module):
    """A layer of a transformer around any attention, its normalization behind each part."""

    def __init__(self, d: int, width: int, attn: nn.Module, cross: nn.Module | None = None, bias: bool = True) -> None:
        super().__init__()
        self.attn, self.cross = attn, cross
        self.ffn = nn.ModuleDict({"up": nn.Linear(d, width, bias), "down": nn.Linear(width, d, bias)})
        for i in range(2 if cross is None else 3):
            self.add_module(f"norm{i + 1}", nn.LayerNorm(d, bias=bias))

    def forward(self, x: Tensor, *others: Tensor) -> Tensor:
        """The others are `mask`, or `memory`, `mask` and `memory_mask`, as far as they are given."""
        memory, *masks = others if self.cross is not None else (None, *others)
        norms = [n for name, n in self.named_children() if name.startswith("norm")]
        x = norms[0](x + self.attn(x, *masks[:1]))
        if self.cross is not None:
            x = norms[1](x + self.cross(x, memory, *masks[1:]))
        y: Tensor = norms[-1](x + self.ffn["down"](F.gelu(self.ffn["up"](x))))
        return y


class LlamaLayer(nn.Module):
    """Attention and a gated feed-forward layer, a norm before each."""

    def __init__(self, d: int, width: int, heads: int, kv_heads: int) -> None:
        super().__init__()
        self.attn, self.ffn = Llama(d, heads, kv_heads), Gated(d, width, F.silu)
        self.norm1, self.norm2 = nn.RMSNorm(d, 0.1), nn.RMSNorm(d, 0.1)

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        x = x + self.attn(self.norm1(x), mask)
        y: Tensor = x + self.ffn(self.norm2(x))
        return y


class Bias(nn.Module):
    """T5's bias by itself."""

    def __init__(self, heads: int, **options: Any) -> None:
        super().__init__()
        self.weight = T5(heads, heads, **options).attention.relative_attention_bias.weight
        self.of = [T5(heads, heads, **options).attention]

    def forward(self, q: Tensor, k: Tensor) -> Tensor:
        self.of[0].relative_attention_bias.weight = self.weight
        return self.of[0].compute_bias(q.shape[2], k.shape[2])[0]


class Turned(nn.Module):
    """LLaMA's rotary positions by themselves."""

    def __init__(self, base: float = 10000.0, kind: str = "default", **options: Any) -> None:
        super().__init__()
        self.rope = {"rope_type": kind, "rope_theta": base, **options}

    def forward(self, x: Tensor) -> Tensor:
        from transformers import LlamaConfig
        from transformers.models.llama.modeling_llama import LlamaRotaryEmbedding, apply_rotary_pos_emb

        d = x.shape[-1]
        angles = LlamaRotaryEmbedding(LlamaConfig(hidden_size=d, num_attention_heads=1, rope_parameters=self.rope))
        cos, sin = angles(x, torch.arange(x.shape[2])[None])
        return apply_rotary_pos_emb(x, x, cos, sin)[0]


class TurnedInPairs(nn.Module):
    """GPT-J's rotary positions: each element with the next, of the first `size` elements."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self.size = size

    def forward(self, x: Tensor) -> Tensor:
        from transformers.models.gptj.modeling_gptj import apply_rotary_pos_emb, create_sinusoidal_positions

        sin, cos = create_sinusoidal_positions(x.shape[2], self.size)[None].chunk(2, -1)
        turned = apply_rotary_pos_emb(x[..., : self.size].transpose(1, 2), sin, cos).transpose(1, 2)
        return torch.cat([turned, x[..., self.size :]], -1)


class TurnedInPart(nn.Module):
    """GPT-NeoX's rotary positions: of a part of each head."""

    def __init__(self, share: float) -> None:
        super().__init__()
        self.rope = {"rope_type": "default", "rope_theta": 10000.0, "partial_rotary_factor": share}

    def forward(self, x: Tensor) -> Tensor:
        from transformers import GPTNeoXConfig
        from transformers.models.gpt_neox.modeling_gpt_neox import GPTNeoXRotaryEmbedding, apply_rotary_pos_emb

        config = GPTNeoXConfig(hidden_size=x.shape[-1], num_attention_heads=1, rope_parameters=self.rope)
        cos, sin = GPTNeoXRotaryEmbedding(config)(x, torch.arange(x.shape[2])[None])
        return apply_rotary_pos_emb(x, x, cos, sin)[0]


class WavesApart(nn.Module):
    """The table of Whisper's encoder, from which rows are taken."""

    def forward(self, x: Tensor, positions: Tensor | None = None) -> Tensor:
        from transformers.models.whisper.modeling_whisper import sinusoids

        table = sinusoids(max(x.shape[1], 11), x.shape[2])
        return x + (table[: x.shape[1]] if positions is None else table[positions])


class Same(nn.Module):
    """A convolution with TensorFlow's padding, for any stride; of a transpose, as much is cut off, or `cut`."""

    def __init__(self, conv: Any, cut: tuple[int, int] | None = None) -> None:
        super().__init__()
        self.weight, self.bias = conv.weight, conv.bias
        self.of, self.cut = [conv], cut  # in a list: not a submodule

    def forward(self, x: Tensor) -> Tensor:
        conv = self.of[0]
        conv.weight, conv.bias = self.weight, self.bias
        sizes = zip(x.shape[2:], conv.stride, conv.kernel_size, conv.dilation, strict=True)
        more = [max(0, (-n % s if not conv.transposed else 0) - s + d * (k - 1) + 1) for n, s, k, d in sizes]
        sides = [(n // 2, n - n // 2) if self.cut is None else self.cut for n in more]
        if not conv.transposed:
            padded: Tensor = conv(F.pad(x, [side for pair in reversed(sides) for side in pair]))
            return padded
        y: Tensor = conv(x)
        cut: list[Any] = [slice(a, n - b) for (a, b), n in zip(sides, y.shape[2:], strict=True)]
        return y[..., *cut]


def padded_alike(block: Any) -> nn.Module:
    """An inverted residual whose depthwise convolution has TensorFlow's padding."""
    block.conv_dw.padding = 0
    block.conv_dw = Same(block.conv_dw)
    return block


class Causal(nn.Conv1d):
    """Each result reads what is before it."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(F.pad(x, (self.dilation[0] * (self.kernel_size[0] - 1), 0)))


# -- vision, as in torchvision -----------------------------------------------------------------------------------------


class FeaturePyramid(nn.Module):
    def __init__(self, before: list[int], channels: int) -> None:
        super().__init__()
        self.inner_blocks = nn.ModuleList(nn.Conv2d(c, channels, 1) for c in before)
        self.layer_blocks = nn.ModuleList(nn.Conv2d(channels, channels, 3, padding=1) for _ in before)

    def forward(self, *maps: Tensor) -> tuple[Tensor, ...]:
        top = self.inner_blocks[-1](maps[-1])
        results = [self.layer_blocks[-1](top)]
        for i in reversed(range(len(maps) - 1)):
            lateral = self.inner_blocks[i](maps[i])
            top = lateral + F.interpolate(top, size=lateral.shape[-2:])
            results.insert(0, self.layer_blocks[i](top))
        return tuple(results)


class Bank(nn.Module):
    """Layers and a gate that reads the input."""

    def __init__(self, experts: list[nn.Module], d: int, bias: bool) -> None:
        super().__init__()
        self.experts = nn.ModuleList(experts)
        self.gate = nn.Linear(d, len(experts), bias=bias)


class Mixture(Bank):
    def __init__(self, *experts: nn.Module, d: int) -> None:
        super().__init__(list(experts), d, bias=True)

    def forward(self, x: Tensor) -> Tensor:
        y = torch.stack([f(x) for f in self.experts], -1)
        return (y * self.gate(x).softmax(-1).unsqueeze(-2)).sum(-1)


class Switch(Bank):
    """Row by row, through the layers that are chosen for it."""

    def __init__(
        self, *experts: nn.Module, d: int, k: int = 1, capacity: float | None = None, shared: tuple[nn.Module, ...] = ()
    ) -> None:
        super().__init__(list(experts), d, bias=False)
        self.k, self.capacity, self.shared = k, capacity, nn.ModuleList(shared)

    def forward(self, x: Tensor) -> Tensor:
        rows = x.reshape(-1, x.shape[-1])
        weights, chosen = self.gate(rows).softmax(-1).topk(self.k, -1)
        weights = weights / weights.sum(-1, keepdim=True) if self.k > 1 else weights
        taken = [0] * len(self.experts)
        most = chosen.numel() if self.capacity is None else -int(-self.capacity * chosen.numel() // len(taken))
        results = [sum((f(row) for f in self.shared), torch.zeros(())) for row in rows]
        for i, row in enumerate(rows):
            for weight, expert in zip(weights[i], chosen[i].tolist(), strict=True):
                if taken[expert] < most:
                    results[i] = results[i] + weight * self.experts[expert](row)
                taken[expert] += 1
        unused = 0 * sum((f(torch.zeros_like(rows[0])) for f in self.experts), torch.zeros(()))  # has a gradient of 0
        return torch.stack([r + unused for r in results]).reshape(*x.shape[:-1], *unused.shape)


class DynamicConv2d(nn.Module):
    """Sample by sample, with the kernel that is mixed for it."""

    def __init__(
        self, before: int, channels: int, kernel: tuple[int, int], bank: int, bias: bool = True, **options: Any
    ) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(bank, channels, before // options.get("groups", 1), *kernel) / 4)
        self.bias = nn.Parameter(torch.randn(bank, channels)) if bias else None
        self.gate = nn.Linear(before, bank)
        self.options = options

    def forward(self, x: Tensor) -> Tensor:
        mix = self.gate(x.mean((2, 3))).sigmoid()
        kernels = torch.tensordot(mix, self.weight, 1)
        biases = [None] * len(x) if self.bias is None else mix @ self.bias
        samples = zip(x, kernels, biases, strict=True)
        return torch.cat([F.conv2d(sample[None], k, b, **self.options) for sample, k, b in samples])


class Detections(nn.Module):
    def __init__(self, iou: float = 0.5, score: float = 0.05, most: int = 100) -> None:
        super().__init__()
        self.options = iou, score, most

    def forward(self, boxes: Tensor, scores: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        index, label = kept(boxes.detach(), scores.detach(), *self.options)
        image, there = torch.arange(len(boxes))[:, None], index >= 0
        place, number = index.clamp(min=0), label.clamp(min=0)
        return boxes[image, place] * there[..., None], scores[image, place, number] * there, label
