"""Workers that are threads of one process: to try a training by several workers, and for tests."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import reduce
from threading import Barrier, BrokenBarrierError
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from wsdl.distributed.communicator import Communicator

Array = NDArray[Any]
T = TypeVar("T")


def in_threads(workers: int, work: Callable[[Communicator], T]) -> list[T]:
    """Call `work` in as many threads as there are workers, with the communicator of each; returns the results by rank.
    If one fails, those that wait for it end, and its error is raised."""
    group = _Group(workers)

    def run(rank: int) -> T:
        try:
            return work(_Thread(group, rank))
        except BaseException:
            group.barrier.abort()
            raise

    with ThreadPoolExecutor(workers) as pool:
        futures = [pool.submit(run, rank) for rank in range(workers)]
    errors = [error for future in futures if (error := future.exception()) is not None]
    for error in sorted(errors, key=lambda error: isinstance(error, BrokenBarrierError)):
        raise error
    return [future.result() for future in futures]


class _Group:
    def __init__(self, size: int) -> None:
        self.size, self.barrier = size, Barrier(size)
        self.arrays: list[Array] = [np.zeros(0)] * size


class _Thread:
    def __init__(self, group: _Group, rank: int) -> None:
        self._group, self.rank, self.size = group, rank, group.size

    def all_reduce(self, array: Array) -> None:
        group = self._group
        group.arrays[self.rank] = array
        group.barrier.wait()
        total = reduce(np.add, group.arrays)
        group.barrier.wait()
        np.copyto(array, total)
