"""The assignment has the largest total: as by trying all of them."""

from __future__ import annotations

from itertools import permutations

import numpy as np
import pytest

from tests.together import together
from wsdl.matching.assignment import assignment


@together("seed", range(40), by=lambda seed: f"{seed // 10}x")
def test_the_largest_total(seed: int) -> None:
    rng = np.random.default_rng(seed)
    rows, columns = (int(size) for size in rng.integers(1, 6, 2))
    present = rng.random((rows, columns)) < rng.choice([0.4, 0.8, 1.0])
    scores = {(int(i), int(j)): float(rng.random()) + 0.01 for i, j in np.argwhere(present)}
    chosen = assignment(scores)
    assert len({*chosen.values()}) == len(chosen)
    assert {*chosen.items()} <= scores.keys()
    padded = [*range(columns), *([None] * rows)]
    best = max(sum(scores.get((i, j), 0.0) for i, j in enumerate(p) if j is not None)
               for p in {*permutations(padded, rows)})  # fmt: skip
    assert sum(scores[pair] for pair in chosen.items()) == pytest.approx(best)


def test_a_long_chain_is_fast_and_the_same_each_time() -> None:
    scores = {(i, j): 1 - abs(i - j) / 150 for i in range(150) for j in range(150)}
    assert assignment(scores) == {i: i for i in range(150)}
