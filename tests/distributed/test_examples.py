"""200 steps of the examples that learn, by 1, 2 and 3 workers: `make distributed`."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import wsdl
from wsdl.distributed import Communicator, in_threads
from wsdl.ir.dtypes import numpy_dtype

EXAMPLES = Path(__file__).parents[2] / "examples/training"
STEPS, ROWS = 200, 22  # of which three workers have 7, 7 and 8
BEGINNING = 100  # later a number may have fallen on the other side of a kink, by the rounding of this machine

pytestmark = pytest.mark.skipif(os.environ.get("WSDL_WORKERS") != "all", reason="minutes: `make distributed`")


@dataclass(frozen=True)
class Example:
    """A training of an example; `inputs` are shapes without rows, and how many numbers there are, or none of floats.
    Where it has `BatchNorm`s, a batch in parts is another one than the whole."""

    file: str
    training: str
    inputs: dict[str, tuple[tuple[int, ...], int | None]]
    normalized: bool = False

    def batches(self) -> Iterator[dict[str, Any]]:
        types = wsdl.compile(EXAMPLES / self.file).trainer(self.training).batch_types
        for step in range(STEPS):
            rng = np.random.default_rng(step % 9)  # so that there is something to learn
            yield {
                name: _drawn(rng, (ROWS, *shape), count).astype(numpy_dtype(types[name].dtype))
                for name, (shape, count) in self.inputs.items()
            }


def _drawn(rng: np.random.Generator, shape: tuple[int, ...], count: int | None) -> Any:
    return rng.normal(size=shape) if count is None else rng.integers(0, count, shape)


TABLE = [
    Example("digits.wsd", "digits", {"image": ((1, 8, 8), 17), "label": ((), 10)}),
    Example("shakespeare.wsd", "shared", {"text": ((24,), 128)}),
    Example("words.wsd", "together", {"letters": ((12,), 27), "count": ((), 8), "place": ((), 8), "sound": ((), 39)}),
    Example(
        "detector.wsd",
        "shared",
        {"image": ((1, 64, 64), 256), "label": ((336,), 11), "box": ((336, 4), None)},
        normalized=True,
    ),
]


@pytest.mark.parametrize("example", TABLE, ids=lambda example: example.file)
def test_the_curve_of_one_process(example: Example) -> None:
    program, batches = wsdl.compile(EXAMPLES / example.file), list(example.batches())

    def work(own: Communicator, accumulate: int = 1) -> tuple[list[float], dict[str, Any]]:
        trainer = program.trainer(example.training, workers=own, threads=1, accumulate=accumulate)
        trainer.total_steps = STEPS
        rows = slice(ROWS * own.rank // own.size, ROWS * (own.rank + 1) // own.size)
        losses = [trainer.step({name: array[rows] for name, array in batch.items()}) for batch in batches]
        return losses, dict(trainer.state)

    alone = {n: in_threads(1, partial(work, accumulate=n))[0][0] for n in (1, 2, 3)}
    for workers in (2, 3):
        (losses, state), *others = in_threads(workers, work)
        np.testing.assert_allclose(losses, alone[workers], rtol=0, atol=1e-5)
        if not example.normalized:
            np.testing.assert_allclose(losses[:BEGINNING], alone[1][:BEGINNING], rtol=0, atol=1e-5)
        for other, other_state in others:
            assert other == losses
            for name, array in state.items():
                np.testing.assert_array_equal(other_state[name], array)
