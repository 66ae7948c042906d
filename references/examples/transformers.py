"""The language model and the three ALBERTs; MiniLM's twin is `transformers.BertModel` with the real weights."""

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class Attention(nn.Module):
    def __init__(self, d: int, heads: int, causal: bool = False) -> None:
        super().__init__()
        self.heads, self.causal = heads, causal
        self.query, self.key, self.value, self.out = (nn.Linear(d, d) for _ in range(4))

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        q, k, v = (f(x).unflatten(2, (self.heads, -1)).transpose(1, 2) for f in (self.query, self.key, self.value))
        seen = None if mask is None else mask[:, None, None, :]
        y = F.scaled_dot_product_attention(q, k, v, attn_mask=seen, is_causal=self.causal)
        return self.out(y.transpose(1, 2).flatten(2))


class FeedForward(nn.Module):
    def __init__(self, d: int, width: int) -> None:
        super().__init__()
        self.up, self.down = nn.Linear(d, width), nn.Linear(width, d)

    def forward(self, x: Tensor) -> Tensor:
        return self.down(F.gelu(self.up(x)))


class Block(nn.Module):
    """Normalized before each part, as in GPT-2."""

    def __init__(self, d: int, ffn: FeedForward) -> None:
        super().__init__()
        self.attn, self.ffn = Attention(d, 4, causal=True), ffn
        self.norm1, self.norm2 = nn.LayerNorm(d), nn.LayerNorm(d)

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.attn(self.norm1(x))
        return x + self.ffn(self.norm2(x))


class LM(nn.Module):
    def __init__(self, vocab: int = 8000, d: int = 256, depth: int = 12) -> None:
        super().__init__()
        self.tok, self.pos = nn.Embedding(vocab, d), nn.Embedding(512, d)
        ffn = FeedForward(d, 4 * d)
        self.blocks = nn.ModuleList(Block(d, ffn) for _ in range(depth))
        self.norm = nn.LayerNorm(d)
        self.head = nn.Linear(d, vocab, bias=False)
        self.head.weight = self.tok.weight
        nn.init.normal_(self.tok.weight, std=0.02)

    def forward(self, ids: Tensor) -> Tensor:
        h = self.tok(ids) + self.pos(torch.arange(ids.shape[1]))
        for block in self.blocks:
            h = block(h)
        return self.head(self.norm(h))


class EncoderLayer(nn.Module):
    """Normalized after each part, as in BERT."""

    def __init__(self, d: int, heads: int, width: int) -> None:
        super().__init__()
        self.attn, self.ffn = Attention(d, heads), FeedForward(d, width)
        self.norm1, self.norm2 = nn.LayerNorm(d), nn.LayerNorm(d)

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        x = self.norm1(x + self.attn(x, mask))
        return self.norm2(x + self.ffn(x))


class Albert(nn.Module):
    """`tie` makes one layer share with another."""

    def __init__(self, tie: Callable[[EncoderLayer, EncoderLayer], None], depth: int = 12) -> None:
        super().__init__()
        d, embed = 128, 64
        self.tok, self.pos, self.norm = nn.Embedding(8000, embed), nn.Embedding(512, embed), nn.LayerNorm(embed)
        self.widen = nn.Linear(embed, d)
        blocks = [EncoderLayer(d, 4, 4 * d) for _ in range(depth)]
        self.blocks = nn.ModuleList(blocks)
        for block in blocks[1:]:
            tie(blocks[0], block)

    def forward(self, ids: Tensor, mask: Tensor) -> Tensor:
        h = self.widen(self.norm(self.tok(ids) + self.pos(torch.arange(ids.shape[1]))))
        for block in self.blocks:
            h = block(h, mask)
        return h


def albert_all() -> Albert:
    def tie(first: EncoderLayer, block: EncoderLayer) -> None:
        for name, part in first.named_children():
            setattr(block, name, part)

    return Albert(tie)


def albert_attention() -> Albert:
    return Albert(lambda first, block: setattr(block, "attn", first.attn))


def albert_ffn() -> Albert:
    return Albert(lambda first, block: setattr(block, "ffn", first.ffn))
