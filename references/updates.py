"""The trainings of `examples/updates` in PyTorch, over weights by their names in the program."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

Array = NDArray[Any]
Weights = dict[str, Tensor]


class Twin:
    """A training: `step` on a batch returns the loss. `trained` are the names that the optimizer moves."""

    def __init__(self, values: Mapping[str, Array], trained: Callable[[str], bool], total: int) -> None:
        self.w: Weights = {name: torch.tensor(array) for name, array in values.items()}
        self.trained = [tensor.requires_grad_() for name, tensor in self.w.items() if trained(name)]
        self.number, self.total = 0, total

    def dense(self, x: Tensor, path: str) -> Tensor:
        return F.linear(x, self.w[f"{path}.weight"], self.w.get(f"{path}.bias"))

    def optimize(self, optimizer: torch.optim.Optimizer, loss: Tensor) -> float:
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        self.number += 1
        return loss.item()

    @torch.no_grad()
    def follow(self, target: str, online: str, share: float) -> None:
        """Move the parameters of one layer by a share towards those of another."""
        for name, tensor in self.w.items():
            if name.startswith(f"{target}.") and "running" not in name:
                tensor.lerp_(self.w[online + name.removeprefix(target)].detach(), share)


class Byol(Twin):
    def __init__(self, values: Mapping[str, Array], total: int) -> None:
        super().__init__(values, lambda name: not name.startswith("target.") and "running" not in name, total)
        self.optimizer = torch.optim.SGD(self.trained, momentum=0.9, weight_decay=1e-4)

    def norm(self, x: Tensor, path: str) -> Tensor:
        names = (f"{path}.running_mean", f"{path}.running_var")
        mean, var = (None if path.startswith("target.") else self.w[name] for name in names)
        return F.batch_norm(x, mean, var, self.w[f"{path}.weight"], self.w[f"{path}.bias"], training=True)

    def conv(self, x: Tensor, path: str) -> Tensor:
        return F.relu(F.conv2d(x, self.w[f"{path}.weight"], self.w[f"{path}.bias"], stride=2, padding=1))

    def branch(self, image: Tensor, path: str) -> Tensor:
        x = self.conv(self.conv(image.float() / 255, f"{path}.conv2d"), f"{path}.conv2d_2")
        x = F.relu(self.norm(self.dense(x.flatten(1), f"{path}.dense"), f"{path}.batch_norm"))
        x = F.relu(self.norm(self.dense(x, f"{path}.dense_2"), f"{path}.batch_norm_2"))
        return self.dense(x, f"{path}.dense_3")

    def step(self, batch: Mapping[str, Array]) -> float:
        for group in self.optimizer.param_groups:
            past = max(0, self.number - 50) / (self.total - 50)
            group["lr"] = 0.05 * (1 + np.cos(np.pi * past)) * min(1, (self.number + 1) / 50)
        both = torch.cat([torch.tensor(batch["left"]), torch.tensor(batch["right"])])
        hidden = F.relu(
            self.norm(self.dense(self.branch(both, "online"), "byol.predict.layers.0"), "byol.predict.layers.1")
        )
        p = F.normalize(self.dense(hidden, "byol.predict.layers.3"))
        with torch.no_grad():
            z = F.normalize(self.branch(both, "target"))
        n = len(both) // 2
        loss = 2 - (p[:n] * z[n:]).sum(1).mean() - (p[n:] * z[:n]).sum(1).mean()
        found = self.optimize(self.optimizer, loss)
        self.follow("target", "online", 0.01 * (1 - self.number / self.total))
        return found


class Moco(Twin):
    def __init__(self, values: Mapping[str, Array], total: int) -> None:
        super().__init__(values, lambda name: name.startswith("moco.online."), total)
        self.optimizer = torch.optim.SGD(self.trained, lr=0.1, momentum=0.9)

    def encode(self, x: Array, path: str) -> Tensor:
        hidden = F.relu(self.dense(torch.tensor(x), f"{path}.dense"))
        return F.normalize(self.dense(hidden, f"{path}.dense_2"))

    def step(self, batch: Mapping[str, Array]) -> float:
        q, queue = self.encode(batch["query"], "moco.online"), self.w["moco.queue"]
        with torch.no_grad():
            keys = self.encode(batch["key"], "moco.target")
        logits = torch.cat([(q * keys).sum(1, keepdim=True), q @ queue.T], 1) / 0.2
        found = self.optimize(self.optimizer, F.cross_entropy(logits, torch.zeros(len(q), dtype=torch.long)))
        self.follow("moco.target", "moco.online", 0.01)
        self.w["moco.queue"] = torch.cat([keys, queue])[: len(queue)]
        return found


class DeepQ(Twin):
    def __init__(self, values: Mapping[str, Array], total: int) -> None:
        super().__init__(values, lambda name: name.startswith("q.online."), total)
        self.optimizer = torch.optim.Adam(self.trained, lr=1e-2)

    def values_of(self, place: Array, path: str) -> Tensor:
        x = F.embedding(torch.tensor(place), self.w[f"{path}.embedding.weight"])
        return self.dense(F.relu(self.dense(x, f"{path}.dense")), f"{path}.dense_2")

    def step(self, batch: Mapping[str, Array]) -> float:
        value = self.values_of(batch["place"], "q.online").gather(1, torch.tensor(batch["move"])[:, None])[:, 0]
        with torch.no_grad():
            following = self.values_of(batch["following"], "q.target").max(1).values
        wanted = torch.tensor(batch["reward"]) + 0.9 * torch.tensor(batch["goes_on"]) * following
        found = self.optimize(self.optimizer, F.mse_loss(value, wanted))
        if self.number % 20 == 0:
            self.follow("q.target", "q.online", 1.0)
        return found


class VqVae(Twin):
    def __init__(self, values: Mapping[str, Array], total: int) -> None:
        super().__init__(values, lambda name: "quantize" not in name, total)
        self.optimizer = torch.optim.AdamW(self.trained, lr=2e-3, weight_decay=0.01)

    def step(self, batch: Mapping[str, Array]) -> float:
        image, state = torch.tensor(batch["image"]), "vqvae.quantize"
        z = self.dense(F.relu(self.dense(image, "vqvae.dense")), "vqvae.dense_2").reshape(-1, 8)
        codebook, count, total = (self.w[f"{state}.{name}"] for name in ("codebook", "count", "total"))
        chosen = torch.cdist(z.detach(), codebook).argmin(1)
        quantized = codebook[chosen]
        passed = (z + (quantized - z).detach()).reshape(-1, 32)
        restored = self.dense(F.relu(self.dense(passed, "vqvae.dense_3")), "vqvae.dense_4")
        found = self.optimize(self.optimizer, F.mse_loss(restored, image) + 0.25 * F.mse_loss(z, quantized))
        which = F.one_hot(chosen, len(codebook)).float()
        self.w[f"{state}.count"] = count = 0.95 * count + 0.05 * which.sum(0)
        self.w[f"{state}.total"] = total = 0.95 * total + 0.05 * which.T @ z.detach()
        self.w[f"{state}.codebook"] = total / (count[:, None] + 1e-5)
        return found


TWINS: dict[str, Callable[[Mapping[str, Array], int], Byol | Moco | DeepQ | VqVae]] = {
    "byol": Byol,
    "moco": Moco,
    "dqn": DeepQ,
    "vqvae": VqVae,
}
