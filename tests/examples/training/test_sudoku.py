"""The recursive reasoner learns from a few puzzles, and has the parameters of two layers for any number of rounds."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.sudoku import PROGRAM, program
from examples.fetch import sudoku


def test_two_layers_learn_by_being_applied_many_times() -> None:
    rng = np.random.default_rng(0)
    puzzles = sudoku.dug([sudoku.solved(4, rng) for _ in range(16)], 8, rng)
    compiled = program("sudoku", 4)
    trainer = compiled.trainer("sudoku", batch=16, threads=1)
    trainer.total_steps = 40
    losses = [trainer.step(puzzles) for _ in range(40)]
    assert losses[-1] < 0.6 * losses[0]
    session = compiled.session("solve", weights=trainer.weights)
    for rounds in (0, 1, 9):
        numbers = session(puzzle=puzzles["puzzle"], rounds=np.int64(rounds))["numbers"]
        assert numbers.shape == (rounds, 16, 16)
    last = session(puzzle=puzzles["puzzle"], rounds=np.int64(4))["numbers"][-1]
    assert trainer.evaluate(puzzles)["solved"] == pytest.approx((last == puzzles["solution"]).all(axis=1).mean())


def test_a_carried_state_is_that_of_the_rounds_before() -> None:
    """A network that is trained round by round solves as many rounds in one graph."""
    compiled = program("carried", 4)
    puzzle = np.random.default_rng(0).integers(0, 5, (2, 16)).astype("u1")
    once, solve = compiled.session("carried"), compiled.session("solve")
    state = {name: np.zeros((2, 16, 36), "f4") for name in "yz"}
    for _ in range(3):
        found = once(puzzle=puzzle, **state)
        state = {name: found[f"next_{name}"] for name in "yz"}
    numbers = solve(puzzle=puzzle, rounds=np.int64(3))["numbers"]
    assert np.array_equal(numbers[-1], found["logits"][0].argmax(axis=2) + 1)


def test_its_size() -> None:
    assert len(PROGRAM.read_text("utf-8").splitlines()) <= 40
    assert program("sudoku", 6).inventory.sizes("sudoku").parameters < 25_000
