"""The recursive reasoner of `examples/training/sudoku.wsd` (Jolicoeur-Martineau 2025)."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from references.examples.transformers import Attention, FeedForward

SIZE, D, ROUNDS = 6, 36, 4
CELLS = SIZE**2


def units() -> Tensor:
    """What is added to the scores of three heads, which attend within rows, columns and boxes: [1, 3, cells, cells]."""
    row, column = torch.arange(CELLS) // SIZE, torch.arange(CELLS) % SIZE
    unit = torch.stack([row, column, 2 * (row // 2) + column // (SIZE // 2)])
    return (unit[:, :, None] != unit[:, None, :]).float()[None] * -1e4


class InUnits(Attention):
    """Attention with the scores of `units`."""

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        q, k, v = (f(x).unflatten(2, (self.heads, -1)).transpose(1, 2) for f in (self.query, self.key, self.value))
        y: Tensor = self.out(F.scaled_dot_product_attention(q, k, v, attn_mask=units()).transpose(1, 2).flatten(2))
        return y


class Layer(nn.Module):
    """An encoder layer, normalized after each part."""

    def __init__(self) -> None:
        super().__init__()
        self.attn, self.ffn = InUnits(D, 3), FeedForward(D, 2 * D)
        self.norm1, self.norm2 = nn.LayerNorm(D), nn.LayerNorm(D)

    def forward(self, x: Tensor) -> Tensor:
        x = self.norm1(x + self.attn(x))
        return self.norm2(x + self.ffn(x))


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.ModuleList([Layer(), Layer()])

    def forward(self, x: Tensor) -> Tensor:
        for layer in self.layers:
            x = layer(x)
        return x


class Reasoner(nn.Module):
    """Puzzles u8[n, cells] to the answers of all rounds [rounds, n, cells, size]."""

    def __init__(self) -> None:
        super().__init__()
        self.net, self.embedding, self.layer_norm = Net(), nn.Embedding(SIZE + 1, D), nn.LayerNorm(D)
        self.dense = nn.Linear(D, SIZE)

    def forward(self, puzzle: Tensor) -> Tensor:
        x = self.layer_norm(self.embedding(puzzle.long()))
        y, z, answers = torch.zeros_like(x), torch.zeros_like(x), []
        for _ in range(ROUNDS):
            y, z = y.detach(), z.detach()
            for _ in range(3):
                z = self.net(x + y + z)
            y = self.net(y + z)
            answers.append(self.dense(y))
        return torch.stack(answers)


class Sudoku(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.reasoner = Reasoner()

    def loss(self, puzzle: Tensor, solution: Tensor) -> Tensor:
        answers = self.reasoner(puzzle)
        right = (solution.long() - 1).expand(ROUNDS, -1, -1)
        return F.cross_entropy(answers.flatten(0, 2), right.flatten())
