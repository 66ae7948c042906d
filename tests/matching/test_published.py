"""`wsdl match` proposes what people have written: the tables of the examples, by the values that they load."""

from __future__ import annotations

from pathlib import Path

import pytest

from references.examples.catalogue import FOLDER
from references.matching import Measured, measured
from references.published import PUBLISHED, Published
from wsdl.diagnostics.span import Source

FLOOR = 0.95  # of the parameters that a table fills
MINILM = FOLDER / "data" / "minilm" / "model.safetensors"


def require_right(found: Measured) -> None:
    assert found.share >= FLOOR, found
    assert not found.wrong["certain"], found


@pytest.mark.parametrize("published", PUBLISHED, ids=lambda published: published.name)
def test_published(published: Published, tmp_path: Path) -> None:
    require_right(measured(published.source(tmp_path, published.twin())))


@pytest.mark.skipif(not MINILM.exists(), reason="the weights are not here: `make data` fetches them")
def test_minilm(tmp_path: Path) -> None:
    (tmp_path / "data").symlink_to(FOLDER / "data")
    found = measured(Source(str(tmp_path / "minilm.wsd"), (FOLDER / "minilm.wsd").read_text("utf-8")))
    require_right(found)
    assert found.share == 1
