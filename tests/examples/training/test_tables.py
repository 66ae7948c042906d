"""What the pages say was measured is as good as it has to be, and of the programs as they are."""

from __future__ import annotations

import pytest

from benchmarks.examples import pages
from benchmarks.examples.rows import sizes
from references.training.catalogue import TRAININGS, Example


def measured(example: Example) -> dict[str, float]:
    """The row of a training on its page."""
    rows = pages.read(example.page)
    if not rows:
        pytest.skip("not measured yet: `make train-examples` does it")
    stored, unshared, *_, measure, ours, theirs = rows[example.name]
    assert measure == example.measure.name
    numbers = {"stored": stored, "unshared": unshared, "ours": ours, "theirs": theirs}
    return {name: float(text.replace(",", "")) for name, text in numbers.items()}


def named(name: str) -> dict[str, float]:
    return measured(next(example for example in TRAININGS if example.name == name))


@pytest.mark.parametrize("example", [pytest.param(e, id=e.name) for e in TRAININGS])
def test_a_row(example: Example) -> None:
    row = measured(example)
    assert (row["stored"], row["unshared"]) == sizes(example)
    assert example.measure.is_reached(row["ours"], example.measure.required)
    assert row["ours"] == pytest.approx(row["theirs"], rel=0.1)  # trained alike, they end alike


@pytest.mark.parametrize("name", ["autoencoder", "conv_autoencoder"])
def test_half_the_weights_restore_as_well(name: str) -> None:
    free, tied = named(f"{name}-free"), named(f"{name}-tied")
    assert tied["stored"] < 0.52 * free["stored"]
    assert tied["ours"] <= 1.05 * free["ours"]


def test_one_head_finds_as_much_as_three() -> None:
    separate, shared = named("detector-separate"), named("detector-shared")
    assert shared["stored"] < separate["stored"]
    assert shared["ours"] >= separate["ours"]
