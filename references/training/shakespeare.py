"""The language model for characters, shared and not."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from references.examples.transformers import Attention, FeedForward

VOCAB, D, DEPTH = 128, 128, 4


class Layer(nn.Module):
    """Normalized before each part, each place seeing only what is before it."""

    def __init__(self) -> None:
        super().__init__()
        self.attn, self.ffn = Attention(D, 4, causal=True), FeedForward(D, 4 * D)
        self.norm1, self.norm2 = nn.LayerNorm(D), nn.LayerNorm(D)

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.attn(self.norm1(x))
        return x + self.ffn(self.norm2(x))


class Reader(nn.Module):
    def __init__(self, shared: bool) -> None:
        super().__init__()
        self.tok, self.pos = nn.Embedding(VOCAB, D), nn.Embedding(256, D)
        self.blocks = nn.ModuleList([Layer()] * DEPTH if shared else [Layer() for _ in range(DEPTH)])
        self.norm, self.head = nn.LayerNorm(D), nn.Linear(D, VOCAB, bias=False)
        if shared:
            self.head.weight = self.tok.weight

    def forward(self, text: Tensor) -> Tensor:
        h = self.tok(text) + self.pos(torch.arange(text.shape[1]))
        for block in self.blocks:
            h = block(h)
        return self.head(self.norm(h))


class Shakespeare(nn.Module):
    def __init__(self, shared: bool) -> None:
        super().__init__()
        self.reader = Reader(shared)

    def forward(self, text: Tensor) -> Tensor:
        return self.reader(text.long())

    def loss(self, text: Tensor) -> Tensor:
        return F.cross_entropy(self(text)[:, :-1].flatten(0, 1), text[:, 1:].flatten().long())
