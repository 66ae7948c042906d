"""`wsdl match` proposes what people have written: the tables of the examples, by what they fill with what."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import wsdl
from references.examples.catalogue import FOLDER
from references.matching import Measured, of_network, of_program, of_published
from references.published import PUBLISHED, Published
from references.vision.catalogue import NETWORKS, Network
from wsdl.diagnostics.span import Source

FLOOR = 0.95  # of the parameters that a table fills
MINILM = FOLDER / "data" / "minilm" / "model.safetensors"


def require_right(found: Measured) -> None:
    assert found.share >= FLOOR, found
    assert not found.wrong["certain"], found


@pytest.mark.parametrize("published", PUBLISHED, ids=lambda published: published.name)
def test_transformers(published: Published, tmp_path: Path) -> None:
    require_right(of_published(published, tmp_path))


@pytest.mark.parametrize("network", NETWORKS, ids=lambda network: network.name)
def test_vision(network: Network) -> None:
    require_right(of_network(network))


def test_the_values_that_are_loaded(tmp_path: Path) -> None:
    """Once also by the numbers: GPT-2, whose matrices are turned and taken apart."""
    [published] = [published for published in PUBLISHED if published.name == "gpt2"]
    source = published.source(tmp_path, published.twin())
    head, load, table = source.text.partition("\nload ")
    file = tmp_path / table.split('"')[1]
    path = tmp_path / "bare.wsd"
    path.write_text(head, "utf-8")
    proposed = wsdl.compile(Source(str(path), f"{head}\n{wsdl.match(path, file).text}")).stored
    wanted = wsdl.compile(source).stored
    assert load
    assert proposed.keys() == wanted.keys()
    for name, array in wanted.items():
        np.testing.assert_array_equal(proposed[name], array, err_msg=name)


@pytest.mark.skipif(not MINILM.exists(), reason="the weights are not here: `make data` fetches them")
def test_minilm() -> None:
    found = of_program(Source(str(FOLDER / "minilm.wsd"), (FOLDER / "minilm.wsd").read_text("utf-8")))
    assert found.right == {"certain": found.total}
