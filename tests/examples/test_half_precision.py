"""Every example in 16 bits: half the bytes, each shared tensor still one, and nearly the same numbers."""

from functools import cache
from pathlib import Path
from typing import Literal

import numpy as np
import pytest
import torch

import wsdl
from references.examples.catalogue import EXAMPLES, Example
from references.weights import module_weights, shake
from wsdl.onnx.proof import prove

TOLERANCE = {"f16": 5e-3, "bf16": 3e-2}  # of the largest number; a step of f16 is 0.001 of a number, of bf16 0.008
EACH = pytest.mark.parametrize("example", [e for e in EXAMPLES if e.name != "resnet18"], ids=lambda e: e.name)
HALVES = pytest.mark.parametrize("half", ["f16", "bf16"])


@cache
def weights(example: Example) -> dict[str, np.ndarray]:
    """Weights with which every layer makes a difference. (The initial ones let the deep detector's fade to 1e-9.)"""
    torch.manual_seed(0)
    twin = example.twin()
    shake(twin)
    return {f"{example.model_name}.{name}": a for name, a in module_weights(twin).items()}


@cache
def in_f32(example: Example) -> tuple[int, dict[str, np.ndarray]]:
    """The bytes of the weights, and what the model computes."""
    program = wsdl.compile(example.path, weights=weights(example))
    outputs = program.session(example.model_name)(**example.draw(example.sizes[1]))
    return program.inventory.sizes().bytes, outputs


@HALVES
@EACH
def test_half_precision(example: Example, half: Literal["f16", "bf16"], tmp_path: Path) -> None:
    size, expected = in_f32(example)
    halved = wsdl.compile(example.path, weights=weights(example), dtype=half)
    assert halved.inventory.sizes().bytes * 2 == size
    got = halved.session(example.model_name)(**example.draw(example.sizes[1]))
    for name, array in expected.items():
        assert got[name].dtype == array.dtype
        difference = np.abs(got[name] - array).max() / np.abs(array).max()
        assert difference < TOLERANCE[half], f"{name} differs by {difference:.1e} of its largest number"
    [path] = halved.models[example.model_name].save(tmp_path / "half.onnx")
    assert prove(path).holds
