"""One step of PyTorch's optimizers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from tests.programs.description import Train


def updated(
    train: Train, stored: Mapping[str, Tensor], gradients: Mapping[str, Tensor], rates: Mapping[str, float]
) -> dict[str, Tensor]:
    """What is stored after the first step of a training with these gradients; `rates` of some tensors are their own."""
    params = {name: tensor.detach().clone().requires_grad_() for name, tensor in stored.items()}
    for name, param in params.items():
        param.grad = gradients[name].clone()
    settings = dict(train.settings)
    if "clip_norm" in settings:
        torch.nn.utils.clip_grad_norm_(params.values(), settings.pop("clip_norm"))
    if "clip_value" in settings:
        torch.nn.utils.clip_grad_value_(params.values(), settings.pop("clip_value"))
    if train.optimizer == "Lion":
        _lion(params, rates, **settings)
    else:
        optimizer: Any = getattr(torch.optim, train.optimizer)
        groups = [{"params": [p], "lr": rates.get(name, settings["lr"])} for name, p in params.items()]
        optimizer(groups, **settings).step()
    return {name: param.detach() for name, param in params.items()}


def _lion(params: Mapping[str, Tensor], rates: Mapping[str, float], lr: float, weight_decay: float = 0.0) -> None:
    """The first step of Lion (Chen et al. 2023), whose average starts at 0."""
    with torch.no_grad():
        for name, param in params.items():
            assert param.grad is not None
            param -= rates.get(name, lr) * (torch.sign(0.1 * param.grad) + weight_decay * param)
