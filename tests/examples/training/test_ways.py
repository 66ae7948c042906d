"""The programs whose ways of sharing are compared: each variant is compiled, verified and trained for some steps, and
the tables are of the programs as they are."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

import wsdl
from benchmarks.studies import tables
from benchmarks.studies.ways import ROOT, STUDIES
from wsdl.ir.stages import BASE

RNG = np.random.default_rng(0)
Batch = dict[str, NDArray[np.generic]]
CLOTHES: Batch = {"image": RNG.integers(0, 256, (8, 1, 28, 28)).astype(np.uint8), "label": np.arange(8)}
BATCHES: dict[str, Batch] = {
    "clothes": CLOTHES,
    "routing": CLOTHES,
    "words": {
        "letters": RNG.integers(0, 27, (8, 16)),
        "count": np.arange(8),
        "place": np.arange(8) // 2,
        "sound": np.arange(8) * 4,
    },
    "shakespeare": {"text": RNG.integers(32, 127, (8, 33)).astype(np.uint8)},
}


MEASURED = {study: tables.rows(ways.page, f"study-{study}") for study, ways in STUDIES.items()}


def path_of(study: str) -> Path:
    return ROOT / "examples" / "training" / f"{STUDIES[study].program}.wsd"


@pytest.mark.parametrize("study", STUDIES)
def test_all_variants_are_measured(study: str) -> None:
    assert [*MEASURED[study]] == [BASE, *wsdl.compile(path_of(study)).variants]


@pytest.mark.parametrize(("study", "name"), [(study, name) for study, rows in MEASURED.items() for name in rows])
def test_a_variant(study: str, name: str, tmp_path: Path) -> None:
    """It learns from eight rows, stores what its row says, and its file has each stored tensor once."""
    program = wsdl.compile(path_of(study), variant=name)
    trainer = program.trainer(batch=8, threads=1)
    trainer.total_steps = 100
    losses = [trainer.step(BATCHES[study]) for _ in range(8)]
    assert losses[-1] < losses[0]
    program.save(tmp_path, proof=True)
    assert {finding.code for finding in program.diagnostics} <= {"W0704"}  # convolutions in ONNX Runtime's own layout
    assert MEASURED[study][name][0] == f"{program.inventory.sizes(*program.models).parameters:,}"
