"""Times of several ways to take the same step, taken by turns in one process, so that what else the machine does hits
all of them.

With one thread the time is that of the process on the processor; with more it is that of the clock.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

BLOCK = 0.06  # seconds that one block takes at least
IDLE = 0.03  # between blocks, so that threads that still wait for work of one contender don't take time from the next


def quartiles(
    contenders: Mapping[str, Callable[[Any], object]], batches: Sequence[Any], threads: int, seconds: float
) -> dict[str, float]:
    """The lower quartile over the blocks of each contender, in seconds for a step."""
    clock = time.process_time if threads == 1 else time.perf_counter
    counts = {name: max(1, round(BLOCK / _one(take, batches, clock))) for name, take in contenders.items()}
    taken: dict[str, list[float]] = {name: [] for name in contenders}
    names = list(contenders)
    end = time.perf_counter() + seconds
    while time.perf_counter() < end or len(taken[names[0]]) < 8:
        for name in names:
            time.sleep(IDLE)
            taken[name].append(_block(contenders[name], batches, counts[name], clock))
        names.append(names.pop(0))
    return {name: float(np.quantile(times, 0.25)) for name, times in taken.items()}


def _one(take: Callable[[Any], object], batches: Sequence[Any], clock: Callable[[], float]) -> float:
    """A warm step."""
    for batch in _cycled(batches, 3):
        take(batch)
    start = clock()
    take(batches[0])
    return max(clock() - start, 1e-6)


def _block(take: Callable[[Any], object], batches: Sequence[Any], count: int, clock: Callable[[], float]) -> float:
    take(batches[-1])  # brings its numbers back into the caches
    start = clock()
    for batch in _cycled(batches, count):
        take(batch)
    return (clock() - start) / count


def _cycled(batches: Sequence[Any], count: int) -> Iterator[Any]:
    return (batches[i % len(batches)] for i in range(count))
