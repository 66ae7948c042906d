"""T5, GPT-2 and ViT beside `transformers`, narrower than published, with random weights."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import wsdl
from references.published import PUBLISHED, Sizes


@dataclass(frozen=True)
class Contender:
    """A model of ours, its twin in PyTorch, and what both are run on: the twin takes the arrays in this order."""

    program: wsdl.Program
    model: str
    twin: Any
    arrays: dict[str, NDArray[Any]]


def _logits(theirs: Any, *names: str) -> Any:
    """A module that takes tensors in our order, under its names, and gives the logits."""
    from torch import nn

    class Logits(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.theirs = theirs

        def forward(self, *tensors: Any) -> Any:
            return self.theirs(**dict(zip(names, tensors, strict=True)), **options).logits

    options: dict[str, Any] = {} if names == ("pixel_values",) else {"use_cache": False}
    return Logits().eval()


def _contender(
    name: str, sizes: Sizes, options: dict[str, Any], names: tuple[str, ...], arrays: dict[str, NDArray[Any]]
) -> Contender:
    """A published network in these sizes."""
    [published] = [replace(p, sizes=sizes, options=options) for p in PUBLISHED if p.name == name]
    twin = published.twin()
    with tempfile.TemporaryDirectory() as folder:
        program = published.program(Path(folder), twin)
    return Contender(program, name, _logits(twin, *names), arrays)


def _ids(*shape: int) -> NDArray[Any]:
    return np.random.default_rng(0).integers(3, 211, shape)


ORIGINALS: dict[str, Callable[[], Contender]] = {
    "t5": partial(
        _contender,
        "t5",
        {"vocab": 211, "d": 64, "depth": 6, "heads": 8, "head_size": 8, "width": 256},
        {"vocab_size": 211, "d_model": 64, "d_kv": 8, "num_heads": 8, "d_ff": 256, "num_layers": 6},
        ("input_ids", "attention_mask", "decoder_input_ids"),
        {"source": _ids(3, 40), "mask": np.ones((3, 40), bool), "target": _ids(3, 33)},
    ),
    "gpt2": partial(
        _contender,
        "gpt2",
        {"vocab": 211, "d": 48},
        {"vocab_size": 211, "n_embd": 48, "n_layer": 12, "n_head": 12},
        ("input_ids", "attention_mask"),
        {"ids": _ids(3, 64), "mask": np.ones((3, 64), bool)},
    ),
    "vit": partial(
        _contender,
        "vit",
        {"d": 192, "heads": 3, "width": 768},
        {"hidden_size": 192, "num_attention_heads": 3, "intermediate_size": 768, "num_labels": 1000},
        ("pixel_values",),
        {"image": np.random.default_rng(0).standard_normal((2, 3, 224, 224)).astype(np.float32)},
    ),
}
