"""Fine-tuning a published encoder in PyTorch, step by step as `examples/training/finetune.wsd` does it."""

from collections.abc import Iterable, Mapping
from math import cos, pi
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.optim import AdamW, Optimizer
from torch.optim.lr_scheduler import LambdaLR
from transformers import BertModel

MINILM = Path(__file__).parents[2] / "examples" / "data" / "minilm"


class Reviews(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.encoder = BertModel.from_pretrained(
            MINILM, add_pooling_layer=False, hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0
        )
        self.head = nn.Linear(384, 1)

    def forward(self, ids: Tensor, mask: Tensor) -> Tensor:
        h = self.encoder(ids, attention_mask=mask).last_hidden_state
        weight = mask[:, :, None].float()
        return self.head((h * weight).sum(1) / weight.sum(1)).squeeze(1)


def head_only(model: Reviews) -> Optimizer:
    model.encoder.requires_grad_(False).eval()
    return AdamW(model.head.parameters(), lr=1e-2, weight_decay=0.01)


def whole(model: Reviews) -> Optimizer:
    model.encoder.requires_grad_(True).train()
    rates = [(model.encoder, 5e-5), (model.head, 1e-3)]
    return AdamW([{"params": part.parameters(), "lr": lr} for part, lr in rates], weight_decay=0.01)


def train(model: Reviews, optimizer: Optimizer, batches: Iterable[Mapping[str, Tensor]], steps: int) -> list[float]:
    """The losses of all batches; the learning rates fall to 0 in so many steps."""

    def factor(step: int, warmup: int = 10) -> float:
        course = max(0, step - warmup) / max(1, steps - warmup)
        return min(1.0, (step + 1) / warmup) * (1 + cos(pi * min(1.0, course))) / 2

    schedule, losses = LambdaLR(optimizer, factor), []
    for batch in batches:
        logit = model(batch["ids"], batch["mask"])
        loss = F.binary_cross_entropy_with_logits(logit, batch["praise"].float())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
        losses.append(loss.item())
    return losses


@torch.no_grad()
def accuracy(model: Reviews, batches: Iterable[Mapping[str, Tensor]]) -> float:
    right = [(model(b["ids"], b["mask"]) > 0) == (b["praise"] == 1) for b in batches]
    return torch.cat(right).float().mean().item()
