"""The examples in `examples/transformers/`, loaded from files of `transformers`, compute what its classes compute."""

from __future__ import annotations

import re
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import torch

from references.published import FOLDER, PUBLISHED, Published
from tests.golden import Golden
from tests.stages import storage_of
from wsdl.ir.inventory import inventory
from wsdl.syntax.read import read

README = FOLDER / "README.md"


@pytest.mark.parametrize("published", PUBLISHED, ids=lambda published: published.name)
def test_equal_to_transformers(published: Published, tmp_path: Path) -> None:
    twin = published.twin()
    program = published.program(tmp_path, twin)
    assert not program.drawn
    session = program.session(published.name)
    for arrays in published.batches():
        with torch.no_grad():
            expected = published.call(twin, {name: torch.from_numpy(array) for name, array in arrays.items()})
        got = session.run(arrays)
        assert got.keys() == expected.keys()
        for name, theirs in expected.items():
            assert got[name].shape == tuple(theirs.shape), name
            assert np.isfinite(got[name]).all(), name
            rows = slice(None) if published.same_for_padding else arrays["mask"].any(1)
            difference = np.abs(got[name] - theirs.numpy())[rows].max() / np.abs(theirs.numpy()).max()
            assert difference < 1e-4, f"{name} differs by {difference:.1e} of its largest number"


def test_table(golden: Golden) -> None:
    """The parameters and the lines of each example on the page of the folder."""
    page = README.read_text("utf-8")
    found = find_spec("transformers")  # imports nothing
    assert found is not None
    models = Path(str(found.origin)).parent / "models"
    for published in PUBLISHED:
        source = read(str(published.path))
        assert source is not None
        lines = len(source.text.splitlines())
        assert lines <= 100, published.name
        parameters = inventory(storage_of(source)).sizes().parameters
        original = len((models / published.name / f"modeling_{published.name}.py").read_text("utf-8").splitlines())
        row = re.compile(rf"^(\| \[`{published.name}\.wsd`\].*?\|.*?\|)(?:[^|]*\|){{3}}$", re.MULTILINE)
        assert row.search(page), f"{published.name} is not on the page"
        page = row.sub(rf"\g<1> {parameters:,} | {lines} | {original:,} |", page)
    golden(README, page)


def test_every_example_is_compared() -> None:
    assert {path.stem for path in FOLDER.glob("*.wsd")} == {published.name for published in PUBLISHED}
