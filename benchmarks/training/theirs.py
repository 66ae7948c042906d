"""The same step in PyTorch, in its usual setting and in those that are faster."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional as F

from benchmarks.training.cases import Case

Array = NDArray[Any]
Step = Callable[[dict[str, Array]], float]


def step(
    case: Case,
    weights: list[Array],
    *,
    fused: bool = False,
    last: bool = False,
    compiled: bool = False,
    device: str = "cpu",
) -> Step:
    """Takes a step, gives the loss before it. `fused` is the optimizer's kernel, `last` has images with their channels
    last in memory, `compiled` is `torch.compile`."""
    module = case.twin()
    for parameter, array in zip(module.parameters(), weights, strict=True):
        parameter.data = torch.from_numpy(np.array(array))
    module = module.to(device)
    if last:
        module = module.to(memory_format=torch.channels_last)
    optimizer = torch.optim.AdamW(module.parameters(), lr=1e-3, fused=fused or None)
    forward = torch.compile(module) if compiled else module

    def run(batch: dict[str, Array]) -> float:
        x, label = (torch.from_numpy(batch[name]).to(device) for name in ("x", "label"))
        if last:
            x = x.contiguous(memory_format=torch.channels_last)
        logits = forward(x)
        loss = F.cross_entropy(logits.flatten(0, -2), label.flatten())
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]  # PyTorch gives it no types
        optimizer.step()
        return loss.item()

    return run


def settings(case: Case) -> dict[str, dict[str, Any]]:
    """Those to compare with, `eager` first."""
    images = {"channels last": {"fused": True, "last": True}} if case.has_images else {}
    return {"eager": {}, "fused": {"fused": True}, **images, "compile": {"fused": True, "compiled": True}}
