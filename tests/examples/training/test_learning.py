"""Every example learns: as its twin in PyTorch does, step by step, from the same initial weights, with the same batches
and losses; and something in seconds, from a small part of its data, with a result that no guess reaches."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from itertools import chain, count, islice
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import wsdl
from references.training.catalogue import TRAININGS, Example, Short, arrays
from references.training.loading import load_into
from wsdl.runtime.batches import Batches
from wsdl.runtime.fit import fit
from wsdl.runtime.plan import Plan
from wsdl.runtime.trainer import Trainer

STEPS = 50
ROWS = 4  # batches as small as these are as good here, and soonest done
TOTAL = 500
TESTED = slice(0, 1000, 3)  # rows


@lru_cache(maxsize=1)
def compiled(path: Path) -> wsdl.Program:
    """The program of one or two examples in a row."""
    return wsdl.compile(path)


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
def test_learning(example: Example) -> None:
    for path in (example.train, example.judged_by):
        if not path.exists():
            pytest.skip(f"the data of {example.data} is not here: `make data` fetches it")
    program = compiled(example.path)
    the_losses_of_50_steps(example, program)
    if example.short:
        a_short_training(example, program, example.short)


def the_losses_of_50_steps(example: Example, program: wsdl.Program) -> None:
    trainer = program.trainer(example.model, batch=ROWS, seed=0, threads=1)
    trainer.total_steps = TOTAL
    twin = example.twin()
    load_into(twin, program, example.model)
    batches = batches_of(example, trainer)
    expected = theirs(example, twin, batches)
    assert np.mean(expected[-10:]) < 0.98 * np.mean(expected[:5])
    np.testing.assert_allclose([trainer.step(batch) for batch in batches], expected, rtol=1e-3)


def a_short_training(example: Example, program: wsdl.Program, short: Short) -> None:
    trainer = program.trainer(example.model, batch=short.batch, seed=0, threads=1)
    data = arrays(example.train, short.rows)
    test = {name: array[TESTED] for name, array in arrays(example.judged_by).items()}
    fit(trainer, {name: data[name] for name in trainer.batch_types}, Plan(short.epochs))
    model = program.session(example.model, weights=trainer.weights)
    outputs = model(**{name: test[name] for name in program.models[example.model].inputs})
    result = example.measure.of(outputs, test)
    print(f"{example.measure.name} {result:.4f}")
    assert example.measure.is_reached(result, short.required)
