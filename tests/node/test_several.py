"""Trainings that take turns, in Node and in Chromium: one state, a step file for each, losses as of the trainers.

The program is the GAN of the docs: random numbers and second derivatives are computed there too.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

import wsdl
from tests.node.serving import serving
from tests.node.test_training import ROOT, chromium, needs_chromium, needs_node, run

PROGRAM = ROOT / "examples" / "trainings" / "gan.wsd"
STEPS, ROWS = 12, 16


@pytest.fixture(scope="module")
def compiled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("several")
    wsdl.compile(PROGRAM).save(folder / "gan", train=True)
    save_file({"image": images()}, folder / "gan" / "batches.safetensors")
    return folder


def images() -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    return np.random.default_rng(0).integers(0, 17, (STEPS, ROWS, 1, 8, 8)).astype(np.uint8)


@pytest.fixture(scope="module")
def losses() -> list[float]:
    trainers = wsdl.compile(PROGRAM).trainers()
    return [trainers[trainers.turn or ""].step({"image": batch}) for batch in images()]


class TestInNode:
    pytestmark = needs_node

    def test_the_losses_are_those_of_the_trainers(self, compiled: Path, losses: list[float]) -> None:
        assert run("train.mjs", compiled, "gan")["gan"] == pytest.approx(losses, rel=1e-4, abs=1e-5)


class TestInChromium:
    pytestmark = needs_chromium

    def test_the_losses_are_those_of_the_trainers(self, compiled: Path, losses: list[float]) -> None:
        with serving({"/": ROOT, "/compiled/": compiled}) as address:
            found = run(
                "train_in_chromium.mjs", chromium, f"{address}/tests/node/train.html?compiled=/compiled/&models=gan"
            )
        assert found["gan"] == pytest.approx(losses, rel=1e-4, abs=1e-5)
