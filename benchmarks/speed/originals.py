"""The examples whose other side is a network of `transformers`, with the same random weights as in the tests."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import wsdl

EXAMPLES = Path(__file__).parents[2] / "examples"


@dataclass(frozen=True)
class Contender:
    """A model of ours, its twin in PyTorch, and what both are run on: the twin takes the arrays in this order."""

    program: wsdl.Program
    model: str
    twin: Any
    arrays: dict[str, NDArray[Any]]


def _of_logits(theirs: Any, *names: str) -> Any:
    """A module that takes tensors in our order, under their names, and gives the logits."""
    from torch import nn

    class OfLogits(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.theirs = theirs

        def forward(self, *tensors: Any) -> Any:
            return self.theirs(**dict(zip(names, tensors, strict=True)), use_cache=False).logits

    class OfImages(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.theirs = theirs

        def forward(self, image: Any) -> Any:
            return self.theirs(image).logits

    return (OfLogits() if names else OfImages()).eval()


def _t5() -> Contender:
    from references.originals import VOCAB, t5

    theirs, program = t5()
    rng = np.random.default_rng(0)
    source, target = rng.integers(2, VOCAB, (3, 40)), rng.integers(2, VOCAB, (3, 33))
    arrays = {"source": source, "target": target, "mask": np.ones(source.shape, bool)}
    return Contender(program, "t5", _of_logits(theirs, "input_ids", "decoder_input_ids", "attention_mask"), arrays)


def _gpt2() -> Contender:
    from references.originals import VOCAB, gpt2, gpt2_text

    with tempfile.TemporaryDirectory() as folder:
        gpt2().save_pretrained(Path(folder, "data", "gpt2"))
        Path(folder, "gpt2.wsd").write_text(gpt2_text(), encoding="utf-8")
        program = wsdl.compile(Path(folder, "gpt2.wsd"))
    ids = np.random.default_rng(0).integers(0, VOCAB, (3, 64))
    return Contender(program, "gpt2", _of_logits(gpt2(), "input_ids"), {"ids": ids})


def _vit() -> Contender:
    import torch
    from transformers import ViTConfig, ViTForImageClassification

    from references.originals import vit_name

    torch.manual_seed(0)
    sizes: dict[str, Any] = {"hidden_size": 192, "num_attention_heads": 3, "intermediate_size": 768, "num_labels": 1000}
    config = ViTConfig(**sizes)
    theirs: Any = ViTForImageClassification(config)
    weights = {vit_name(name): value.numpy() for name, value in theirs.state_dict().items()}
    image = np.random.default_rng(0).standard_normal((2, 3, 224, 224)).astype(np.float32)
    return Contender(wsdl.compile(EXAMPLES / "vit.wsd", weights=weights), "vit", _of_logits(theirs), {"image": image})


ORIGINALS: dict[str, Callable[[], Contender]] = {"t5": _t5, "gpt2": _gpt2, "vit": _vit}
