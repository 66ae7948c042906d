"""What is measured of one training: a row of the table on its page."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import torch

import wsdl
from benchmarks.examples import sides
from benchmarks.timing import quartiles
from references.training.catalogue import Example, arrays
from wsdl.runtime.batches import Batches

SECONDS = 6  # for the times of a step
BATCHES = 4  # which they go through


@dataclass(frozen=True)
class Row:
    """Numbers stored with and without sharing, milliseconds of a step with one thread, and results: ours, theirs."""

    example: Example
    stored: int
    unshared: int
    steps: tuple[float, float]
    results: tuple[float, float]
    seconds: tuple[float, float]  # that the trainings took


def measure(example: Example) -> Row:
    steps = times_of_a_step(example)
    test = arrays(example.judged_by)
    with tempfile.TemporaryDirectory() as folder:
        weights, ours = _timed(lambda: sides.train_ours(example, Path(folder, "run")))
        outputs = sides.outputs_of_ours(example, weights, test)
    twin, theirs = _timed(lambda: sides.train_theirs(example))
    results = (
        example.measure.of(outputs, test),
        example.measure.of(sides.outputs_of_theirs(example, twin, test), test),
    )
    return Row(example, *sizes(example), steps, results, (ours, theirs))


def sizes(example: Example) -> tuple[int, int]:
    """Numbers that the model stores, and that it would store if each use had its own."""
    sizes = wsdl.compile(example.path).inventory.sizes(example.model)
    return sizes.parameters, sizes.parameters_without_sharing


def _timed(train: Callable[[], Any]) -> tuple[Any, float]:
    start = time.perf_counter()
    return train(), time.perf_counter() - start


def times_of_a_step(example: Example) -> tuple[float, float]:
    """Milliseconds of the processor, one thread each, taken by turns."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    trainer = wsdl.compile(example.path).trainer(example.model, batch=example.batch, threads=1)
    trainer.total_steps = 1_000_000
    data = sides.targets_and_inputs(example, example.train)
    batches: list[Mapping[str, Any]] = list(islice(Batches(data, example.batch).epoch(0), BATCHES))
    step = sides.torch_step(example, sides.new_twin(example), 1_000_000)
    found = quartiles({"ours": trainer.step, "theirs": step}, batches, 1, SECONDS)
    torch.set_num_threads(threads)
    return 1000 * found["ours"], 1000 * found["theirs"]
