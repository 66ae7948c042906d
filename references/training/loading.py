"""A twin starts with the weights of its program."""

from __future__ import annotations

import torch
from torch import nn

import wsdl
from wsdl.ir.graph import file_path


def load_into(twin: nn.Module, program: wsdl.Program, model: str) -> None:
    """Give a module what a model stores, by the paths below the model; each number of both must be used.

    What is frozen in both is there already: both have read the same file, each by its own names.
    """
    stored = {
        file_path(use.path).removeprefix(f"{model}."): (name, program.stored[name])
        for name, tensor in program.inventory.of_models([model]).stored.items()
        for use in tensor.uses
    }
    used = set()
    frozen = {path for path, value in twin.named_parameters() if not value.requires_grad}
    with torch.no_grad():
        for path, value in twin.state_dict().items():
            if path not in frozen and not path.endswith("num_batches_tracked"):
                name, array = stored[path]
                value.copy_(torch.from_numpy(array))
                used.add(name)
    unused = {name for name, _ in stored.values() if program.inventory.stored[name].trainable} - used
    assert not unused, f"the twin has no {', '.join(sorted(unused))}"
