"""A program with the weights of a PyTorch module, for tests that compare the two."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import nn

import wsdl
from wsdl.ir.graph import file_path
from wsdl.span import Source

Array = NDArray[Any]


def compiled(text: str, weights: Mapping[str, Array], model: str = "m") -> wsdl.Program:
    """The program of a text, the weights named by their paths below the model; none may be missing."""
    program = wsdl.compile(Source(f"{model}.wsd", text), weights={f"{model}.{n}": a for n, a in weights.items()})
    for tensor in program.inventory.stored.values():
        paths = [file_path(use.path).removeprefix(f"{model}.") for use in tensor.uses]
        assert any(path in weights for path in paths), f"no weights for {tensor.name}"
    return program


def module_weights(module: nn.Module) -> dict[str, Array]:
    """The weights of a module by their names, a shared one under each of its names."""
    return {
        name: value.detach().numpy()
        for name, value in module.state_dict().items()
        if not name.endswith("num_batches_tracked")
    }


def shake(module: nn.Module, seed: int = 0) -> None:
    """Give what starts as zeros and ones (biases, normalisations, statistics) numbers that make a difference."""
    rng = np.random.default_rng(seed)
    for name, value in module.state_dict().items():
        if value.ndim == 1 and value.is_floating_point():
            noise = value.new_tensor(rng.uniform(-0.3, 0.3, value.shape))
            value.copy_((1 + noise) if name.endswith("running_var") else value + noise)
