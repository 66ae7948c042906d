"""Which of several trainings makes a step: a function of the program, the seed and the number of the step."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping
from functools import lru_cache
from itertools import accumulate, count

import numpy as np

from wsdl.ir.training import Turns

BLOCK = 1024  # draws that are made at once
MIX = 0x6D6978  # keeps the draws apart from the order of rows


def training_of_step(turns: Turns, seed: int, number: int) -> str:
    """The name of the training of a step, counted from 0."""
    names, ends = list(turns.counts), list(accumulate(turns.counts.values()))
    at = number % ends[-1] if turns.kind == "turns" else ends[-1] * _draws(seed, number // BLOCK)[number % BLOCK]
    return names[min(bisect_right(ends, at), len(names) - 1)]


@lru_cache(maxsize=4)
def _draws(seed: int, block: int) -> tuple[float, ...]:
    """Numbers from 0 to 1, in this block of steps."""
    return tuple(np.random.Generator(np.random.Philox(key=[seed ^ MIX, block])).random(BLOCK).tolist())


def steps_until(turns: Turns, seed: int, first: str, steps: int) -> Mapping[str, int]:
    """How many steps each training makes, until it would be the turn of `first` again after so many `steps` of it."""
    made = dict.fromkeys(turns.counts, 0)
    for number in count():
        name = training_of_step(turns, seed, number)
        if name == first and made[first] == steps:
            break
        made[name] += 1
    return made
