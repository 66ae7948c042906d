"""How a twin is trained: PyTorch's own optimizer, and the learning rate over the steps as `wsdl` documents it."""

from __future__ import annotations

from dataclasses import dataclass
from math import cos, pi

from torch import nn
from torch.optim import AdamW
from torch.optim.lr_scheduler import LambdaLR


@dataclass(frozen=True)
class Cosine:
    """AdamW, whose learning rate rises over `warmup` steps and falls to 0 along half a cosine."""

    lr: float
    warmup: int
    weight_decay: float
    eps: float = 1e-8

    def optimizer(self, module: nn.Module, steps: int) -> tuple[AdamW, LambdaLR]:
        """Of a whole run of so many steps. Each step is `optimizer.step()` and then `schedule.step()`."""

        def factor(step: int) -> float:
            course = max(0, step - self.warmup) / max(1, steps - self.warmup)
            return min(1.0, (step + 1) / max(1, self.warmup)) * (1 + cos(pi * min(1.0, course))) / 2

        trained = [p for p in module.parameters() if p.requires_grad]
        optimizer = AdamW(trained, lr=self.lr, weight_decay=self.weight_decay, eps=self.eps)
        return optimizer, LambdaLR(optimizer, factor)
