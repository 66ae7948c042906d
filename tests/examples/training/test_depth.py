"""Networks that apply one layer many times learn as their twins in PyTorch do, step by step."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import wsdl
from references.training.depth import Digits
from references.training.loading import load_into
from references.training.recipe import Cosine
from references.training.sudoku import Sudoku

FOLDER = Path(__file__).parents[3] / "examples" / "training"
STEPS, ROWS, TOTAL = 20, 4, 100


def digits(rng: np.random.Generator) -> dict[str, Any]:
    image = rng.integers(0, 17, (ROWS, 1, 8, 8), dtype=np.uint8)
    return {"image": image, "depths": rng.integers(1, 7, ROWS), "label": rng.integers(0, 10, ROWS)}


def sudokus(rng: np.random.Generator) -> dict[str, Any]:
    puzzle, solution = (rng.integers(low, 7, (ROWS, 36), dtype=np.uint8) for low in (0, 1))
    return {"puzzle": puzzle, "solution": solution}


@pytest.mark.parametrize(
    ("program", "model", "make", "batch", "clip"),
    [("depth", "digits", Digits, digits, None), ("sudoku", "sudoku", Sudoku, sudokus, 1.0)],
)
def test_twenty_steps_are_those_of_pytorch(
    program: str, model: str, make: Callable[[], Any], batch: Callable[..., dict[str, Any]], clip: float | None
) -> None:
    compiled = wsdl.compile(FOLDER / f"{program}.wsd")
    trainer = compiled.trainer(model, batch=ROWS, threads=1)
    trainer.total_steps = TOTAL
    twin = make()
    load_into(twin, compiled, model)
    optimizer, schedule = Cosine(2e-3, 50, 0.01).optimizer(twin, TOTAL)
    rng = np.random.default_rng(0)
    for _ in range(STEPS):
        rows = batch(rng)
        loss = twin.loss(**{name: torch.from_numpy(array) for name, array in rows.items()})
        optimizer.zero_grad()
        loss.backward()
        if clip is not None:
            torch.nn.utils.clip_grad_norm_(twin.parameters(), clip)
        optimizer.step()
        schedule.step()
        assert trainer.step(rows) == pytest.approx(loss.item(), rel=1e-4)
