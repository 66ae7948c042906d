"""The weights of PyTorch modules, under the names that programs load them by."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import nn

Array = NDArray[Any]


def module_weights(module: nn.Module) -> dict[str, Array]:
    """The weights of a module by their names, a shared one under each of its names."""
    return {
        name: value.detach().numpy()
        for name, value in module.state_dict().items()
        if not name.endswith("num_batches_tracked")
    }


def shake(module: nn.Module, seed: int = 0) -> None:
    """Give what starts as zeros and ones (biases, normalizations, statistics) numbers that make a difference."""
    rng = np.random.default_rng(seed)
    for name, value in module.state_dict().items():
        if value.ndim == 1 and value.is_floating_point():
            noise = value.new_tensor(rng.uniform(-0.3, 0.3, value.shape))
            value.copy_((1 + noise) if name.endswith("running_var") else value + noise)
