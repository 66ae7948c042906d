"""Sudoku of 4 x 4 and 6 x 6 with one solution each, generated from a fixed seed: `make sudoku`.

`puzzle` is u8 [rows, cells], 0 where a cell is empty, and `solution` u8 [rows, cells] with the numbers from 1. Boxes
have 2 rows. `train4` has 4,000 puzzles, `train6` 12,000, `test4` and `test6` 500 each, and no solution of a test is one
of the training. Of 4 x 4 there are 288 solutions, of which one in five is kept for the test; a puzzle gives 5 numbers.
Puzzles of 6 x 6 are 350 that are generated, 50 of them for the test, and those that follow from them: with other
numbers, and with rows and columns in another order. Those of the test give 11 numbers, those of the training 11 to 24,
so that a network can begin with easy ones.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from examples.fetch import Arrays, save

Grid = NDArray[np.uint8]


def main() -> None:
    rng = np.random.default_rng(0)
    grids = [np.array(grid, np.uint8) for grid in solutions([0] * 16)]
    kept = rng.permutation(len(grids)) % 5 == 0
    of_test, of_training = ([g for g, k in zip(grids, kept, strict=True) if k == part] for part in (True, False))
    small = {
        "train4": dug([of_training[i % len(of_training)] for i in range(4000)], 5, rng),
        "test4": dug([of_test[i % len(of_test)] for i in range(500)], 5, rng),
    }
    few = dug([solved(6, rng) for _ in range(350)], 11, rng)
    large = {"test6": moved(few, range(300, 350), 10, rng), "train6": moved(few, range(300), 40, rng)}
    seen = {row.tobytes() for row in large["test6"]["solution"]}
    new = np.array([row.tobytes() not in seen for row in large["train6"]["solution"]])
    large["train6"] = eased({name: array[new] for name, array in large["train6"].items()}, 12, rng)
    save("sudoku", **small, **large)


def neighbors(size: int) -> list[list[int]]:
    """For each cell those that it must differ from: of its row, its column and its box."""
    width = size // 2
    places = [(cell // size, cell % size) for cell in range(size * size)]

    def meet(a: tuple[int, int], b: tuple[int, int]) -> bool:
        return a[0] == b[0] or a[1] == b[1] or (a[0] // 2, a[1] // width) == (b[0] // 2, b[1] // width)

    return [[j for j, b in enumerate(places) if j != i and meet(a, b)] for i, a in enumerate(places)]


NEIGHBORS = {size: neighbors(size) for size in (4, 6)}


def solutions(grid: list[int], rng: np.random.Generator | None = None) -> Iterator[list[int]]:
    """All solutions of a puzzle, in a random order with `rng`; the cell with the fewest numbers is tried first."""
    size = round(len(grid) ** 0.5)
    best: tuple[int, list[int]] | None = None
    for cell, number in enumerate(grid):
        if number == 0:
            taken = {grid[other] for other in NEIGHBORS[size][cell]}
            free = [n for n in range(1, size + 1) if n not in taken]
            if best is None or len(free) < len(best[1]):
                best = cell, free
    if best is None:
        yield grid
        return
    cell, free = best
    for number in free if rng is None else rng.permutation(free).tolist():
        yield from solutions([*grid[:cell], number, *grid[cell + 1 :]], rng)


def solved(size: int, rng: np.random.Generator) -> Grid:
    return np.array(next(solutions([0] * size**2, rng)), np.uint8)


def dug(grids: list[Grid], clues: int, rng: np.random.Generator) -> Arrays:
    """A puzzle of each grid: cells are emptied in a random order while there is one solution, down to some `clues`."""
    puzzles = []
    for grid in grids:
        puzzle = grid.tolist()
        for cell in rng.permutation(len(puzzle)).tolist():
            number, puzzle[cell] = puzzle[cell], 0
            found = solutions(puzzle)
            next(found)
            if next(found, None) is not None:
                puzzle[cell] = number
            if np.count_nonzero(puzzle) <= clues:
                break
        puzzles.append(np.array(puzzle, np.uint8))
    return {"puzzle": np.stack(puzzles), "solution": np.stack(grids)}


def moved(puzzles: Arrays, rows: range, copies: int, rng: np.random.Generator) -> Arrays:
    """Each of some puzzles in as many copies, with other numbers, and rows and columns in an order that keeps boxes."""
    found: dict[str, list[Grid]] = {name: [] for name in puzzles}
    for row in [row for row in rows for _ in range(copies)]:
        numbers = np.append(0, 1 + rng.permutation(6)).astype(np.uint8)
        order = [order_of(3, 2, rng), order_of(2, 3, rng)]
        for name, arrays in puzzles.items():
            found[name].append(numbers[arrays[row].reshape(6, 6)[np.ix_(*order)]].ravel())
    return {name: np.stack(grids) for name, grids in found.items()}


def eased(puzzles: Arrays, most: int, rng: np.random.Generator) -> Arrays:
    """Puzzles which give some more numbers of their solutions: from none to `most`, equally often."""
    order = np.where(puzzles["puzzle"] == 0, rng.random(puzzles["puzzle"].shape), 2).argsort(axis=1).argsort(axis=1)
    given = order < rng.integers(0, most + 1, (len(order), 1))
    return {**puzzles, "puzzle": np.where(given, puzzles["solution"], puzzles["puzzle"])}


def order_of(groups: int, size: int, rng: np.random.Generator) -> list[int]:
    """Groups of neighboring lines in a random order, and so the lines in each of them."""
    return [int(g * size + i) for g in rng.permutation(groups) for i in rng.permutation(size)]


if __name__ == "__main__":
    main()
