"""Every example learns as its twin in PyTorch does, step by step: same initial weights, same batches, same losses."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain, count, islice
from typing import Any

import numpy as np
import pytest
import torch

import wsdl
from references.training.catalogue import TRAININGS, Example, arrays
from references.training.loading import load_into
from wsdl.runtime.batches import Batches
from wsdl.runtime.trainer import Trainer

STEPS = 50
ROWS = 4  # batches as small as these are as good here, and soonest done
TOTAL = 500


def batches_of(example: Example, trainer: Trainer) -> list[dict[str, np.ndarray]]:
    data = arrays(example.train, STEPS * ROWS)
    wanted = {name: data[name] for name in trainer.batch_types}
    epochs = map(Batches(wanted, ROWS, seed=0).epoch, count())  # more than one where there are fewer rows
    return list(islice(chain.from_iterable(epochs), STEPS))


def theirs(example: Example, twin: Any, batches: list[dict[str, np.ndarray]]) -> list[float]:
    optimizer, schedule = example.recipe.optimizer(twin, TOTAL)
    losses = []
    for batch in batches:
        loss = twin.loss(**{name: torch.from_numpy(array) for name, array in batch.items()})
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
        losses.append(loss.item())
    return losses


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """As `make test` has a process for each core."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.mark.parametrize("example", [pytest.param(e, id=e.name) for e in TRAININGS])
def test_the_losses_of_50_steps(example: Example) -> None:
    if not example.train.exists():
        pytest.skip(f"the data of {example.data} is not here: `make data` fetches it")
    program = wsdl.compile(example.path)
    trainer = program.trainer(example.model, batch=ROWS, seed=0, threads=1)
    trainer.total_steps = TOTAL
    twin = example.twin()
    load_into(twin, program, example.model)
    batches = batches_of(example, trainer)
    expected = theirs(example, twin, batches)
    assert np.mean(expected[-10:]) < 0.98 * np.mean(expected[:5])
    np.testing.assert_allclose([trainer.step(batch) for batch in batches], expected, rtol=1e-3)
