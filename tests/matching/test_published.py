"""`wsdl match` proposes what people have written: the tables of the examples, by the values that they load."""

from __future__ import annotations

from pathlib import Path

import pytest

from references.examples.catalogue import FOLDER
from references.matching import Measured, measured
from references.published import PUBLISHED, Published
from references.vision.catalogue import NETWORKS, Network
from wsdl.diagnostics.span import Source

FLOOR = 0.95  # of the parameters that a table fills
MINILM = FOLDER / "data" / "minilm" / "model.safetensors"


def require_right(found: Measured) -> None:
    assert found.share >= FLOOR, found
    assert not found.wrong["certain"], found


@pytest.mark.parametrize("published", PUBLISHED, ids=lambda published: published.name)
def test_published(published: Published, tmp_path: Path) -> None:
    require_right(measured(published.source(tmp_path, published.twin())))


@pytest.mark.parametrize("network", NETWORKS, ids=lambda network: network.name)
def test_vision(network: Network, tmp_path: Path) -> None:
    path = network.saved(tmp_path, network.twin())
    require_right(measured(Source(str(path), path.read_text("utf-8"))))


@pytest.mark.skipif(not MINILM.exists(), reason="the weights are not here: `make data` fetches them")
def test_minilm(tmp_path: Path) -> None:
    (tmp_path / "data").symlink_to(FOLDER / "data")
    found = measured(Source(str(tmp_path / "minilm.wsd"), (FOLDER / "minilm.wsd").read_text("utf-8")))
    require_right(found)
    assert found.share == 1
