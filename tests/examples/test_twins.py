"""Every example computes what its twin in PyTorch computes with the same weights."""

from functools import cache

import numpy as np
import pytest
import torch
from torch import nn

from references.examples.catalogue import EXAMPLES, Example
from references.weights import module_weights, shake
from tests.compiling import compiled
from wsdl.runtime.session import Session

CASES = [pytest.param(e, size, id=f"{e.name}-{size[0]}x{size[1]}") for e in EXAMPLES for size in e.sizes]


@cache
def pair(example: Example) -> tuple[nn.Module, Session]:
    """The twin, and the example with its weights."""
    torch.manual_seed(0)
    twin = example.twin().eval()
    shake(twin)
    program = compiled(example.path.read_text("utf-8"), module_weights(twin), example.model_name)
    return twin, program.session()


@pytest.mark.parametrize(("example", "size"), CASES)
def test_equal_to_pytorch(example: Example, size: tuple[int, int]) -> None:
    twin, session = pair(example)
    arrays = example.draw(size)
    with torch.no_grad():
        expected = twin(*(torch.from_numpy(a) for a in arrays.values()))
    got = session(**arrays)
    assert len(got) == (len(expected) if isinstance(expected, tuple) else 1)
    for (name, ours), theirs in zip(got.items(), expected if isinstance(expected, tuple) else [expected], strict=True):
        difference = np.abs(ours - theirs.numpy()).max() / np.abs(theirs.numpy()).max()
        assert ours.shape == tuple(theirs.shape), name
        assert difference < 1e-4, f"{name} differs by {difference:.1e} of its largest number"
