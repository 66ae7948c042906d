"""For or against a film: MiniLM as `transformers` has it with a new layer, and a small encoder from nothing."""

from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from references.examples.transformers import EncoderLayer

MINILM = Path(__file__).parents[2] / "examples" / "data" / "minilm"


def mean_of_words(h: Tensor, mask: Tensor) -> Tensor:
    weight = mask[:, :, None].float()
    return (h * weight).sum(1) / weight.sum(1)


class Reviews(nn.Module):
    def loss(self, ids: Tensor, mask: Tensor, praise: Tensor) -> Tensor:
        return F.binary_cross_entropy_with_logits(self(ids, mask), praise.float())


class Transfer(Reviews):
    def __init__(self) -> None:
        super().__init__()
        from transformers import BertModel

        self.encoder = BertModel.from_pretrained(MINILM, local_files_only=True).eval().requires_grad_(False)
        self.head = nn.Linear(384, 1)

    def forward(self, ids: Tensor, mask: Tensor) -> Tensor:
        with torch.no_grad():
            h = self.encoder(ids, mask).last_hidden_state
        return self.head(mean_of_words(h, mask)).squeeze(1)

    def train(self, mode: bool = True) -> "Transfer":
        """The encoder goes without dropout, as what is frozen does not train."""
        super().train(mode)
        self.encoder.eval()
        return self


class Encoder(nn.Module):
    def __init__(self, d: int = 64, depth: int = 2, heads: int = 4) -> None:
        super().__init__()
        self.segment = nn.Parameter(torch.empty(2, d))
        self.tok, self.pos = nn.Embedding(30522, d), nn.Embedding(512, d)
        self.norm = nn.LayerNorm(d, eps=1e-12)
        blocks = [EncoderLayer(d, heads, 4 * d) for _ in range(depth)]
        for block in blocks:
            block.norm1.eps = block.norm2.eps = 1e-12
        self.blocks = nn.ModuleList(blocks)

    def forward(self, ids: Tensor, mask: Tensor) -> Tensor:
        h = self.norm(self.tok(ids) + self.pos(torch.arange(ids.shape[1])) + self.segment[0])
        for block in self.blocks:
            h = block(h, mask > 0)
        return mean_of_words(h, mask)


class Scratch(Reviews):
    def __init__(self) -> None:
        super().__init__()
        self.encoder, self.head = Encoder(), nn.Linear(64, 1)

    def forward(self, ids: Tensor, mask: Tensor) -> Tensor:
        return self.head(self.encoder(ids, mask)).squeeze(1)
