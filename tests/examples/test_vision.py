"""The examples in `examples/vision/`, with weights from files, compute what the same networks in PyTorch compute."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
import torch

from references.vision.catalogue import FOLDER, NETWORKS, Network
from tests.golden import Golden
from tests.stages import storage_of
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
        image = np.random.default_rng(0).standard_normal(shape).astype(np.float32)
        with torch.no_grad():
            expected = twin(torch.from_numpy(image)).numpy()
        difference = np.abs(session(image=image)["logits"] - expected).max() / np.abs(expected).max()
        assert difference < 1e-4, f"differs by {difference:.1e} of the largest"


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
