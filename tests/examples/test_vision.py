"""The examples in `examples/vision/`, with weights from files, compute what the same networks in PyTorch compute."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import wsdl
from references.vision.catalogue import FOLDER, NETWORKS, Network
from references.vision.networks import random_statistics
from references.weights import module_weights
from tests.golden import Golden
from tests.stages import storage_of
from wsdl.diagnostics.span import Source
from wsdl.ir.inventory import inventory
from wsdl.syntax.read import read

README = FOLDER / "README.md"


@pytest.mark.parametrize("network", NETWORKS, ids=lambda network: network.name)
def test_equal_to_pytorch(network: Network, tmp_path: Path) -> None:
    """Images of two sizes, one of which no stride divides."""
    twin = network.twin()
    program = network.program(tmp_path, twin)
    assert not program.drawn
    session = program.session()
    for shape in ((1, 3, 64, 64), (2, 3, 37, 70)):
        assert_equal(twin, session, shape)


def assert_equal(
    twin: nn.Module, session: wsdl.Session, shape: tuple[int, ...], read: Callable[[Any], torch.Tensor] = lambda y: y
) -> None:
    image = np.random.default_rng(0).standard_normal(shape).astype(np.float32)
    with torch.no_grad():
        expected = read(twin(torch.from_numpy(image))).numpy()
    difference = np.abs(session(image=image)["logits"] - expected).max() / np.abs(expected).max()
    assert difference < 1e-4, f"differs by {difference:.1e} of the largest"


def test_mobilenetv2_as_trained_in_tensorflow() -> None:
    """`MobileNetV2ForImageClassification` of `transformers`: padding to the same size, another `eps`."""
    from transformers import MobileNetV2Config, MobileNetV2ForImageClassification

    torch.manual_seed(0)
    options: dict[str, Any] = {"num_labels": 1000}
    twin = MobileNetV2ForImageClassification(MobileNetV2Config(**options)).eval()
    random_statistics(twin)
    text = (FOLDER / "mobilenetv2.wsd").read_text("utf-8").partition("\nload")[0]
    for ours, theirs in (
        ("InvertedResidual(channels, s, expand)", 'InvertedResidual(channels, s, expand, pad="same", eps=1e-3)'),
        ("stride=2, pad=1", 'stride=2, pad="same"'),
        ("BatchNorm()", "BatchNorm(eps=1e-3)"),
    ):
        assert ours in text
        text = text.replace(ours, theirs)
    weights = {name_of(name): array for name, array in module_weights(twin).items()}
    session = wsdl.compile(Source("mobilenetv2.wsd", text), weights=weights).session()
    for shape in ((1, 3, 64, 64), (2, 3, 37, 70)):
        assert_equal(twin, session, shape, lambda results: results.logits)


def name_of(theirs: str) -> str:
    """`mobilenet_v2.layer.0.expand_1x1.convolution.weight` is `blocks.1.blocks.0.conv_pw.weight`."""
    *path, what, part = theirs.removeprefix("mobilenet_v2.").split(".")
    of_norm = what == "normalization"
    if path in ([], ["conv_1x1"], ["conv_stem", "first_conv"]):
        outside = {"conv_1x1": ("conv_head", "bn2"), "first_conv": ("conv_stem", "bn1")}
        return f"{outside[path[-1]][of_norm] if path else what}.{part}"
    if path[0] == "conv_stem":
        block, layers = "0.blocks.0", {"conv_3x3": ("conv_dw", "bn1"), "reduce_1x1": ("conv_pw", "bn2")}
    else:
        places = [f"{stage}.blocks.{i}" for stage, count in enumerate([2, 3, 4, 3, 3, 1], 1) for i in range(count)]
        block = places[int(path[1])]
        layers = {"expand_1x1": ("conv_pw", "bn1"), "conv_3x3": ("conv_dw", "bn2"), "reduce_1x1": ("conv_pwl", "bn3")}
    return f"blocks.{block}.{layers[path[-1]][of_norm]}.{part}"


def test_table(golden: Golden) -> None:
    """The parameters and the lines of each example on the page of the folder."""
    page = README.read_text("utf-8")
    for network in NETWORKS:
        source = read(str(network.path))
        assert source is not None
        lines = sum(bool(line.partition("#")[0].strip()) for line in source.text.splitlines())
        learned = inventory(storage_of(source)).sizes().parameters
        row = re.compile(rf"^(\| \[`{network.name}\.wsd`\].*?\|.*?\|)[^|]*\|[^|]*\|", re.MULTILINE)
        assert row.search(page), f"{network.name} is not on the page"
        page = row.sub(rf"\g<1> {learned:,} | {lines} |", page)
    golden(README, page)


def test_every_example_is_compared() -> None:
    assert {path.stem for path in FOLDER.glob("*.wsd")} == {network.name for network in NETWORKS}
