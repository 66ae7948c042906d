"""Momentum encoders, a target network, a queue and a codebook of moving averages, against PyTorch: 20 steps."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.random import Generator
from numpy.typing import NDArray

import wsdl
from benchmarks.byol import load, probe, trained
from references.updates import TWINS
from wsdl.runtime.checkpoint import read_checkpoint

FOLDER = Path(__file__).parents[2] / "examples" / "updates"
STEPS, ROWS = 20, 16
MODELS = {"byol": "byol", "moco": "moco", "dqn": "q", "vqvae": "vqvae"}


def batch_of(name: str, random: Generator) -> dict[str, NDArray[Any]]:
    def floats(*shape: int) -> NDArray[Any]:
        return random.normal(size=shape).astype("f4")

    if name == "byol":
        return {side: random.integers(0, 256, (ROWS, 1, 28, 28), dtype=np.uint8) for side in ("left", "right")}
    if name == "moco":
        query = floats(ROWS, 64)
        return {"query": query, "key": query + 0.3 * floats(ROWS, 64)}
    if name == "dqn":
        places = {side: random.integers(0, 25, ROWS) for side in ("place", "following")}
        numbers = {"reward": floats(ROWS), "goes_on": random.integers(0, 2, ROWS).astype("f4")}
        return {**places, **numbers, "move": random.integers(0, 4, ROWS)}
    return {"image": floats(ROWS, 64)}


def batches(name: str) -> Iterator[dict[str, NDArray[Any]]]:
    random = np.random.default_rng(0)
    return (batch_of(name, random) for _ in range(STEPS))


def trainer(name: str) -> Any:
    ours = wsdl.compile(FOLDER / f"{name}.wsd").trainer(MODELS[name], batch=ROWS)
    ours.total_steps = 2 * STEPS + 50
    return ours


@pytest.mark.parametrize("name", TWINS)
def test_twenty_steps_are_those_of_pytorch(name: str) -> None:
    ours = trainer(name)
    start = {
        key: array for key, array in ours.checkpoint().arrays.items() if not key.startswith(("optimizer/", "step"))
    }
    twin = TWINS[name](start, 2 * STEPS + 50)
    moved = False
    for batch in batches(name):
        assert ours.step(batch) == pytest.approx(twin.step(batch), abs=1e-4)
    end = ours.checkpoint().arrays
    for key, tensor in twin.w.items():
        if name == "byol" and key.startswith("target.") and "running" in key:
            assert np.array_equal(end[key], start[key]), key
        else:
            np.testing.assert_allclose(end[key], tensor.detach().numpy(), atol=1e-4, err_msg=key)
            moved |= "target" in key and not np.array_equal(end[key], start[key])
    assert moved or name == "vqvae"


@pytest.mark.parametrize("name", TWINS)
def test_a_run_resumes_bit_for_bit(name: str, tmp_path: Path) -> None:
    first, second = trainer(name), trainer(name)
    for number, batch in enumerate(batches(name)):
        if number == 7:
            first.save(tmp_path)
            second.restore(read_checkpoint(tmp_path / "last.safetensors"))
        if number < 12:
            first.step(batch)
        if 7 <= number < 12:
            second.step(batch)
    ends = [each.checkpoint().arrays for each in (first, second)]
    assert all(np.array_equal(array, ends[1][key]) for key, array in ends[0].items())


def test_features_without_labels_are_better_than_random_ones() -> None:
    train, test = load(1000, 1000)
    random, learned = (probe(trained("byol", train, epochs, seed=0), train, test) for epochs in (0, 4))
    assert learned > random + 0.03
