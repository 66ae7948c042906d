"""Examples that also return the gradient of their largest score with respect to an input, equal to PyTorch's."""

import re

import numpy as np
import pytest
import torch

from references.examples.catalogue import EXAMPLES
from references.weights import module_weights, shake
from tests.compiling import compiled

INPUTS = {"lenet": "image", "gru_classifier": "frames", "keywords": "sound"}
EXAMPLE = {example.name: example for example in EXAMPLES}


def with_gradient(name: str) -> str:
    """The source of an example whose model returns the gradient as a second result, `slope`."""
    text, x = EXAMPLE[name].path.read_text("utf-8"), INPUTS[name]
    head = re.search(rf"model {name}\({x}: (?P<type>\S+\[[^]]*\])\) -> \((?P<y>\w+)[^)]*(?P<end>\))", text)
    assert head is not None
    before, after = text[: head.start("end")], text[head.end() :]
    after = re.sub(r"    limit macs .*\n", "", after)  # it counts what computes the gradient
    body, rest = re.split(r"(?m)^(?=})", after, maxsplit=1)
    body = re.sub(r"\n    return ([^#]*?)\n?$", rf"\n    {head['y']} = \1\n", re.sub(r" +#.*", "", body))
    slope = f"    return {head['y']}, gradient(sum(max({head['y']}, axis=1)), {x})\n"
    return f"{before}, slope: {head['type']}){body}{slope}{rest}"


@pytest.mark.parametrize("name", INPUTS)
def test_equal_to_pytorch(name: str) -> None:
    example = EXAMPLE[name]
    torch.manual_seed(0)
    twin = example.twin().eval()
    shake(twin)
    session = compiled(with_gradient(name), module_weights(twin), example.model_name).session()
    [array] = example.draw(example.sizes[0]).values()
    x = torch.from_numpy(array).requires_grad_()
    [expected] = torch.autograd.grad(twin(x).max(1).values.sum(), x)
    got = session(**{INPUTS[name]: array})["slope"]
    assert np.abs(got - expected.numpy()).max() < 1e-4 * np.abs(expected.numpy()).max()
